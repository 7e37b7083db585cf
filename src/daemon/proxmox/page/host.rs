//! By which names we may be called. A page of somebody else's whose name suddenly has our address (DNS rebinding) could read ours in the
//! browser of whoever looks at it; that the browser calls us by that name gives it away.

use crate::daemon::endpoint::{Answer, Request};
use crate::net::DomainName;
use std::net::{IpAddr, Ipv6Addr};

/// Domains that nobody can have on the Internet (RFC 6761, 6762, 8375, ICANN's `internal`), or that are customary where it ends.
const PRIVATE: [&str; 8] = ["localhost", "local", "internal", "home.arpa", "test", "lan", "home", "localdomain"];

/// Whether somebody may call us as this request does. Programs may use any name: Prometheus has its own list, and nobody else's
/// script runs in it. Browsers say which languages they like, and no script can take that line away.
pub(super) fn is_ours(request: &Request, domains: &[DomainName]) -> bool {
    let is_browser = request.header("accept-language").is_some();
    !is_browser || request.header("host").is_some_and(|host| is_name_of_ours(host, domains))
}

/// What the others get.
pub(super) fn refusal() -> Answer {
    let text =
        "Browsers may call this by its IP address, a name without dots, or a name in one of its networks' domains.\n";
    Answer::new("421 Misdirected Request", "text/plain; charset=utf-8", text)
}

/// An address, a bare name, or a name in a domain of ours or nobody's.
fn is_name_of_ours(host: &str, domains: &[DomainName]) -> bool {
    if let Some((address, _port)) = host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        return address.parse::<Ipv6Addr>().is_ok();
    }
    let name = host.split_once(':').map_or(host, |(name, _port)| name);
    if name.parse::<IpAddr>().is_ok() {
        return true;
    }
    let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
    let is_in = |domain: &str| name.strip_suffix(domain).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'));
    let ours = domains.iter().any(|domain| is_in(&domain.as_str().to_ascii_lowercase()));
    ours || PRIVATE.into_iter().any(is_in) || (!name.is_empty() && !name.contains('.'))
}

#[cfg(test)]
mod tests {
    use super::is_name_of_ours;

    #[test]
    fn only_names_that_no_stranger_can_have_are_ours() {
        let domains = ["vm.example.com".parse().unwrap()];
        for host in [
            "192.0.2.1",
            "192.0.2.1:9810",
            "[2001:db8::1]:9810",
            "localhost:9810",
            "pve1",
            "PVE1.lan.:80",
            "vm.example.com",
            "pve.VM.example.com:9810",
        ] {
            assert!(is_name_of_ours(host, &domains), "{host}");
        }
        for host in [
            "",
            "evil.example",
            "evilvm.example.com",
            "example.com",
            "192.0.2.1.evil.example",
            "[evil]:80",
            "lan.evil.example",
        ] {
            assert!(!is_name_of_ours(host, &domains), "{host}");
        }
    }
}
