//! `instances-pxe-filter` against ironic-inspector's own filter and the simplest one that does the same, on a simulator of
//! Ironic's API; and with many ports and a real dnsmasq.

mod contender;
#[path = "../../../tests/common/ironic/mod.rs"]
mod ironic;
mod large;
mod network;
mod small;

use crate::Setting;
use crate::section::Section;
use std::error::Error;

const TITLE: &str = "PXE filters, period 3 s: nodes with one port each on a simulator of Ironic";

pub(crate) fn run(setting: &Setting) -> Result<Section, Box<dyn Error>> {
    let columns = ["first sync", "CPU per period", "ten changes", "the last of them", "memory"].map(str::to_owned);
    let mut section = Section::new("pxe-filter", TITLE, columns.to_vec());
    small::run(&setting.folder, &mut section)?;
    large::run(&setting.folder, &mut section)?;
    Ok(section)
}
