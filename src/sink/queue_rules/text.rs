//! The rules as text, for who keeps a firewall by other means.

use super::{Form, xtables};
use crate::plan::responder::rules::{self, Place, Redirect, Traffic, Wishes};
use crate::sink::nft_text;
use std::io::{self, Write};

/// Prints the rules.
///
/// # Errors
/// Those of `out`.
pub fn print(wishes: &Wishes, form: Form, out: &mut dyn Write) -> io::Result<()> {
    match form {
        Form::Iptables => iptables(wishes, out),
        Form::Nft => nft(wishes, out),
        Form::Ferm => ferm(wishes, out),
    }
}

fn iptables(wishes: &Wishes, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "#!/bin/sh -e")?;
    if wishes.taps.is_empty() {
        return Ok(());
    }
    writeln!(out, "# Bridged taps need br_netfilter with net.bridge.bridge-nf-call-iptables=1 and -ip6tables=1.")?;
    for redirect in rules::redirects(wishes) {
        let [program, _] = xtables::programs(redirect.traffic.is_ipv6());
        writeln!(out, "{program} -w -t {} -A {}", xtables::TABLE, xtables::rule(&redirect).join(" "))?;
    }
    Ok(())
}

fn nft(wishes: &Wishes, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "#!/usr/sbin/nft -f")?;
    for table in rules::ruleset(wishes).tables.iter().filter(|table| !table.chains.is_empty()) {
        let name = format!("table {} {}", table.family, table.name);
        let mut chains = Vec::new();
        nft_text::write_chains(&mut chains, &table.chains)?;
        // Named first, so that there is one to delete: loaded twice is loaded once.
        writeln!(out, "{name}\ndelete {name}\n{name} {{")?;
        for line in String::from_utf8_lossy(&chains).lines() {
            writeln!(out, "    {line}")?;
        }
        writeln!(out, "}}")?;
    }
    Ok(())
}

fn ferm(wishes: &Wishes, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "# Bridged taps need br_netfilter with net.bridge.bridge-nf-call-iptables=1 and -ip6tables=1.")?;
    for (domain, is_ipv6) in [("ip", false), ("ip6", true)] {
        let mut redirects =
            rules::redirects(wishes).filter(|redirect| redirect.traffic.is_ipv6() == is_ipv6).peekable();
        if redirects.peek().is_none() {
            continue;
        }
        writeln!(out, "domain {domain} table {} chain {} {{", xtables::TABLE, xtables::CHAIN)?;
        for redirect in redirects {
            writeln!(out, "    {};", ferm_rule(&redirect))?;
        }
        writeln!(out, "}}")?;
    }
    Ok(())
}

fn ferm_rule(redirect: &Redirect) -> String {
    let from = match redirect.place {
        Place::Routed => format!("interface {}", redirect.taps),
        Place::Bridged => format!("mod physdev physdev-in {}", redirect.taps),
    };
    let what = match redirect.traffic {
        Traffic::Dhcp4 => "proto udp dport 67",
        Traffic::RouterSolicitations => "proto icmpv6 icmpv6-type 133",
        Traffic::NeighborSolicitations => "proto icmpv6 icmpv6-type 135",
        Traffic::Dhcp6 => "proto udp dport 547",
    };
    let bypass = if redirect.bypass { " queue-bypass" } else { "" };
    format!("{from} {what} NFQUEUE queue-num {}{bypass}", redirect.queue)
}
