//! An inspection network with a real dnsmasq, and a relay in it that asks for machines.

use super::contender::hostsdir;
use crate::lane::{enter_new_namespace, ip};
use nix::sched::{CloneFlags, setns};
use std::error::Error;
use std::fs::{self, File};
use std::io;
use std::net::{Ipv4Addr, UdpSocket};
use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

const SERVER: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 1);
const RELAY: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 2);
/// The namespace that this thread is in.
const NAMESPACE: &str = "/proc/thread-self/ns/net";
/// How long dnsmasq may take to start, and an answer at most.
const PATIENCE: Duration = Duration::from_secs(60);
/// From an answer to the next question.
const PAUSE: Duration = Duration::from_millis(20);
/// Machines that are asked for between two answers that show how far dnsmasq is.
const BURST: usize = 64;

/// A dnsmasq in a network namespace, in which this thread stays; and a relay in another. It ends with this.
pub(super) struct Network {
    dnsmasq: Child,
    pid_file: PathBuf,
    relay: UdpSocket,
}

impl Drop for Network {
    fn drop(&mut self) {
        let _ = self.dnsmasq.kill();
        let _ = self.dnsmasq.wait();
    }
}

impl Network {
    pub(super) fn new(folder: &Path) -> Result<Self, Box<dyn Error>> {
        enter_new_namespace()?;
        let behind = File::open(NAMESPACE)?;
        enter_new_namespace()?;
        let host = File::open(NAMESPACE)?;
        let netns = format!("/proc/{}/fd/{}", std::process::id(), behind.as_raw_fd());
        ip(&format!(
            "link set lo up\nlink add tap0 type veth peer name eth0 netns {netns}\nlink set tap0 up\n\
             addr add {SERVER}/16 dev tap0\n"
        ))?;
        setns(&behind, CloneFlags::CLONE_NEWNET)?;
        let relay = relay();
        setns(&host, CloneFlags::CLONE_NEWNET)?;
        let pid_file = folder.join("dnsmasq.pid");
        let network = Self { dnsmasq: dnsmasq(folder, &pid_file)?, pid_file, relay: relay? };
        let deadline = Instant::now() + PATIENCE;
        while !fs::read_to_string("/proc/thread-self/net/udp")?.contains(":0043 ") {
            if Instant::now() > deadline {
                return Err(fs::read_to_string(folder.join("dnsmasq.said"))?.into());
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(network)
    }

    pub(super) fn pid_file(&self) -> &Path {
        &self.pid_file
    }

    /// Asks for this machine, again and again until `ends`: the longest time to an answer.
    pub(super) fn longest_wait(&self, mac: &str, ends: &AtomicBool) -> io::Result<Wait> {
        let mut wait = Wait::default();
        while !ends.load(Ordering::SeqCst) {
            wait.questions += 1;
            self.relay.send(&discover(mac, wait.questions))?;
            let asked = Instant::now();
            while self.answer()?.is_none_or(|transaction| transaction != wait.questions) {
                if asked.elapsed() > PATIENCE {
                    return Err(io::Error::other(format!("dnsmasq does not answer {mac}")));
                }
            }
            wait.longest = wait.longest.max(asked.elapsed());
            std::thread::sleep(PAUSE);
        }
        Ok(wait)
    }

    /// How many of these machines dnsmasq answers; `allowed` is one that it does.
    pub(super) fn answered(&self, macs: &[String], allowed: &str) -> io::Result<usize> {
        let (mut answered, mut turn) = (0, 0x8000_0000);
        for burst in macs.chunks(BURST) {
            for mac in burst {
                self.relay.send(&discover(mac, 1))?;
            }
            // dnsmasq answers in the order in which it is asked.
            turn += 1;
            self.relay.send(&discover(allowed, turn))?;
            let asked = Instant::now();
            loop {
                match self.answer()? {
                    Some(1) => answered += 1,
                    Some(transaction) if transaction == turn => break,
                    _ if asked.elapsed() > PATIENCE => {
                        return Err(io::Error::other(format!("dnsmasq does not answer {allowed}")));
                    }
                    _ => {}
                }
            }
        }
        Ok(answered)
    }

    /// The transaction of the next answer, if one comes soon.
    fn answer(&self) -> io::Result<Option<u32>> {
        let mut buffer = [0; 1500];
        match self.relay.recv(&mut buffer) {
            Ok(_) => Ok(buffer.get(4..).and_then(|rest| rest.first_chunk()).copied().map(u32::from_be_bytes)),
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// How it was to ask.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Wait {
    pub(super) questions: u32,
    pub(super) longest: Duration,
}

fn relay() -> Result<UdpSocket, Box<dyn Error>> {
    ip(&format!("link set eth0 up\naddr add {RELAY}/16 dev eth0\n"))?;
    let socket = UdpSocket::bind((RELAY, 67))?;
    socket.connect((SERVER, 67))?;
    socket.set_read_timeout(Some(Duration::from_millis(100)))?;
    Ok(socket)
}

fn dnsmasq(folder: &Path, pid_file: &Path) -> Result<Child, Box<dyn Error>> {
    let (hostsdir, conf, said) = (hostsdir(folder), folder.join("dnsmasq.conf"), folder.join("dnsmasq.said"));
    fs::create_dir_all(&hostsdir)?;
    // It may have been made so that only root can enter.
    for folder in hostsdir.ancestors().take_while(|folder| folder.starts_with(env!("CARGO_TARGET_TMPDIR"))) {
        fs::set_permissions(folder, fs::Permissions::from_mode(0o755))?;
    }
    let text = format!(
        "port=0\ninterface=tap0\nexcept-interface=lo\nbind-interfaces\nno-ping\nuser=nobody\nquiet-dhcp\n\
         dhcp-range=10.77.1.1,10.77.254.254,255.255.0.0,1h\ndhcp-boot=inspector.ipxe\n\
         dhcp-hostsdir={}\npid-file={}\ndhcp-leasefile={}\n",
        hostsdir.display(),
        pid_file.display(),
        folder.join("dnsmasq.leases").display()
    );
    fs::write(&conf, text)?;
    let mut command = Command::new("dnsmasq");
    command.args(["--keep-in-foreground", "--log-facility=-"]).arg(format!("--conf-file={}", conf.display()));
    command.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(File::create(said)?);
    Ok(command.spawn().map_err(|error| format!("dnsmasq: {error}"))?)
}

/// A DHCPDISCOVER (RFC 2131) of this machine's, as a relay hands it on.
fn discover(mac: &str, transaction: u32) -> Vec<u8> {
    // BOOTREQUEST, Ethernet, six octets, one hop.
    let mut message = vec![1, 1, 6, 1];
    message.extend(transaction.to_be_bytes());
    // No seconds and flags; no addresses but the relay's.
    message.extend([0; 16]);
    message.extend(RELAY.octets());
    message.extend(mac.split(':').map(|octet| u8::from_str_radix(octet, 16).unwrap_or_default()));
    message.resize(236, 0);
    // The magic cookie, message type 1, the end.
    message.extend([99, 130, 83, 99, 53, 1, 1, 255]);
    // BOOTP's least length (RFC 1542, section 2.1).
    message.resize(300, 0);
    message
}
