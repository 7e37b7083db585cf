//! What the kernel's refusal of a transaction means.

use super::apply::{errno, no_permission};
use super::batch;
use super::expr::{self, Expr};
use super::socket::KernelError;
use crate::error::Error;
use crate::plan::diff::TableDelta;
use crate::plan::ruleset::{Elements, Rule, Ruleset, Set, Statement};

/// Why the kernel refused a transaction: which part of it, in whose words, and what helps.
pub(super) fn explained(ruleset: &Ruleset, deltas: &[TableDelta], error: &KernelError) -> Error {
    let kernel_says = match &error.words {
        Some(words) => format!("{} ({words})", errno(error.code)),
        None => errno(error.code),
    };
    if error.code == libc::EPERM && error.sequence == batch::FIRST {
        return no_permission(&kernel_says);
    }
    let Some(step) = batch::step(ruleset, deltas, error.sequence) else {
        return Error::new(format!("the kernel refused the transaction: {kernel_says}"));
    };
    let refused = Error::new(format!("the kernel refused {}: {kernel_says}", step.describe(error.offset)));
    match step {
        batch::Step::Rule(_, _, rule, _) if needs_bridge_name(rule) && error.code == libc::EOPNOTSUPP => refused
            .remedy(
                "this kernel cannot match a bridge by name (nft_meta_bridge, CONFIG_NFT_BRIDGE_META, is missing): use \
             --hook '*', which protects all bridges, or jump from a chain of your own by iifname",
            ),
        batch::Step::Rule(_, _, rule, _) if logs(rule) && error.code == libc::ENOENT => refused.remedy(
            "this kernel cannot log frames of a bridge (nf_log_syslog is missing): modprobe it, or leave out --log",
        ),
        batch::Step::Set(_, set) if IS_UNKNOWN.contains(&error.code) => match missing(set) {
            Some(remedy) => refused.remedy(remedy),
            None => refused.remedy("the old policy is in force"),
        },
        batch::Step::Elements(..) if error.code == libc::ENFILE => {
            refused.remedy("the set was made with a size, and that is too small; the old policy is in force")
        }
        _ => refused.remedy("the old policy is in force"),
    }
}

/// How kernels say that they have no such set.
const IS_UNKNOWN: [i32; 3] = [libc::EOPNOTSUPP, libc::EINVAL, libc::ENOENT];

/// What a kernel lacks that has no such set, and how to do without.
fn missing(set: &Set) -> Option<&'static str> {
    match &set.elements {
        Elements::Keyed(keyed) if keyed.interval => Some(
            "this kernel has no ranges in keys of several fields (Linux 5.6 has them): use --layout rules, or allow single \
             addresses instead of prefixes",
        ),
        Elements::Keyed(keyed) if keyed.fields.len() > 1 => Some(
            "this kernel has no sets with keys of several fields (Linux 4.1 has them): use --guard spec --layout rules, \
             which needs none",
        ),
        Elements::Recorded(_) => Some(
            "this kernel has no sets with keys of several fields that rules add to: use --guard spec, which records no \
             offenders",
        ),
        Elements::Keyed(_) | Elements::Ipv4(_) | Elements::Ipv6(_) => None,
    }
}

fn logs(rule: &Rule) -> bool {
    rule.statements.iter().any(|statement| matches!(statement, Statement::Log { .. }))
}

fn needs_bridge_name(rule: &Rule) -> bool {
    let is_bridge_name = |expression| matches!(expression, Expr::Meta { key: expr::MetaKey::InputBridgeName, .. });
    expr::lower(&rule.statements).into_iter().any(is_bridge_name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::IfName;
    use crate::plan::diff::{ChainDelta, SetDelta};
    use crate::plan::guard::Guard;
    use crate::plan::hooks::Bridges;
    use crate::plan::layout::Layout;
    use crate::plan::policy::{self, Hooking, Wishes};
    use crate::registry::wire;

    const REGISTRY: &[u8] = br#"{"02:00:00:00:00:01": {"ipv4": "10.0.0.1", "allowed": ["10.7.0.0/16"]}}"#;

    /// What is said when the kernel answers `code` to the making of each set, by the set's name, and to the rest of it.
    fn said(code: i32) -> Vec<(Option<String>, String)> {
        let (registry, _) = wire::parse(REGISTRY).unwrap();
        let bridge: IfName = "br0".parse().unwrap();
        let hook = Hooking::Protect { bridges: Bridges::These(vec![bridge]), trusted_ports: Vec::new() };
        let wishes = Wishes {
            table: "instances".parse().unwrap(),
            guard: Guard::strict(),
            layout: Layout::Sets,
            log: false,
            set_names: vec!["host".parse().unwrap()],
            hook,
            sets_into: Vec::new(),
        };
        let ruleset = policy::ruleset(&registry, &wishes);
        let table = &ruleset.tables[0];
        let delta = TableDelta {
            chains: vec![ChainDelta::New; table.chains.len()],
            sets: vec![SetDelta::New; table.sets.len()],
            ..TableDelta::default()
        };
        let deltas = [delta];
        let steps = (batch::FIRST + 1..).map_while(|sequence| {
            let step = batch::step(&ruleset, &deltas, sequence)?;
            let set = if let batch::Step::Set(_, set) = step { Some(set.name.as_str().to_owned()) } else { None };
            let error = KernelError { code, sequence, words: None, offset: None };
            Some((set, explained(&ruleset, &deltas, &error).to_string()))
        });
        steps.collect()
    }

    #[test]
    fn a_kernel_that_lacks_such_sets_is_named_with_what_needs_none() {
        for code in [libc::EOPNOTSUPP, libc::EINVAL, libc::ENOENT] {
            let said = said(code);
            let of = |wanted: &str| {
                let found = said.iter().find(|(set, _)| set.as_deref() == Some(wanted));
                found.map(|(_, said)| said.as_str()).unwrap()
            };
            for (set, lacks, remedy) in [
                ("instances_ip", "no sets with keys of several fields", "use --guard spec --layout rules"),
                ("instances_ip_nets", "no ranges in keys of several fields", "use --layout rules"),
                ("instances_offenders_arp", "that rules add to", "use --guard spec"),
            ] {
                let said = of(set);
                assert!(
                    said.starts_with(&format!("the kernel refused set {set} in table bridge instances: ")),
                    "{said}"
                );
                assert!(said.contains(lacks) && said.contains(remedy), "{said}");
            }
            // What every kernel has is refused for some other reason.
            assert!(of("instances_mac").ends_with("; the old policy is in force"), "{}", of("instances_mac"));
        }
    }

    #[test]
    fn a_set_that_is_refused_for_another_reason_is_not_blamed_on_the_kernel() {
        for (set, said) in said(libc::ENOMEM) {
            assert!(set.is_none() || said.ends_with("; the old policy is in force"), "{said}");
        }
    }
}
