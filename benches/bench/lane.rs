//! A bridge with guests in a network namespace of its own, and a sender that is told what its frames cost.
//!
//! A veth device hands a frame on at once: bridge, hooks and the receiving device all run in the sender's own system call.
//! So the CPU time of the sending thread is that of the whole way, and other people's programs on the machine do not
//! count.

use instances::net::Mac;
use nix::ifaddrs::getifaddrs;
use nix::sched::{CloneFlags, setns, unshare};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, bind, socket};
use rustix::net::SendFlags;
use rustix::process::Pid;
use rustix::thread::{CpuSet, sched_setaffinity};
use rustix::time::{ClockId, clock_gettime};
use std::error::Error;
use std::fmt::Write;
use std::fs::{self, File};
use std::io::{self, Read, Seek};
use std::os::fd::{AsRawFd, OwnedFd};
use std::process::Command;
use std::time::{Duration, Instant};

/// Where unicast frames go: known to the bridge behind the receiver's port, but not the receiver's own, whose network
/// stack ends its work there.
pub(crate) const DESTINATION: Mac = Mac([0x02, 0, 0, 0xff, 0xff, 0xff]);

/// The guest that frames are counted at.
const RECEIVER: &str = "receiver";

/// The namespace that this thread is in.
const NAMESPACE: &str = "/proc/thread-self/ns/net";

/// How long frames are waited for that another thread of the kernel's still has to bring.
const PATIENCE: Duration = Duration::from_secs(5);

/// Frames of one length, one behind the other.
pub(crate) struct Frames {
    bytes: Vec<u8>,
    length: usize,
}

impl Frames {
    /// All of `frames`, which must be of one length.
    pub(crate) fn new(frames: impl IntoIterator<Item = Vec<u8>>) -> Self {
        let (mut bytes, mut length) = (Vec::new(), 1);
        for frame in frames {
            length = frame.len();
            bytes.extend(frame);
        }
        Self { bytes, length }
    }

    pub(crate) fn len(&self) -> usize {
        self.bytes.len() / self.length
    }
}

/// What sending cost.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cost {
    /// Of this thread, for each frame.
    pub(crate) cpu_ns: f64,
    /// From first to last, for each frame.
    pub(crate) wall_ns: f64,
}

/// Guests `sender` and `other`, whose frames the bridge carries to `receiver`.
pub(crate) struct Lane {
    senders: Vec<OwnedFd>,
    /// The namespace's /proc/net/dev.
    devices: File,
    namespace: File,
}

/// Moves this thread, and what it starts, into a new network namespace.
pub(crate) fn enter_new_namespace() -> io::Result<()> {
    Ok(unshare(CloneFlags::CLONE_NEWNET)?)
}

impl Lane {
    /// In a new namespace, in which this thread stays.
    pub(crate) fn new(senders: &[&str]) -> Result<Self, Box<dyn Error>> {
        enter_new_namespace()?;
        // With snooping the bridge itself would join groups, and its reports would be counted.
        let mut batch = "link add br0 type bridge mcast_snooping 0\n".to_owned();
        for guest in senders.iter().chain([&RECEIVER]) {
            writeln!(batch, "link add {guest} arp off type veth peer name {guest}-port")?;
            writeln!(batch, "link set {guest}-port master br0")?;
        }
        ip(&batch)?;
        up(&batch)?;
        bridge(&format!("fdb add {DESTINATION} dev {RECEIVER}-port master static\n"))?;
        Self::here(senders)
    }

    /// No bridge at all: what it costs to send a frame and to receive it.
    pub(crate) fn without_bridge() -> Result<Self, Box<dyn Error>> {
        enter_new_namespace()?;
        let batch = format!("link add sender arp off type veth peer name {RECEIVER}\n");
        ip(&batch)?;
        up(&batch)?;
        Self::here(&["sender"])
    }

    fn here(senders: &[&str]) -> Result<Self, Box<dyn Error>> {
        let senders = senders.iter().map(|name| packet_socket(name)).collect::<Result<_, _>>()?;
        Ok(Self { senders, devices: File::open("/proc/thread-self/net/dev")?, namespace: File::open(NAMESPACE)? })
    }

    /// Moves this thread back into its namespace for `work` and for what comes after.
    pub(crate) fn inside<T>(&self, work: impl FnOnce() -> T) -> io::Result<T> {
        setns(&self.namespace, CloneFlags::CLONE_NEWNET)?;
        Ok(work())
    }

    /// Sends `count` of the frames, from `start` on and again from the first after the last, as guest number `guest`.
    pub(crate) fn send(&self, guest: usize, frames: &Frames, start: usize, count: usize) -> io::Result<Cost> {
        let socket = self.senders.get(guest).ok_or(io::ErrorKind::NotFound)?;
        let first = frames.bytes.get(start % frames.len() * frames.length..).unwrap_or_default();
        let again = frames.bytes.chunks_exact(frames.length).cycle();
        let turn = first.chunks_exact(frames.length).chain(again).take(count);
        let (wall, cpu) = (Instant::now(), cpu_time());
        for frame in turn {
            rustix::net::send(socket, frame, SendFlags::empty())?;
        }
        let (cpu, wall) = (cpu_time().saturating_sub(cpu), wall.elapsed());
        let each = |time: Duration| time.as_secs_f64() * 1e9 / f64::from(u32::try_from(count).unwrap_or(u32::MAX));
        Ok(Cost { cpu_ns: each(cpu), wall_ns: each(wall) })
    }

    /// The same for frames of which all must arrive, or none.
    pub(crate) fn send_all(&self, frames: &Frames, start: usize, count: usize, pass: bool) -> io::Result<Cost> {
        let before = self.received()?;
        let cost = self.send(0, frames, start, count)?;
        let expected = if pass { count as u64 } else { 0 };
        let deadline = Instant::now() + PATIENCE;
        let mut arrived = self.received()? - before;
        while arrived < expected && Instant::now() < deadline {
            std::thread::yield_now();
            arrived = self.received()? - before;
        }
        if arrived == expected {
            return Ok(cost);
        }
        Err(io::Error::other(format!("of {count} frames {arrived} arrived, not {expected}: the measurement is void")))
    }

    /// Frames that the receiver has had so far.
    fn received(&self) -> io::Result<u64> {
        let (mut devices, mut text) = (&self.devices, String::new());
        devices.rewind()?;
        devices.read_to_string(&mut text)?;
        let prefix = format!("{RECEIVER}:");
        let counters = text.lines().find_map(|line| line.trim_start().strip_prefix(&prefix));
        let packets = counters.and_then(|counters| counters.split_whitespace().nth(1)?.parse().ok());
        packets.ok_or_else(|| io::Error::other("no counters of the receiver"))
    }
}

/// Has a thread, or this one, run on this core alone, with what it starts. Where that is not allowed, there is a little more noise.
pub(crate) fn stay_on(thread: Option<Pid>, core: usize) {
    let mut cores = CpuSet::new();
    cores.set(core);
    let _ = sched_setaffinity(thread, &cores);
}

/// Runs `work` in a thread on this core, before all others there.
pub(crate) fn on_core<T: Send>(core: usize, work: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| {
        let pinned = scope.spawn(move || {
            stay_on(None, core);
            let _ = rustix::process::setpriority_process(Some(rustix::thread::gettid()), -20);
            work()
        });
        pinned.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.cast_unsigned(), u32::try_from(time.tv_nsec).unwrap_or_default())
}

/// A packet socket (packet(7)) on a device, which sends only. The device's address is taken as getifaddrs(3) gives it.
fn packet_socket(device: &str) -> Result<OwnedFd, Box<dyn Error>> {
    let mut addresses = getifaddrs()?.filter(|address| address.interface_name == device);
    let address = addresses.find_map(|address| address.address?.as_link_addr().copied());
    let address = address.ok_or_else(|| format!("no device {device}"))?;
    let socket = socket(AddressFamily::Packet, SockType::Raw, SockFlag::SOCK_CLOEXEC, None)?;
    bind(socket.as_raw_fd(), &address)?;
    Ok(socket)
}

/// Brings up what `batch` made, without addresses: no frame comes out that was not sent by us.
fn up(batch: &str) -> Result<(), Box<dyn Error>> {
    let words: Vec<_> = batch.split_whitespace().collect();
    let named = words.windows(2).filter(|pair| matches!(pair, ["add" | "name", _])).filter_map(|pair| pair.last());
    let mut commands = String::new();
    for device in named {
        fs::write(format!("/proc/sys/net/ipv6/conf/{device}/disable_ipv6"), "1")?;
        writeln!(commands, "link set {device} up")?;
    }
    ip(&commands)
}

pub(crate) fn ip(batch: &str) -> Result<(), Box<dyn Error>> {
    batched("ip", batch)
}

fn bridge(batch: &str) -> Result<(), Box<dyn Error>> {
    batched("bridge", batch)
}

fn batched(program: &str, batch: &str) -> Result<(), Box<dyn Error>> {
    let mut file = tempfile::tempfile()?;
    io::Write::write_all(&mut file, batch.as_bytes())?;
    file.rewind()?;
    let output = Command::new(program).args(["-batch", "-"]).stdin(file).output()?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("{program}: {}", String::from_utf8_lossy(&output.stderr)).into())
}
