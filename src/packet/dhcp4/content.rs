//! Contents of options that are more than numbers and addresses: domain search lists (RFC 3397) and classless routes
//! (RFC 3442). Writers append to what the caller has; readers are for clients, and for tests.

use crate::net::DomainName;
use crate::packet::{Malformed, length8};
use ipnet::Ipv4Net;
use std::net::Ipv4Addr;

/// A pointer to where the rest of a name is (RFC 1035, section 4.1.4): two bits, then 14 of the offset.
const POINTER: u8 = 0xc0;

/// Appends a domain search list (option 119), compressed: what a name has in common with the end of an earlier one is
/// said once. Offsets count from the beginning of `content`, which must hold nothing else.
pub fn put_search(content: &mut Vec<u8>, names: &[DomainName]) {
    let mut known: Vec<(&str, u16)> = Vec::new();
    for name in names {
        let mut rest = Some(name.as_str());
        while let Some(suffix) = rest {
            if let Some((_, at)) = known.iter().find(|(known, _)| known.eq_ignore_ascii_case(suffix)) {
                content.extend((at | u16::from(POINTER) << 8).to_be_bytes());
                break;
            }
            if let Some(at) = u16::try_from(content.len()).ok().filter(|at| *at < 0x4000) {
                known.push((suffix, at));
            }
            let (label, after) = suffix.split_once('.').map_or((suffix, None), |(label, after)| (label, Some(after)));
            content.push(length8(label.len()));
            content.extend_from_slice(label.as_bytes());
            rest = after;
        }
        if rest.is_none() {
            content.push(0);
        }
    }
}

/// Reads a domain search list, joined if it came in pieces. Pointers must lead backwards, hence they end.
pub fn search(content: &[u8]) -> Result<Vec<DomainName>, Malformed> {
    let mut names = Vec::new();
    let mut at = 0;
    while at < content.len() {
        let (name, after) = name(content, at)?;
        names.push(name.parse().map_err(|_| Malformed("DHCP: not a host's domain in option 119"))?);
        at = after;
    }
    Ok(names)
}

/// The name at an offset, and where the next one begins.
fn name(content: &[u8], start: usize) -> Result<(String, usize), Malformed> {
    let cut_off = Malformed("DHCP: domain name cut off");
    let mut name = String::new();
    // Where reading is; where the run of labels that is read began; where the next name begins.
    let (mut at, mut began, mut after) = (start, start, None);
    loop {
        let rest = content.get(at..).ok_or(cut_off)?;
        match *rest {
            [0, ..] => return Ok((name, after.unwrap_or(at + 1))),
            [length @ 1..=63, ref rest @ ..] => {
                let label = rest.get(..usize::from(length)).ok_or(cut_off)?;
                let label = str::from_utf8(label).map_err(|_| Malformed("DHCP: not a host's domain in option 119"))?;
                if name.len() + label.len() > 253 {
                    return Err(Malformed("DHCP: domain name too long"));
                }
                if !name.is_empty() {
                    name.push('.');
                }
                name.push_str(label);
                at += 1 + usize::from(length);
            }
            [high @ POINTER..=255, low, ..] => {
                after = after.or(Some(at + 2));
                at = usize::from(u16::from_be_bytes([high & !POINTER, low]));
                if at >= began {
                    return Err(Malformed("DHCP: pointer in a domain name leads forward"));
                }
                began = at;
            }
            [POINTER..=255] | [] => return Err(cut_off),
            [_, ..] => return Err(Malformed("DHCP: unknown kind of label")),
        }
    }
}

/// Appends a route of option 121: width of the prefix, as many of its octets as count, the router.
pub fn put_route(content: &mut Vec<u8>, prefix: Ipv4Net, router: Ipv4Addr) {
    content.push(prefix.prefix_len());
    content.extend(prefix.network().octets().iter().take(usize::from(prefix.prefix_len().div_ceil(8))));
    content.extend(router.octets());
}

/// Reads option 121.
pub fn routes(content: &[u8]) -> Result<Vec<(Ipv4Net, Ipv4Addr)>, Malformed> {
    let cut_off = Malformed("DHCP: route cut off");
    let mut routes = Vec::new();
    let mut rest = content;
    while let [width, behind @ ..] = rest {
        let (prefix, behind) = behind.split_at_checked(usize::from(width.div_ceil(8))).ok_or(cut_off)?;
        let (router, behind) = behind.split_first_chunk::<4>().ok_or(cut_off)?;
        let mut octets = [0; 4];
        crate::packet::put(&mut octets, 0, prefix);
        let net = Ipv4Net::new(octets.into(), *width).map_err(|_| Malformed("DHCP: route wider than 32 bits"))?;
        if net.addr() != net.network() {
            return Err(Malformed("DHCP: route with host bits"));
        }
        routes.push((net, Ipv4Addr::from(*router)));
        rest = behind;
    }
    Ok(routes)
}
