//! Others' files that hold answers for MAC addresses and nothing else. What else there is stays: it may be that the folder is
//! another than it was meant to be.

use super::name::{self, FileNames, Name};
use super::{HostsDir, listing};
use crate::error::Result;
use crate::sink::folder::Folder;
use std::ffi::CString;
use std::path::Path;

/// The names of those files, beside whoever keeps the folder in step.
///
/// # Errors
/// There is no folder, or it cannot be read.
pub fn purgeable(path: &Path, names: FileNames) -> Result<Vec<String>> {
    let found = find(&Folder::look_at(path)?, names)?;
    Ok(found.into_iter().map(|name| name.to_string_lossy().into_owned()).collect())
}

fn find(folder: &Folder, names: FileNames) -> Result<Vec<CString>> {
    let mut found = Vec::new();
    folder.list(|name| {
        if names.parse(name.to_bytes()) == Name::Foreign {
            found.push(name.to_owned());
        }
    })?;
    found.retain(|name| {
        let content = folder.read(name.as_c_str(), listing::LONGEST).ok().and_then(|(content, _)| content);
        content.is_some_and(|content| name::answers(&content).is_some())
    });
    found.sort_unstable();
    Ok(found)
}

impl HostsDir {
    /// Deletes those files; their names.
    ///
    /// # Errors
    /// One cannot be deleted.
    pub fn purge(&mut self) -> Result<Vec<String>> {
        let mut deleted = Vec::new();
        for name in find(&self.folder, self.names)? {
            let shown = name.to_string_lossy().into_owned();
            self.folder.take_out(name.as_c_str()).map_err(|error| self.failure(&shown, &error.into()).error)?;
            deleted.push(shown);
        }
        self.folder.clear_staging();
        Ok(deleted)
    }
}
