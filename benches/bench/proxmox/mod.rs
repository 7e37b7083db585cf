//! `instances-proxmox` with a simulated cluster whose answers take 5 ms, a real dnsmasq, and guests that answer ARP; and what was measured
//! of PVE-Leazzard on such a simulator.

mod companion;
mod figures;
mod measured;
mod network;
#[path = "../../../tests/common/proxmox/mod.rs"]
mod simulator;
#[path = "../../../tests/common/frames.rs"]
#[allow(
    unreachable_pub,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used
)]
mod wire;

use crate::lane::on_core;
use crate::section::Section;
use crate::{Setting, progress};
use measured::{Measured, Plan};
use std::error::Error;
use std::fs;

/// The core of the simulator, of the guests, and of who measures.
const OTHERS: usize = 1;
const TITLE: &str = "instances-proxmox, a simulator of Proxmox VE that answers after 5 ms, dnsmasq; a cycle is 10 s";

/// A handful, as PVE-Leazzard was measured with.
const FEW: Plan = Plan { guests: 25, nodes: 3, prefix: 23, cycles: 6, polls: 0, moves: 0, has_illegal: true };
const MANY: Plan = Plan { guests: 1000, nodes: 10, prefix: 21, cycles: 6, polls: 4, moves: 10, has_illegal: false };
const LARGE: Plan = Plan { guests: 10_000, nodes: 20, prefix: 18, cycles: 3, polls: 0, moves: 0, has_illegal: false };

pub(crate) fn run(setting: &Setting) -> Section {
    let columns = [FEW, MANY, LARGE].map(|plan| format!("{} guests", plan.guests));
    let columns = columns.into_iter().chain(["PVE-Leazzard, 25 guests".to_owned()]).collect();
    let mut section = Section::new("proxmox", TITLE, columns);
    let all = [FEW, MANY, LARGE].map(|plan| {
        progress(&format!("proxmox, {} guests", plan.guests));
        match measured(plan, setting) {
            Ok(measured) => Some(measured),
            Err(error) => {
                section.skip(&format!("{} guests", plan.guests), &*error);
                None
            }
        }
    });
    figures::tell(&all, &mut section);
    section
}

fn measured(plan: Plan, setting: &Setting) -> Result<Measured, Box<dyn Error>> {
    let folder = setting.folder.join(plan.guests.to_string());
    fs::create_dir(&folder)?;
    // Out of its thread comes but the error's text.
    Ok(on_core(OTHERS, || Measured::of(plan, &folder).map_err(|error| error.to_string()))?)
}
