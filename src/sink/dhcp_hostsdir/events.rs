//! What follows from what happens in the folder.

use super::watch::Event;
use super::{HostsDir, name};

impl HostsDir {
    /// Takes in what happened in the folder.
    pub(super) fn take_in(&mut self) {
        let Self { names, folder, watch, listing, bulk, unread, is_touched, .. } = self;
        watch.take(|event| match event {
            Event::Listed => {
                if let Some(bulk) = bulk {
                    bulk.disturbed();
                }
            }
            Event::Opened(name) => match names.parse(name) {
                name::Name::Own(who) => {
                    unread.remove(&who);
                    if let Some(bulk) = bulk {
                        bulk.disturbed();
                    }
                }
                name::Name::Bulk => {
                    if let Some(bulk) = bulk {
                        bulk.opened();
                    }
                }
                _ => {}
            },
            Event::Changed(name) if name == name::BULK.as_bytes() => {
                if let Some(bulk) = bulk {
                    bulk.moved();
                }
            }
            // While files are exchanged there are too many events to look after each; see the end of that.
            Event::Changed(_) if bulk.as_ref().is_some_and(|bulk| !bulk.is_written()) => {}
            Event::Changed(name) => *is_touched |= listing.differs(folder, *names, name),
            Event::Gone => *is_touched = true,
            Event::Lost => {
                *is_touched = true;
                unread.clear();
                if let Some(bulk) = bulk {
                    bulk.lost();
                }
            }
        });
    }
}
