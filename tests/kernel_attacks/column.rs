//! A column of the matrix: one policy, one lab, every case.

use crate::case::Case;
use crate::lab::Lab;
use crate::netns::{in_new_netns, on_stock_kernel};
use crate::who::Who;
use crate::{attacks, flows, legit, matrix};

/// What is in force while the cases run.
#[derive(Debug, Clone, Copy)]
pub struct Column {
    /// Its head in the matrix.
    pub name: &'static str,
    /// Arguments of `instances-process --force --apply` besides the hook; none: it does not run.
    pub policy: Option<&'static [&'static str]>,
    /// Whether instances are bound to ports in the registry.
    pub ports: bool,
    pub vlan_aware: bool,
}

/// One row's cell: section, case, and to whom of its targets it got through.
pub struct Outcome {
    pub section: String,
    pub case: String,
    pub reference: &'static str,
    pub ignored_by_linux: bool,
    pub reached: Vec<Who>,
    pub targets: Vec<Who>,
}

impl Column {
    /// Puts the policy in force.
    pub fn apply(&self, lab: &Lab) {
        if let Some(policy) = self.policy {
            // A bridge can be told from others only where nft_meta_bridge is.
            let bridges = if on_stock_kernel() { "br0" } else { "*" };
            lab.registry.apply(&[&["--hook", bridges, "--trusted-port", "uplink"], policy].concat());
        }
    }

    /// Runs all cases in a lab of their own and compares the column with the matrix; `strict`: every attack must be
    /// blocked, every legitimate flow must pass.
    pub fn check(self, strict: bool) {
        in_new_netns(move || {
            let lab = Lab::new(self.vlan_aware, self.ports);
            self.apply(&lab);
            let only = std::env::var("ONLY").unwrap_or_default();
            let mut outcomes = Vec::new();
            for (kind, sections) in [("attack", attacks::all()), ("legit", legit::all())] {
                for (section, cases) in sections {
                    let section = format!("{kind}: {section}");
                    let wanted = |case: &&Case| format!("{section}: {}", case.name).contains(&only);
                    outcomes.extend(cases.iter().filter(wanted).map(|case| Outcome {
                        section: section.clone(),
                        case: case.name.to_owned(),
                        reference: case.reference,
                        ignored_by_linux: case.ignored_by_linux,
                        reached: case.run(&lab),
                        targets: case.to.to_vec(),
                    }));
                }
            }
            outcomes.extend(flows::run_all(&lab, &only));
            if strict {
                complain_unless_perfect(&self, &outcomes);
            }
            matrix::record(self.name, &outcomes);
        });
    }
}

fn complain_unless_perfect(column: &Column, outcomes: &[Outcome]) {
    let wrong = |outcome: &&Outcome| match outcome.section.split_once(':') {
        Some(("attack", _)) => !outcome.reached.is_empty(),
        _ => outcome.reached != outcome.targets,
    };
    let described = |outcome: &Outcome| format!("{}: {} ({})", outcome.section, outcome.case, matrix::cell(outcome));
    let wrong: Vec<_> = outcomes.iter().filter(wrong).map(described).collect();
    assert!(wrong.is_empty(), "{}: {} cases are wrong:\n{}", column.name, wrong.len(), wrong.join("\n"));
}
