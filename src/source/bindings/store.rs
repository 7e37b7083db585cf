//! Which binding each tap has: files and interfaces come and go, each in its own time.
//!
//! A file is bound to the interface of its name. Where there is none, but INDEV is one that only one guest can be behind, it
//! is bound to that (OpenNebula calls its files otherwise than the taps).

use super::file::Parsed;
use super::folder::{Content, Folder, Version};
use crate::error::Result;
use crate::net::{IfName, Mac};
use crate::plan::responder::{Binding, Client};
use crate::source::links::{Link, LinkEvent, Links};
use rustc_hash::FxHashMap;
use rustix::fd::{AsFd, BorrowedFd};
use std::collections::BTreeSet;
use std::net::Ipv6Addr;
use std::path::Path;
use std::sync::Arc;

/// A binding, and the file that it comes from.
#[derive(Debug, PartialEq, Eq)]
pub struct Bound {
    /// The file's name.
    pub file: Box<str>,
    /// What it says.
    pub binding: Binding,
}

/// Something happened to a tap.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// It has a binding and had none.
    Added {
        /// The tap's index.
        tap: u32,
    },
    /// It has another one.
    Changed {
        /// The tap's index.
        tap: u32,
        /// What it had.
        before: Arc<Bound>,
        /// What answers came from, if that is known.
        responder: Option<Mac>,
    },
    /// It has none any more.
    Removed {
        /// The tap's index.
        tap: u32,
        /// What it had.
        before: Arc<Bound>,
        /// What answers came from; `None` if the tap itself is gone.
        responder: Option<Mac>,
    },
}

/// What happened, in its order, and what the user should know, a line each.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct News {
    /// What happened to taps.
    pub events: Vec<Event>,
    /// What is wrong with files.
    pub notices: Vec<String>,
}

/// A binding, and the tap that has it: its index and its name.
pub type Placed<'a> = (&'a Arc<Bound>, Option<(u32, IfName)>);

/// Files, interfaces, and who has which.
pub struct Store {
    folder: Folder,
    links: Links,
    files: FxHashMap<Box<str>, Arc<Bound>>,
    /// Files that are bound to no interface of their name, by INDEV: at most one is served.
    by_indev: BTreeSet<(Box<str>, Box<str>)>,
    /// What was complained about, so that it is said once.
    complained: FxHashMap<Box<str>, Version>,
    taps: FxHashMap<u32, Arc<Bound>>,
    /// The addresses of instances whose taps are there.
    addresses: BTreeSet<(Ipv6Addr, u32)>,
}

impl Store {
    /// Watches and reads the folder, which need not exist. `links` are the interfaces by now.
    ///
    /// # Errors
    /// The folder cannot be watched.
    pub fn open(path: &Path, links: Links) -> Result<(Self, News)> {
        let mut store = Self {
            folder: Folder::watch(path)?,
            links,
            files: FxHashMap::default(),
            by_indev: BTreeSet::new(),
            complained: FxHashMap::default(),
            taps: FxHashMap::default(),
            addresses: BTreeSet::new(),
        };
        let news = store.read_all();
        Ok((store, news))
    }

    /// Who is behind a tap, if it has a binding.
    pub fn client(&self, tap: u32) -> Option<Client<'_>> {
        let bound = self.taps.get(&tap)?;
        Some(Client { binding: &bound.binding, responder: self.responder(tap, &bound.binding)? })
    }

    /// What a tap has.
    pub fn bound(&self, tap: u32) -> Option<&Arc<Bound>> {
        self.taps.get(&tap)
    }

    /// The taps that have a binding, in no order.
    pub fn taps(&self) -> impl Iterator<Item = u32> {
        self.taps.keys().copied()
    }

    /// How many bindings there are, and how many taps have one.
    pub fn count(&self) -> (usize, usize) {
        (self.files.len(), self.taps.len())
    }

    /// All bindings, in the files' order, and the taps that have them.
    pub fn all(&self) -> Vec<Placed<'_>> {
        let mut taps: FxHashMap<&str, (u32, IfName)> = FxHashMap::default();
        for (tap, bound) in &self.taps {
            taps.extend(self.links.get(*tap).map(|link| (&*bound.file, (*tap, link.name))));
        }
        let mut all: Vec<_> = self.files.values().map(|bound| (bound, taps.get(&*bound.file).copied())).collect();
        all.sort_by(|(a, _), (b, _)| a.file.cmp(&b.file));
        all
    }

    /// The interfaces.
    pub fn links(&self) -> &Links {
        &self.links
    }

    /// The folder of the files.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Whether an instance behind another tap has this address, its EUI64 or IP6, and does not hear for itself who looks
    /// for it: what is in the same bridge does.
    pub fn is_bound_elsewhere(&self, address: Ipv6Addr, tap: u32) -> bool {
        let bridge = |tap| self.links.get(tap).and_then(|link| link.master);
        let is_apart = |other: u32| other != tap && (bridge(other) != bridge(tap) || bridge(tap).is_none());
        self.addresses.range((address, 0)..=(address, u32::MAX)).any(|(_, other)| is_apart(*other))
    }

    /// Takes in what happened in the folder.
    ///
    /// # Errors
    /// It can be watched no more.
    pub fn folder_changed(&mut self) -> Result<News> {
        let changes = self.folder.changes()?;
        if changes.all {
            return Ok(self.read_all());
        }
        let mut news = News::default();
        for name in changes.files {
            self.read(&name, &mut news);
        }
        Ok(news)
    }

    /// Looks whether the folder is still the one that is watched, which may be asked from time to time.
    ///
    /// # Errors
    /// It can be watched no more.
    pub fn check_folder(&mut self) -> Result<News> {
        if self.folder.is_still_there()? { Ok(News::default()) } else { Ok(self.read_all()) }
    }

    /// Takes in what happened to an interface.
    pub fn link_changed(&mut self, event: LinkEvent) -> News {
        let mut news = News::default();
        let gone = match event {
            LinkEvent::Gone(index) => Some(index),
            // Two cannot have a name: we did not hear yet that the other one is gone.
            LinkEvent::Is(index, link) => {
                self.links.named(link.name).map(|(other, _)| other).filter(|other| *other != index)
            }
        };
        let names = self.links.apply(event);
        if let Some(gone) = gone {
            self.bind(gone, None, &mut news);
        }
        for name in names {
            self.settle(name, &mut news);
            // Whether a file of this name is bound by it or by its INDEV depends on whether there is an interface.
            let indev = self.files.get(name.as_str()).and_then(|bound| bound.binding.indev);
            if let Some(indev) = indev.filter(|indev| *indev != name) {
                self.settle(indev, &mut news);
            }
        }
        news
    }

    /// Takes in that the interfaces are these: some changes were not told.
    pub fn links_are(&mut self, now: &Links) -> News {
        let mut news = News::default();
        for event in self.links.until(now) {
            let News { events, notices } = self.link_changed(event);
            news.events.extend(events);
            news.notices.extend(notices);
        }
        news
    }

    /// Reads all files anew; those that are gone lose their bindings.
    pub fn read_all(&mut self) -> News {
        let mut news = News::default();
        let names = match self.folder.names() {
            Ok(Some(names)) => names,
            Ok(None) => {
                news.notices.push(format!("there is no {}: waiting for it", self.folder.path().display()));
                Vec::new()
            }
            Err(error) => {
                news.notices.push(format!("{error}; the bindings stay as they were"));
                return news;
            }
        };
        let there: rustc_hash::FxHashSet<&str> = names.iter().map(|name| &**name).collect();
        let gone: Vec<_> = self.files.keys().filter(|name| !there.contains(&***name)).cloned().collect();
        self.complained.retain(|name, _| there.contains(&**name));
        for name in gone {
            self.replace(&name, None, &mut news);
        }
        for name in &names {
            self.read(name, &mut news);
        }
        news
    }

    fn read(&mut self, name: &str, news: &mut News) {
        match self.folder.read(name) {
            Content::None => {
                self.complained.remove(name);
                self.replace(name, None, news);
            }
            Content::Binding(parsed, version) => {
                let Parsed { binding, warnings } = *parsed;
                let warnings: Vec<_> = warnings.iter().map(ToString::to_string).collect();
                self.complain(name, version, &warnings, news);
                self.replace(name, Some(binding), news);
            }
            Content::Wrong(problem, version) => {
                let kept = if self.files.contains_key(name) { "; what was bound before stays so" } else { "" };
                self.complain(name, version, &[format!("{problem}{kept}")], news);
            }
        }
    }

    fn complain(&mut self, name: &str, version: Version, problems: &[String], news: &mut News) {
        if problems.is_empty() {
            self.complained.remove(name);
            return;
        }
        if self.complained.insert(name.into(), version) != Some(version) {
            let path = self.folder.path().join(name);
            // A file's name may hold anything.
            let shown: String = path.to_string_lossy().replace(char::is_control, "?");
            news.notices.extend(problems.iter().map(|problem| format!("{shown}{problem}")));
        }
    }

    /// What a file says from now on.
    fn replace(&mut self, name: &str, binding: Option<Binding>, news: &mut News) {
        let before = self.files.get(name);
        if before.map(|bound| &bound.binding) == binding.as_ref() {
            return;
        }
        let interface: Option<IfName> = name.parse().ok();
        let other = |binding: &Binding| binding.indev.filter(|indev| Some(*indev) != interface);
        let was = before.and_then(|bound| other(&bound.binding));
        let is = binding.as_ref().and_then(other);
        if let Some(indev) = was {
            self.by_indev.remove(&(indev.as_str().into(), name.into()));
        }
        if let Some(indev) = is {
            self.by_indev.insert((indev.as_str().into(), name.into()));
        }
        match binding {
            Some(binding) => {
                self.files.insert(name.into(), Arc::new(Bound { file: name.into(), binding }));
            }
            None => {
                self.files.remove(name);
            }
        }
        // The ones that it may have been bound to, or may be from now on.
        for name in [interface, was, is.filter(|_| is != was)].into_iter().flatten() {
            self.settle(name, news);
        }
    }

    /// Gives the interface of this name the binding that it should have.
    fn settle(&mut self, name: IfName, news: &mut News) {
        let Some((tap, link)) = self.links.named(name) else { return };
        let wanted = self.wanted(link).cloned();
        self.bind(tap, wanted, news);
    }

    fn wanted(&self, link: &Link) -> Option<&Arc<Bound>> {
        let name = link.name.as_str();
        if let Some(bound) = self.files.get(name) {
            return Some(bound);
        }
        if !link.is_port {
            return None;
        }
        let from = (Box::from(name), Box::from(""));
        let claims = self.by_indev.range(from..).take_while(|(indev, _)| **indev == *name);
        // As many as there are, one may be served: that there are many is a mistake, and looking at all of them slow.
        let mut without_tap = claims.take(64).filter(|(_, file)| {
            let interface = file.parse().ok();
            interface.and_then(|name| self.links.named(name)).is_none()
        });
        without_tap.next().and_then(|(_, file)| self.files.get(file))
    }

    fn bind(&mut self, tap: u32, bound: Option<Arc<Bound>>, news: &mut News) {
        let before = match &bound {
            Some(bound) => self.taps.insert(tap, Arc::clone(bound)),
            None => self.taps.remove(&tap),
        };
        if let (Some(before), Some(bound)) = (&before, &bound)
            && Arc::ptr_eq(before, bound)
        {
            return;
        }
        for address in before.iter().flat_map(|bound| addresses(&bound.binding)) {
            self.addresses.remove(&(address, tap));
        }
        for address in bound.iter().flat_map(|bound| addresses(&bound.binding)) {
            self.addresses.insert((address, tap));
        }
        news.events.extend(match (before, bound) {
            (None, None) => None,
            (None, Some(_)) => Some(Event::Added { tap }),
            (Some(before), bound) => {
                let responder = self.responder(tap, &before.binding);
                Some(match bound {
                    Some(_) => Event::Changed { tap, before, responder },
                    None => Event::Removed { tap, before, responder },
                })
            }
        });
    }

    /// INDEV's MAC by now, otherwise the tap's.
    fn responder(&self, tap: u32, binding: &Binding) -> Option<Mac> {
        let link = self.links.get(tap)?;
        let indev = binding.indev.and_then(|indev| self.links.named(indev)).and_then(|(_, indev)| indev.mac);
        indev.or(link.mac)
    }
}

impl AsFd for Store {
    /// Readable when something happened in the folder.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.folder.as_fd()
    }
}

fn addresses(binding: &Binding) -> impl Iterator<Item = Ipv6Addr> + use<> {
    binding.eui64.into_iter().chain(binding.ip6)
}
