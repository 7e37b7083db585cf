//! `instances-nfdhcpd` against Kea and dnsmasq: what a lease costs, how many there are, what is lost; and what 10,000
//! bindings and taps cost.

mod client;
mod closed_loop;
mod many;
mod relay;
mod server;
mod site;

use crate::section::Section;
use crate::{Setting, kernel};
use std::error::Error;

const TITLE: &str =
    "Leases (DISCOVER, OFFER, REQUEST, ACK); eight exchanges at a time, or perfdhcp; 10,000 bindings: 64 taps";

pub(crate) fn run(setting: &Setting) -> Result<Section, Box<dyn Error>> {
    let columns = ["exchanges/s", "CPU of server", "and client", "lost"].map(str::to_owned);
    let mut section = Section::new("responder", TITLE, columns.to_vec());
    if let Some(why) = kernel::no_namespaces() {
        section.remarks.push(format!("SKIPPED: {why}"));
        return Ok(section);
    }
    // Before what else the machine does, servers and clients alike: both inherit it. Where it is not allowed, there is more noise.
    let _ = rustix::process::setpriority_process(Some(rustix::thread::gettid()), -20);
    let peak = closed_loop::run(&setting.folder, &mut section)?;
    relay::run(&setting.folder, &mut section)?;
    many::run(&setting.folder, peak, &mut section)?;
    Ok(section)
}
