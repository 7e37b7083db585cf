//! The table.

use super::measured::Measured;
use super::{FEW, LARGE, MANY};
use crate::promise::{At, Promise};
use crate::section::{Section, median};
use serde_json::json;

const ORIGINAL: &str =
    "PVE-Leazzard's figures are those of issue 6, measured on another simulator with 25 guests: it cannot be run here";

/// Says what was measured, of a few, of many, and of very many.
pub(super) fn tell(all: &[Option<Measured>; 3], section: &mut Section) {
    let mut row = |label: &str, original: &str, cell: &dyn Fn(&Measured) -> Option<String>| {
        let cells = all.iter().map(|measured| measured.as_ref().and_then(cell).unwrap_or_else(|| "-".to_owned()));
        section.row(label, cells.chain([original.to_owned()]).collect());
    };
    row("first name in DNS", "4.4 s", &|m| Some(format!("{:.2} s", m.first)));
    row("all names in DNS", "-", &|m| Some(format!("{:.2} s", m.all)));
    row("API calls in the first minute", "442", &|m| Some(m.minute_calls.to_string()));
    row("dnsmasq starts in the first minute", "18", &|m| Some(m.minute_starts.to_string()));
    row("API calls in a cycle without change, at most", "26", &|m| m.calls.iter().max().map(ToString::to_string));
    row("configurations read again in these cycles", "-", &|m| Some(m.again.to_string()));
    row("dnsmasq starts and SIGHUPs in these cycles", "1 each", &|m| Some(m.disturbed.to_string()));
    row("CPU in a cycle without change", "-", &|m| Some(format!("{:.1} ms", median(m.cpu.iter().copied())?)));
    row("from a change to DNS by poll, the slowest", "-", &|m| seconds(&m.by_poll));
    row("from the first ARP to DNS, the slowest", "-", &|m| seconds(&m.by_arp));
    row("after one illegal name dnsmasq", "stops for good", &|m| {
        m.outlives_illegal.map(|is_well| if is_well { "goes on" } else { "is disturbed" }.to_owned())
    });
    row("memory at most", "-", &|m| Some(format!("{:.1} MiB", m.peak)));
    section.remarks.push(ORIGINAL.to_owned());
    for (plan, measured) in [FEW, MANY, LARGE].iter().zip(all) {
        let Some(m) = measured else { continue };
        section.results.push(json!({
            "guests": plan.guests, "nodes": plan.nodes, "first_name_s": m.first, "all_names_s": m.all,
            "first_minute_calls": m.minute_calls, "first_minute_dnsmasq_starts": m.minute_starts,
            "cycle_calls": m.calls, "configs_again": m.again, "cycle_cpu_ms": m.cpu, "disturbed": m.disturbed,
            "poll_s": m.by_poll, "arp_s": m.by_arp, "outlives_illegal": m.outlives_illegal, "peak_mib": m.peak,
            "metrics_octets": m.metrics,
        }));
    }
    section.results.push(json!({
        "guests": 25, "program": "PVE-Leazzard", "first_name_s": 4.4, "first_minute_calls": 442,
        "first_minute_dnsmasq_starts": 18, "cycle_calls": [26], "outlives_illegal": false, "measured": false,
    }));
    promise(all, section);
}

fn most(values: impl IntoIterator<Item = f64>) -> Option<f64> {
    values.into_iter().max_by(f64::total_cmp)
}

fn seconds(values: &[f64]) -> Option<String> {
    most(values.iter().copied()).map(|slowest| format!("{slowest:.2} s"))
}

fn count(number: impl TryInto<u32>) -> f64 {
    number.try_into().map_or(f64::INFINITY, f64::from)
}

fn promise([few, many, large]: &[Option<Measured>; 3], section: &mut Section) {
    let calls = |m: &Measured| most(m.calls.iter().map(|calls| count(*calls)));
    let mut add = |what: &str, value: Option<f64>, bound: At, unit: &'static str| {
        section.promises.extend(value.map(|value| Promise::new(what, value, bound, unit)));
    };
    if let Some(m) = few {
        add("25 guests, API calls in a cycle without change", calls(m), At::Most(8.0), "");
        add("25 guests, dnsmasq starts and SIGHUPs without change", Some(count(m.disturbed)), At::Most(0.0), "");
        add("25 guests, configurations seen again within 60 s", Some(count(m.again)), At::Least(25.0), "");
    }
    if let Some(m) = many {
        add("1000 guests on 10 nodes, all names", Some(m.all), At::Most(3.0), " s");
        add("1000 guests, configurations seen again within 60 s", Some(count(m.again)), At::Least(1000.0), "");
        add("1000 guests, CPU of a cycle without change", median(m.cpu.iter().copied()), At::Most(20.0), " ms");
        add("1000 guests, dnsmasq starts and SIGHUPs without change", Some(count(m.disturbed)), At::Most(0.0), "");
        // A poll, and what is gathered then.
        add("1000 guests, from a change to DNS by poll", most(m.by_poll.iter().copied()), At::Most(11.0), " s");
        add("1000 guests, from the first ARP to DNS", most(m.by_arp.iter().copied()), At::Most(2.0), " s");
    }
    if let Some(m) = large {
        add("10000 guests, memory", Some(m.peak), At::Most(80.0), " MiB");
    }
}
