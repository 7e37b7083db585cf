//! A column of the matrix: one policy, one lab, every case.

use crate::case::{Case, Judge};
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

    /// Runs all cases in a lab of their own, says which are not `right`, and compares the column with the matrix.
    pub fn check(self, right: fn(&Outcome) -> bool) {
        in_new_netns(move || {
            let lab = Lab::new(self.vlan_aware, self.ports);
            self.apply(&lab);
            let only = std::env::var("ONLY").unwrap_or_default();
            let outcomes = run_all(&lab, &only);
            let differs = if on_stock_kernel() {
                // There are kernels on which Linux ignores other things.
                Vec::new()
            } else {
                matrix::record(self.name, &outcomes)
            };
            let wrong: Vec<_> = outcomes.iter().filter(|outcome| !right(outcome)).map(Outcome::described).collect();
            assert!(wrong.is_empty(), "{}: {} cases are wrong:\n{}", self.name, wrong.len(), wrong.join("\n"));
            assert!(differs.is_empty(), "{} differs from docs/attack-matrix.md:\n{}", self.name, differs.join("\n"));
        });
    }
}

/// All cases whose section and name contain `only`, in the order of the matrix.
fn run_all(lab: &Lab, only: &str) -> Vec<Outcome> {
    let sections = [("attack", attacks::all()), ("legit", legit::all())];
    let mut cases = Vec::new();
    for (kind, sections) in sections {
        for (section, of_section) in sections {
            let section = format!("{kind}: {section}");
            let wanted = |case: &Case| format!("{section}: {}", case.name).contains(only);
            cases.extend(of_section.into_iter().filter(wanted).map(|case| (section.clone(), case)));
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
        reached: case.run(lab),
        targets: case.to.to_vec(),
    };
    let mut outcomes: Vec<_> = cases.iter().map(|case| (!is_query(case)).then(|| outcome(case))).collect();
    let flows = flows::run_all(lab, only);
    for (case, outcome_of_it) in cases.iter().zip(&mut outcomes) {
        outcome_of_it.get_or_insert_with(|| outcome(case));
    }
    outcomes.into_iter().flatten().chain(flows).collect()
}

impl Outcome {
    /// An attack is blocked, whoever it is tried on; what is legitimate passes, whoever it is for.
    pub fn is_as_it_should_be(&self) -> bool {
        if self.section.starts_with("attack") { self.reached.is_empty() } else { self.reached == self.targets }
    }

    fn described(&self) -> String {
        format!("{}: {} ({})", self.section, self.case, matrix::cell(self))
    }
}
