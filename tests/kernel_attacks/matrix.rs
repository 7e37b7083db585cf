//! docs/attack-matrix.md: what each column found, as a golden file; in numbers also in README.md. BLESS=1 rewrites the
//! columns that run.

use crate::column::Outcome;
use crate::netns::on_stock_kernel;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

const README: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/README.md");

/// In this order.
pub const COLUMNS: [&str; 11] = [
    "no table",
    "spec",
    "no ports",
    "strict sets",
    "strict rules",
    "mac named",
    "alone",
    "VLAN: no table",
    "VLAN: spec",
    "VLAN: sets",
    "VLAN: rules",
];

const HEAD: &str = "\
# What gets through

Written by `tests/kernel_attacks` (`BLESS=1 cargo test --test kernel_attacks`); do not edit. A column is a test of
cargo's, a row is a case in it; `ONLY='part of its name' cargo test --test kernel_attacks` runs those rows alone. They run
in network namespaces on a bridge: the frames are sent by packet sockets, and the kernel of who is lied to is the judge:
its neighbour table, its sockets, its routes, the bridge's forwarding table. Every attack is tried on another guest (which the
forward hook protects) and on the host (input hook). *passed*: it did what it was sent for; *some*: to some of its targets,
which are named; *blocked*: nothing of it. Rows with ¹ are those that Linux itself withstands; others may not, so there it counts if
the frame arrives.

Columns: *no table*: nothing in force. *spec*: `--guard spec`, the original's two chains. *no ports*: `--guard strict`, no instance
bound to a port. *strict sets*, *strict rules*: the same in both layouts, instances bound to their ports. *mac named*: all
protections by name, so that MACs that are not registered send nothing at all. *alone*: of attacks, `--guard` with the one
protection that the attack's section is named after (and what it brings along); of legitimate flows, with each of them, one after
the other: what any of them stops is not *passed*. *VLAN*: on a bridge with `vlan_filtering`, with nothing in force, with the
original's chains, with `--guard strict` in both layouts; what such a bridge drops of its own accord is *blocked* there too, whatever is in
force. These four are from Debian 12's own kernel (`tests/stock-kernel/run.sh kernel_attacks vlan_aware`; with `BLESS=1` it rewrites them),
which is held to *strict sets*, too.
";

static FILE: Mutex<()> = Mutex::new(());

type Rows = BTreeMap<(String, String), BTreeMap<String, String>>;

fn path() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("docs/attack-matrix.md")
}

/// A cell.
pub fn cell(outcome: &Outcome) -> String {
    if outcome.reached.is_empty() {
        "blocked".to_owned()
    } else if outcome.reached == outcome.targets {
        "passed".to_owned()
    } else {
        let names: Vec<_> = outcome.reached.iter().map(|who| who.name).collect();
        format!("some: {}", names.join(", "))
    }
}

fn row(outcome: &Outcome) -> String {
    let mark = if outcome.ignored_by_linux { "¹" } else { "" };
    format!("{}{mark} | {}", outcome.case, outcome.reference)
}

/// What differs between a column and the golden file; with BLESS=1 nothing does, for it is written there.
pub fn record(column: &str, outcomes: &[Outcome]) -> Vec<String> {
    // On other kernels Linux may ignore other things, and where nothing could be tried nothing came of it.
    if column.starts_with("VLAN") != on_stock_kernel() || outcomes.is_empty() {
        return Vec::new();
    }
    let _one_at_a_time = FILE.lock().unwrap_or_else(PoisonError::into_inner);
    let text = fs::read_to_string(path()).unwrap_or_default();
    let mut rows = read(&text);
    if std::env::var_os("BLESS").is_some() {
        for outcome in outcomes {
            let cells = rows.entry((outcome.section.clone(), row(outcome))).or_default();
            cells.insert(column.to_owned(), cell(outcome));
        }
        assert!(std::env::var_os("ONLY").is_none(), "BLESS=1 writes the rows that ran, and would lose others");
        // Those whose case has gone.
        rows.retain(|(section, name), _| {
            outcomes.iter().any(|outcome| outcome.section == *section && row(outcome) == *name)
        });
        fs::write(path(), write(&rows, outcomes)).unwrap();
        let readme = fs::read_to_string(README).unwrap();
        let [before, _, after] = around_numbers(&readme);
        fs::write(README, [before, &numbers(&rows), after].concat()).unwrap();
        return Vec::new();
    }
    let differs = |outcome: &Outcome| {
        let before = rows.get(&(outcome.section.clone(), row(outcome))).and_then(|cells| cells.get(column));
        let now = cell(outcome);
        let before = before.map_or("(nothing)", String::as_str);
        (before != now).then(|| format!("{}: {}: was {before}, is {now}", outcome.section, outcome.case))
    };
    outcomes.iter().filter_map(differs).collect()
}

/// README.md has the numbers of the matrix.
pub fn check_readme() {
    let _one_at_a_time = FILE.lock().unwrap_or_else(PoisonError::into_inner);
    let readme = fs::read_to_string(README).unwrap();
    assert_eq!(around_numbers(&readme)[1], numbers(&read(&fs::read_to_string(path()).unwrap())));
}

/// README.md up to the numbers, these, and the rest.
fn around_numbers(readme: &str) -> [&str; 3] {
    let [start, end] = ["<!-- attack-matrix -->\n", "<!-- /attack-matrix -->"];
    let from = readme.find(start).expect("README.md marks the place") + start.len();
    let to = readme.find(end).expect("README.md marks the end");
    [&readme[..from], &readme[from..to], &readme[to..]]
}

/// How many cases of each section get through, to at least one of their targets.
fn numbers(rows: &Rows) -> String {
    let mut text = format!("| | cases | {} |\n|---|{}\n", COLUMNS.join(" | "), "--:|".repeat(COLUMNS.len() + 1));
    let mut sections: Vec<_> = rows.keys().map(|(section, _)| section).collect();
    sections.dedup();
    for section in sections {
        let cases: Vec<_> = rows.iter().filter(|((of, _), _)| of == section).map(|(_, cells)| cells).collect();
        let got_through = |column: &&str| {
            let through = |cells: &&&BTreeMap<String, String>| cells.get(*column).is_some_and(|cell| cell != "blocked");
            cases.iter().filter(through).count().to_string()
        };
        let cells: Vec<_> = COLUMNS.iter().map(got_through).collect();
        let _ = writeln!(text, "| {section} | {} | {} |", cases.len(), cells.join(" | "));
    }
    text
}

fn read(text: &str) -> Rows {
    let mut rows = Rows::new();
    let mut section = String::new();
    for line in text.lines() {
        if let Some(title) = line.strip_prefix("## ") {
            title.split(" (").next().unwrap_or_default().clone_into(&mut section);
        }
        let cells: Vec<_> = line.trim_matches('|').split('|').map(str::trim).collect();
        if let [name, reference, cells @ ..] = &*cells
            && line.starts_with("| ")
            && *name != "case"
        {
            let cells = COLUMNS.iter().zip(cells).filter(|(_, cell)| !cell.is_empty());
            let cells = cells.map(|(column, cell)| ((*column).to_owned(), (*cell).to_owned())).collect();
            rows.insert((section.clone(), format!("{name} | {reference}")), cells);
        }
    }
    rows
}

/// Rows in the order of the cases.
fn write(rows: &Rows, outcomes: &[Outcome]) -> String {
    let mut text = HEAD.to_owned();
    let mut section = "";
    for outcome in outcomes {
        let Some(cells) = rows.get(&(outcome.section.clone(), row(outcome))) else { continue };
        if outcome.section != section {
            section = &outcome.section;
            let _ = write!(text, "\n## {section}\n\n| case | reference | {} |\n", COLUMNS.join(" | "));
            let _ = writeln!(text, "|{}", "---|".repeat(COLUMNS.len() + 2));
        }
        let cells: Vec<_> = COLUMNS.iter().map(|column| cells.get(*column).map_or("", String::as_str)).collect();
        let _ = writeln!(text, "| {} | {} |", row(outcome), cells.join(" | "));
    }
    text
}
