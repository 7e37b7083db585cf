//! `instances-update`: one event or one wish of an admin, from the registry to the registry.

use crate::cli::print;
use crate::cli::update::{PROGRAM, Request, Work, command};
use crate::error::{Error, Result};
use crate::exit::Exit;
use crate::net::{Mac, Name, V6Class};
use crate::registry::paths::Paths;
use crate::registry::store::{self, Snapshot};
use crate::registry::{Amendment, HostInterface, Registry, lock::Lock, probe, wire};
use crate::source::host_iface::Interfaces;
use std::io::Write;
use std::net::IpAddr;

/// Does what was asked for. Results go to `out`, news about changes to `news` (standard error: dnsmasq logs it).
///
/// # Errors
/// One line for a person; the registry is as it was.
pub fn run(request: Request, interfaces: &dyn Interfaces, out: &mut dyn Write, news: &mut dyn Write) -> Result<Exit> {
    match request {
        Request::Help => print(out, format_args!("{}", command().render_help()))?,
        Request::Version => print(out, format_args!("{PROGRAM} {}\n", env!("CARGO_PKG_VERSION")))?,
        Request::NoAction => {
            let usage = command().render_usage();
            tell(news, format_args!("{PROGRAM}: no action given; see {PROGRAM} --help\n{usage}\n"));
            return Ok(Exit::Usage);
        }
        Request::Ignore => {}
        Request::HintRemove => tell(news, format_args!("{PROGRAM}: to delete an instance use --remove MAC\n")),
        Request::Work(paths, work) => on_registry(&paths, &work, interfaces, out, news)?,
    }
    Ok(Exit::Done)
}

fn on_registry(
    paths: &Paths,
    work: &Work,
    interfaces: &dyn Interfaces,
    out: &mut dyn Write,
    news: &mut dyn Write,
) -> Result<()> {
    if let Work::List { json } = work {
        // Needs no lock: the file is only ever replaced as a whole.
        return list(&store::read(&paths.registry())?.registry, *json, out);
    }
    // Asked before the lock is taken: the kernel may take its time, dnsmasq's other events must not wait for that.
    let interface = match work {
        Work::Initialize(name, _) => Some(interfaces.read(*name)?),
        _ => None,
    };
    let lock = Lock::acquire(&paths.lock())?;
    let path = paths.registry();
    if let Work::Observe(mac, address, _) = work
        && probe::changes_nothing(&lock, &path, *mac, *address)
    {
        return Ok(());
    }
    let Snapshot { mut registry, layout } = store::read(&path)?;
    let was_unique = layout.as_ref().is_some_and(|layout| probe::describes(&lock, &layout.version));
    let changed = match work {
        Work::Observe(mac, address, name) => registry.observe(*mac, *address, name.as_ref()),
        Work::Initialize(_, name) => interface.as_ref().is_some_and(|interface| registry.initialize(interface, name)),
        Work::Rename(mac, name) => registry.rename(*mac, name),
        Work::Remove(mac) => registry.remove(*mac),
        Work::Allow(mac, net) => amended(registry.allow(*mac, *net), *mac)?,
        Work::Disallow(mac, net) => amended(registry.disallow(*mac, *net), *mac)?,
        Work::SetPort(mac, port) => amended(registry.set_port(*mac, *port), *mac)?,
        Work::List { .. } => false,
    };
    let layout = if changed { Some(store::replace(&path, &paths.flag(), &registry)?) } else { layout };
    // No other work than this gives an instance an address that another may keep.
    let is_unique = was_unique && !matches!(work, Work::Initialize(..));
    if let Some(layout) = layout
        && (is_unique || registry.addresses_are_unique())
    {
        probe::remember(&lock, layout);
    }
    if changed {
        announce(work, interface.as_ref(), news);
    }
    Ok(())
}

fn amended(found: Amendment, mac: Mac) -> Result<bool> {
    match found {
        Amendment::Changed => Ok(true),
        Amendment::AsItWas => Ok(false),
        Amendment::NoSuchInstance => {
            Err(Error::new(format!("no instance has the MAC address {mac}")).remedy(format!("see {PROGRAM} --list")))
        }
    }
}

fn announce(work: &Work, interface: Option<&HostInterface>, news: &mut dyn Write) {
    let (mac, detail) = match work {
        Work::Observe(mac, address, Some(name)) => (*mac, format!(" [{address}] ({name})")),
        Work::Observe(mac, address, None) => (*mac, format!(" [{address}]")),
        Work::Rename(mac, name) => (*mac, format!(" ({name})")),
        Work::Remove(mac) => (*mac, String::new()),
        Work::Allow(mac, net) => (*mac, format!(" allowed {net}")),
        Work::Disallow(mac, net) => (*mac, format!(" no longer allowed {net}")),
        Work::SetPort(mac, Some(port)) => (*mac, format!(" port {port}")),
        Work::SetPort(mac, None) => (*mac, " no port".to_owned()),
        Work::Initialize(_, name) => match interface {
            Some(interface) => (interface.mac, format!(" ({name})")),
            None => return,
        },
        Work::List { .. } => return,
    };
    tell(news, format_args!("Instance updated: {mac}{detail}\n"));
}

/// Characters of the widest column of a table; a longer cell pushes the rest of its row aside.
const WIDEST: usize = 100;

/// The registry as a table for people, or as it is.
fn list(registry: &Registry, json: bool, out: &mut dyn Write) -> Result<()> {
    if json {
        return print(out, format_args!("{}", wire::to_text(registry)));
    }
    let mut rows = vec![["NAME", "MAC", "IPV4", "IPV6", "ALLOWED", "PORT"].map(str::to_owned)];
    for (mac, instance) in registry.iter() {
        let v6 = [V6Class::Global, V6Class::UniqueLocal, V6Class::LinkLocal].map(|class| instance.ipv6(class));
        rows.push([
            instance.name().map_or("-", Name::as_str).to_owned(),
            mac.to_string(),
            instance.ipv4().map_or_else(|| "-".to_owned(), |address| address.to_string()),
            joined(v6.into_iter().flatten().map(IpAddr::V6)),
            joined(instance.allowed()),
            joined(instance.port()),
        ]);
    }
    let mut widths = [0; 6];
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.len().min(WIDEST).max(*width);
        }
    }
    for row in &rows {
        let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}")).collect::<Vec<_>>();
        print(out, format_args!("{}\n", cells.join("  ").trim_end()))?;
    }
    Ok(())
}

fn joined<T: ToString>(items: impl IntoIterator<Item = T>) -> String {
    let items: Vec<_> = items.into_iter().map(|item| item.to_string()).collect();
    if items.is_empty() { "-".to_owned() } else { items.join(" ") }
}

/// Writes news, in one piece since others write there too; nobody listening is no reason to fail.
fn tell(news: &mut dyn Write, text: std::fmt::Arguments) {
    let _ = news.write_all(text.to_string().as_bytes());
}
