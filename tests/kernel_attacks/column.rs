//! A column of the matrix: one policy, one lab, every case.

use crate::case::{Case, Judge, TRIES};
use crate::lab::Lab;
use crate::netns::{in_new_netns, on_stock_kernel};
use crate::who::{ATTACKER, Who};
use crate::{attacks, flows, legit, matrix};
use std::sync::mpsc;

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
    /// The same on a VLAN-aware bridge.
    pub const fn vlan_aware(self, name: &'static str) -> Self {
        Self { name, vlan_aware: true, ..self }
    }

    /// Whether it stops every attack.
    fn is_strict(&self) -> bool {
        self.policy.is_some_and(|policy| policy.contains(&"strict"))
    }

    /// Puts the policy in force.
    pub fn apply(&self, lab: &Lab) {
        if let Some(policy) = self.policy {
            // A bridge can be told from others only where nft_meta_bridge is.
            let bridges = if on_stock_kernel() { "br0" } else { "*" };
            lab.registry.apply(&[&["--hook", bridges, "--trusted-port", "uplink"], policy].concat());
        }
    }

    /// Runs all cases, says which are not `right`, and compares the column with the matrix.
    pub fn check(self, right: fn(&Outcome) -> bool) {
        assert_right(self.name, &self.outcomes(|_| true), right);
    }

    /// What comes of the cases for whose section the answer is yes, in a lab of their own; of none where that cannot be.
    pub fn outcomes(self, is_wanted: impl Fn(&str) -> bool + Send + 'static) -> Vec<Outcome> {
        let (sender, receiver) = mpsc::channel();
        in_new_netns(move || {
            let lab = Lab::new(self.vlan_aware, self.ports);
            self.apply(&lab);
            let only = std::env::var("ONLY").unwrap_or_default();
            let is_wanted =
                |section: &str, name: &str| is_wanted(section) && format!("{section}: {name}").contains(&only);
            // Emulated, each try takes its time, and those attacks would be tried in vain.
            let tries = if on_stock_kernel() && self.is_strict() { 1 } else { TRIES };
            sender.send(run_all(&lab, tries, is_wanted)).unwrap();
        });
        receiver.try_recv().unwrap_or_default()
    }
}

/// All outcomes of a column are `right`, and as the matrix has them.
pub fn assert_right(column: &str, outcomes: &[Outcome], right: impl Fn(&Outcome) -> bool) {
    let differs = matrix::record(column, outcomes);
    let wrong: Vec<_> = outcomes.iter().filter(|outcome| !right(outcome)).map(Outcome::described).collect();
    assert!(wrong.is_empty(), "{column}: {} cases are wrong:\n{}", wrong.len(), wrong.join("\n"));
    assert!(differs.is_empty(), "{column} differs from docs/attack-matrix.md:\n{}", differs.join("\n"));
}

/// All cases whose section and name are wanted, in the order of the matrix; the attacker's with so many tries.
fn run_all(lab: &Lab, tries: usize, is_wanted: impl Fn(&str, &str) -> bool) -> Vec<Outcome> {
    let sections = [("attack", attacks::all()), ("legit", legit::all())];
    let mut cases = Vec::new();
    for (kind, sections) in sections {
        for (section, of_section) in sections {
            let section = format!("{kind}: {section}");
            let of_section = of_section.into_iter().filter(|case| is_wanted(&section, case.name));
            cases.extend(of_section.map(|case| (section.clone(), case)));
        }
    }
    // Once it has heard a query, a bridge sends multicast only to those who asked for it. So these come last.
    let is_query =
        |(section, case): &(String, Case)| section == "attack: query" || case.judge == Judge::MulticastRouter;
    let outcome = |(section, case): &(String, Case)| Outcome {
        section: section.clone(),
        case: case.name.to_owned(),
        reference: case.reference,
        ignored_by_linux: case.ignored_by_linux,
        reached: case.run(lab, if case.from == ATTACKER { tries } else { TRIES }),
        targets: case.to.to_vec(),
    };
    let mut outcomes: Vec<_> = cases.iter().map(|case| (!is_query(case)).then(|| outcome(case))).collect();
    let flows = flows::run_all(lab, is_wanted);
    for (case, outcome_of_it) in cases.iter().zip(&mut outcomes) {
        outcome_of_it.get_or_insert_with(|| outcome(case));
    }
    outcomes.into_iter().flatten().chain(flows).collect()
}

impl Outcome {
    /// Whether its case is one that must be stopped.
    pub fn is_attack(&self) -> bool {
        self.section.starts_with("attack")
    }

    /// An attack is blocked, whoever it is tried on; what is legitimate passes, whoever it is for.
    pub fn is_as_it_should_be(&self) -> bool {
        if self.is_attack() { self.reached.is_empty() } else { self.reached == self.targets }
    }

    fn described(&self) -> String {
        format!("{}: {} ({})", self.section, self.case, matrix::cell(self))
    }
}
