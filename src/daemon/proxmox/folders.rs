//! What has to be there before anything is written or started.

use crate::cli::proxmox::{Config, Dnsmasq};
use crate::error::{Error, Result};
use crate::sink::folder;
use std::fs::File;
use std::io;

/// Makes the folders that are missing for what we write, and for what a dnsmasq of ours writes; and the file of reservations, for
/// dnsmasq complains if there is none.
///
/// # Errors
/// One cannot be made.
pub fn make(config: &Config) -> Result<()> {
    let mut files = vec![&config.state_file, &config.places.dhcp_hostsfile];
    if let Dnsmasq::Managed(settings) = &config.dnsmasq {
        files.extend([&settings.conf_file, &settings.conf.pid_file, &settings.conf.leases]);
    }
    let parents = files.into_iter().filter_map(|file| file.parent());
    for folder in parents.chain([config.places.hostsdir.as_path()]) {
        folder::make(folder)?;
    }
    let reservations = &config.places.dhcp_hostsfile;
    match File::create_new(reservations) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(Error::io("make", reservations, &error)),
        _ => Ok(()),
    }
}
