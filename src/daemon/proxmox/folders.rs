//! What has to be there before anything is written or started.

use crate::cli::proxmox::{Config, Dnsmasq};
use crate::error::{Error, Result, in_words};
use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

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
        make_one(folder).map_err(|error| {
            let why = in_words(&error);
            Error::new(format!("cannot make the folder {}: {why}", folder.display()))
                .remedy("run as root, make it yourself, or name another place")
        })?;
    }
    let reservations = &config.places.dhcp_hostsfile;
    match File::create_new(reservations) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(Error::io("make", reservations, &error)),
        _ => Ok(()),
    }
}

/// Whatever the umask says: dnsmasq reads what is in there as somebody else.
fn make_one(folder: &Path) -> io::Result<()> {
    if folder.as_os_str().is_empty() || folder.is_dir() {
        return Ok(());
    }
    fs::create_dir_all(folder)?;
    fs::set_permissions(folder, Permissions::from_mode(0o755))
}
