//! The rules by iptables and ip6tables: the one place where we run other programs.
//!
//! x_tables has no interface for one rule. A table is read as a whole and replaced as a whole, in a binary form that differs
//! between kernels, and what is `iptables` may well write nf_tables in a form of its own (iptables-nft). Who speaks it beside
//! these programs breaks other people's rules. It only happens when an admin asks for it, never while packets are answered.
//!
//! Ours are known by a comment. They are listed, and if they are not the wanted ones, replaced in one commit.

use super::Wishes;
use crate::error::{Error, Result};
use crate::plan::responder::rules::{self, Place, Redirect, Traffic};
use std::fs;
use std::io::{self, Write as _};
use std::process::{Command, Output, Stdio};

/// The table.
pub(super) const TABLE: &str = "mangle";
/// The chain.
pub(super) const CHAIN: &str = "PREROUTING";
/// What our rules have as comment.
const COMMENT: &str = "instances-nfdhcpd";
/// Where the programs are; the environment is not asked, for they run as root.
const PATH: &str = "/usr/sbin:/usr/bin:/sbin:/bin";

/// The program for single rules, and the one for several in one commit.
pub(super) fn programs(is_ipv6: bool) -> [&'static str; 2] {
    if is_ipv6 { ["ip6tables", "ip6tables-restore"] } else { ["iptables", "iptables-restore"] }
}

/// A rule's chain and arguments, in the order in which `-S` lists them.
pub(super) fn rule(redirect: &Redirect) -> Vec<String> {
    let taps = redirect.taps.as_iptables();
    let (protocol, matches): (_, &[&str]) = match redirect.traffic {
        Traffic::Dhcp4 => ("udp", &["-m", "udp", "--dport", "67"]),
        Traffic::RouterSolicitations => ("ipv6-icmp", &["-m", "icmp6", "--icmpv6-type", "133"]),
        Traffic::NeighborSolicitations => ("ipv6-icmp", &["-m", "icmp6", "--icmpv6-type", "135"]),
        Traffic::Dhcp6 => ("udp", &["-m", "udp", "--dport", "547"]),
    };
    let queue = redirect.queue.to_string();
    let mut words = vec![CHAIN];
    match redirect.place {
        Place::Routed => words.extend(["-i", taps.as_str(), "-p", protocol]),
        Place::Bridged => words.extend(["-p", protocol, "-m", "physdev", "--physdev-in", taps.as_str()]),
    }
    words.extend(matches);
    words.extend(["-m", "comment", "--comment", COMMENT, "-j", "NFQUEUE", "--queue-num", queue.as_str()]);
    words.extend(redirect.bypass.then_some("--queue-bypass"));
    words.into_iter().map(str::to_owned).collect()
}

/// Says whether anything had to be changed.
pub(super) fn install(wishes: &Wishes) -> Result<bool> {
    let wanted = |is_ipv6| {
        let of_family = rules::redirects(wishes).filter(move |redirect| redirect.traffic.is_ipv6() == is_ipv6);
        of_family.map(|redirect| rule(&redirect).join(" ")).collect::<Vec<_>>()
    };
    let mut changed = false;
    for is_ipv6 in [false, true] {
        let wanted = wanted(is_ipv6);
        // IPv6 may be missing where it is not spoken.
        match listed(is_ipv6) {
            Ok(found) => changed |= replace(is_ipv6, &found, &wanted)?,
            Err(_) if wanted.is_empty() => {}
            Err(error) => return Err(error),
        }
    }
    Ok(changed)
}

/// Says whether anything was there. Where there are no such programs, nobody can have made rules by them.
pub(super) fn remove() -> Result<bool> {
    let mut changed = false;
    for is_ipv6 in [false, true] {
        let [program, _] = programs(is_ipv6);
        if is_there(program) {
            changed |= replace(is_ipv6, &listed(is_ipv6)?, &[])?;
        }
    }
    Ok(changed)
}

fn is_there(program: &str) -> bool {
    PATH.split(':').any(|folder| fs::metadata(format!("{folder}/{program}")).is_ok())
}

/// Our rules, as `-S` lists them behind `-A`.
fn listed(is_ipv6: bool) -> Result<Vec<String>> {
    let [program, _] = programs(is_ipv6);
    let text = run(program, &["-w", "-t", TABLE, "-S", CHAIN], "")?;
    let is_ours = |rule: &&str| {
        let words: Vec<_> = rule.split(' ').collect();
        words.windows(2).any(|pair| *pair == ["--comment", COMMENT])
    };
    Ok(text.lines().filter_map(|line| line.strip_prefix("-A ")).filter(is_ours).map(str::to_owned).collect())
}

/// In one commit, so that no packet comes between.
fn replace(is_ipv6: bool, found: &[String], wanted: &[String]) -> Result<bool> {
    if found == wanted {
        return Ok(false);
    }
    let [_, program] = programs(is_ipv6);
    let old = found.iter().map(|rule| format!("-D {rule}\n"));
    let new = wanted.iter().map(|rule| format!("-A {rule}\n"));
    let script: String =
        [format!("*{TABLE}\n")].into_iter().chain(old).chain(new).chain(["COMMIT\n".to_owned()]).collect();
    run(program, &["-w", "--noflush"], &script)?;
    Ok(true)
}

/// Runs a program on this standard input; its standard output.
fn run(program: &str, arguments: &[&str], input: &str) -> Result<String> {
    let failed = |error: &io::Error| {
        let failed = Error::new(format!("cannot run {program}: {}", crate::error::in_words(error)));
        match error.kind() {
            io::ErrorKind::NotFound => {
                failed.remedy("install iptables, or put the rules of --print-rules where your firewall is kept")
            }
            _ => failed,
        }
    };
    let mut command = Command::new(program);
    command.args(arguments).env_clear().env("PATH", PATH).env("LC_ALL", "C.UTF-8");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|error| failed(&error))?;
    // A script of ours fits into a pipe; a program that does not read it says why.
    if let Some(mut stdin) = child.stdin.take() {
        let _ = stdin.write_all(input.as_bytes());
    }
    let Output { status, stdout, stderr } = child.wait_with_output().map_err(|error| failed(&error))?;
    if status.success() {
        return Ok(String::from_utf8_lossy(&stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&stderr);
    let said = said.lines().map(str::trim).filter(|line| !line.is_empty()).take(2).collect::<Vec<_>>().join("; ");
    let shown = crate::net::Shown(&said);
    Err(Error::new(format!("{program} failed ({status}): {shown}"))
        .remedy("run it as root; our rules are as they were"))
}

/// Why rules for bridged taps see nothing, if so.
pub fn warnings(wishes: &Wishes) -> Vec<String> {
    let needed = [(false, "bridge-nf-call-iptables"), (true, "bridge-nf-call-ip6tables")];
    let spoken = |is_ipv6| wishes.queues.iter().any(|(traffic, _)| traffic.is_ipv6() == is_ipv6);
    let needed = needed.into_iter().filter(|(is_ipv6, _)| spoken(*is_ipv6));
    let is_on =
        |name: &str| fs::read_to_string(format!("/proc/sys/net/bridge/{name}")).is_ok_and(|value| value.trim() != "0");
    let off = needed.filter(|(_, name)| !is_on(name)).map(|(_, name)| {
        format!("taps on bridges are not seen by iptables' rules: modprobe br_netfilter, sysctl net.bridge.{name}=1")
    });
    off.collect()
}
