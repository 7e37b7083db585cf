//! Packets from the kernel's queues (NFQUEUE), all by one socket, and their verdicts.
//!
//! No packet is left without a verdict. [`Socket::round`] gets it as the return value of whoever looks at the packet, and
//! sends it for all packets of the queue up to this one: a message that could not be read is covered by the next one
//! that could. When the process ends, in whatever way, the kernel drops what it holds for its socket. A panic aborts the
//! program (`panic = "abort"`), for what it would leave is not known; systemd starts it again, and nothing has to be restored.
//!
//! NETLINK_NO_ENOBUFS is not set: we want to know when packets are lost on their way to us. It does not come to that as
//! long as the receive buffer holds everything that the queues may, which it does.

use crate::error::{Error, Result, in_words};
use crate::netlink::nfqueue::{Packet, Verdict, bind, verdict};
use crate::netlink::{ERROR, Message, Messages, Writer};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::io::Errno;
use rustix::net::netlink::{NETFILTER, SocketAddrNetlink};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, sockopt};
use std::collections::VecDeque;
use std::fmt;

/// Packets that wait in a queue. At 64,000 a second, that is a sixteenth of a second which we may be busy elsewhere.
pub const LONGEST: u32 = 4096;
/// Octets of a packet that are copied: more than any that is meant for us. Longer ones are marked.
pub const COPIED: u32 = 4096;
/// What a short packet costs of a socket's receive buffer, with the kernel's own; about, and at least.
const SHARE: usize = 2048;
/// The receive buffer, bytes. The kernel doubles it.
const BUFFER: usize = 4 * LONGEST as usize * SHARE;
/// Bytes of a message that are read: a packet and its attributes.
const MESSAGE: usize = COPIED as usize + 1024;

/// The socket.
pub struct Socket {
    fd: OwnedFd,
    buffer: Vec<u8>,
    sequence: u32,
    /// Packets that came while we waited for something else.
    early: VecDeque<Vec<u8>>,
    verdicts: Verdicts,
    /// What went wrong so far.
    pub losses: Losses,
}

/// What went wrong, in numbers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Losses {
    /// How often the kernel said that it could not deliver packets to us (ENOBUFS). It dropped those.
    pub overruns: u64,
    /// Messages that could not be read.
    pub malformed: u64,
    /// Verdicts that the kernel refused: most likely since the packets were gone with their interface or queue.
    pub refused: u64,
}

/// Why there are no packets from a queue.
#[derive(Debug)]
pub enum Refused {
    /// Somebody else has the queue.
    Taken(Holder),
    /// We may not.
    NotPermitted,
    /// The kernel says no, or cannot.
    Kernel(Errno),
}

/// Who has a queue: the netlink port, which is usually the process's number, and that process's name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    port: i64,
    name: Option<String>,
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            Some(name) => write!(f, "process {} ({})", self.port, crate::net::Shown(name)),
            None => write!(f, "another program (netlink port {})", self.port),
        }
    }
}

impl Socket {
    /// Connects to netfilter.
    ///
    /// # Errors
    /// The kernel has no netfilter netlink, or no sockets can be had.
    pub fn open() -> Result<Self> {
        let open = || {
            let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
            let socket = rustix::net::socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, Some(NETFILTER))?;
            rustix::net::bind(&socket, &SocketAddrNetlink::new(0, 0))?;
            Ok(socket)
        };
        let socket = open().map_err(|error: Errno| {
            Error::new(format!("cannot open a netlink socket to netfilter: {}", in_words(&error.into())))
        })?;
        // Beyond the system's limit, which takes CAP_NET_ADMIN; so do queues.
        let _ = sockopt::set_socket_recv_buffer_size_force(&socket, BUFFER)
            .or_else(|_| sockopt::set_socket_recv_buffer_size(&socket, BUFFER));
        Ok(Self {
            fd: socket,
            buffer: vec![0; MESSAGE],
            sequence: 0,
            early: VecDeque::new(),
            verdicts: Verdicts::default(),
            losses: Losses::default(),
        })
    }

    /// Makes a queue ours until the socket is closed.
    ///
    /// # Errors
    /// [`Refused`].
    pub fn bind(&mut self, queue: u16) -> Result<(), Refused> {
        self.sequence = self.sequence.wrapping_add(1);
        let mut request = Writer::default();
        bind(&mut request, self.sequence, queue, COPIED, LONGEST);
        let request = request.finish().map_err(|_| Refused::Kernel(Errno::TOOBIG))?;
        self.send(&request).map_err(Refused::Kernel)?;
        match self.acknowledged().map_err(Refused::Kernel)? {
            0 => Ok(()),
            code if code == Errno::PERM.raw_os_error() || code == Errno::BUSY.raw_os_error() => {
                Err(holder(queue).map_or(Refused::NotPermitted, Refused::Taken))
            }
            code => Err(Refused::Kernel(Errno::from_raw_os_error(code))),
        }
    }

    /// The code of the answer to the last request. Packets that come before it are kept.
    fn acknowledged(&mut self) -> Result<i32, Errno> {
        loop {
            let length = match rustix::net::recv(&self.fd, self.buffer.as_mut_slice(), RecvFlags::empty()) {
                Ok((_, length)) => length,
                Err(Errno::WOULDBLOCK) => {
                    // The kernel answers while it takes the request; this is in case that it ever does not.
                    let mut fds = [PollFd::new(&self.fd, PollFlags::IN)];
                    match poll(&mut fds, Some(&Timespec { tv_sec: 5, tv_nsec: 0 })) {
                        Ok(0) => return Err(Errno::TIMEDOUT),
                        _ => continue,
                    }
                }
                Err(Errno::INTR) => continue,
                Err(Errno::NOBUFS) => {
                    self.losses.overruns += 1;
                    continue;
                }
                Err(error) => return Err(error),
            };
            let datagram = self.buffer.get(..length).unwrap_or_default();
            let is_answer = |message: &Message| message.kind == ERROR && message.sequence == self.sequence;
            match Messages(datagram).find(is_answer) {
                Some(answer) => return Ok(answer.error_code()),
                None => self.early.push_back(datagram.to_vec()),
            }
        }
    }

    /// Shows at most so many packets to `decide`, and gives each its verdict. Whether there may be more.
    ///
    /// # Errors
    /// The socket failed. Even so, what was received has its verdict.
    pub fn round(&mut self, most: usize, mut decide: impl FnMut(&Packet) -> Verdict) -> Result<bool, Errno> {
        let mut ended = Ok(true);
        for _ in 0..most {
            if let Some(datagram) = self.early.pop_front() {
                take_in(&datagram, &mut self.losses, &mut self.verdicts, &mut decide);
                continue;
            }
            match rustix::net::recv(&self.fd, self.buffer.as_mut_slice(), RecvFlags::empty()) {
                Ok((_, length)) => {
                    let datagram = self.buffer.get(..length).unwrap_or_default();
                    take_in(datagram, &mut self.losses, &mut self.verdicts, &mut decide);
                }
                Err(Errno::WOULDBLOCK) => {
                    ended = Ok(false);
                    break;
                }
                Err(Errno::INTR) => {}
                Err(Errno::NOBUFS) => self.losses.overruns += 1,
                Err(error) => {
                    ended = Err(error);
                    break;
                }
            }
        }
        let given = self.give_verdicts();
        ended.and_then(|more| given.map(|()| more))
    }

    fn give_verdicts(&mut self) -> Result<(), Errno> {
        let Some(messages) = self.verdicts.written() else { return Ok(()) };
        self.send(&messages)
    }

    /// The kernel takes verdicts and requests while we send them: it never makes us wait.
    fn send(&self, messages: &[u8]) -> Result<(), Errno> {
        loop {
            match rustix::net::send(&self.fd, messages, SendFlags::empty()) {
                Ok(_) => return Ok(()),
                Err(Errno::INTR) => {}
                Err(error) => return Err(error),
            }
        }
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

fn take_in(datagram: &[u8], losses: &mut Losses, verdicts: &mut Verdicts, decide: &mut impl FnMut(&Packet) -> Verdict) {
    let mut is_read = false;
    for message in Messages(datagram) {
        is_read = true;
        match Packet::of(&message) {
            Some(packet) => verdicts.add(packet.queue, packet.id, decide(&packet)),
            None if message.kind == ERROR => losses.refused += u64::from(message.error_code() != 0),
            None => losses.malformed += 1,
        }
    }
    losses.malformed += u64::from(!is_read);
}

/// The verdicts of a round: for each queue, runs of the same one, each up to its last packet.
#[derive(Debug, Default)]
struct Verdicts(Vec<Run>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Run {
    queue: u16,
    up_to: u32,
    verdict: Verdict,
}

impl Verdicts {
    fn add(&mut self, queue: u16, id: u32, verdict: Verdict) {
        // The last run of this queue: there are four queues.
        match self.0.iter_mut().rev().find(|run| run.queue == queue) {
            Some(run) if run.verdict == verdict => run.up_to = id,
            _ => self.0.push(Run { queue, up_to: id, verdict }),
        }
    }

    /// The messages for all of them; afterwards there are none.
    fn written(&mut self) -> Option<Vec<u8>> {
        if self.0.is_empty() {
            return None;
        }
        let mut writer = Writer::with_capacity(32 * self.0.len());
        for run in self.0.drain(..) {
            verdict(&mut writer, run.queue, run.up_to, run.verdict);
        }
        writer.finish().ok()
    }
}

/// A queue's line in /proc/net/netfilter/nfnetlink_queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct State {
    /// The queue's number.
    pub queue: u16,
    /// The netlink port of whoever has it.
    pub port: i64,
    /// Packets that wait for a verdict.
    pub waiting: u64,
    /// Packets that were dropped since too many waited.
    pub dropped: u64,
    /// Packets that were dropped since they did not fit the socket's buffer.
    pub user_dropped: u64,
}

/// All queues of this network namespace; none where the kernel shows none.
pub fn states() -> Vec<State> {
    let text = std::fs::read_to_string("/proc/thread-self/net/netfilter/nfnetlink_queue").unwrap_or_default();
    text.lines().filter_map(state).collect()
}

/// Queue, port, waiting, copy mode, copy range, dropped, user dropped, last identifier, 1.
fn state(line: &str) -> Option<State> {
    let mut fields = line.split_ascii_whitespace().map(str::parse::<i64>);
    let mut next = || fields.next()?.ok();
    let (queue, port, waiting) = (next()?, next()?, next()?);
    let (_mode, _range, dropped, user_dropped) = (next()?, next()?, next()?, next()?);
    Some(State {
        queue: queue.try_into().ok()?,
        port,
        waiting: waiting.try_into().ok()?,
        dropped: dropped.try_into().ok()?,
        user_dropped: user_dropped.try_into().ok()?,
    })
}

fn holder(queue: u16) -> Option<Holder> {
    let port = states().into_iter().find(|state| state.queue == queue)?.port;
    let name = std::fs::read_to_string(format!("/proc/{port}/comm")).ok();
    Some(Holder { port, name: name.map(|name| name.trim_end().to_owned()) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;
    use std::collections::HashMap;

    #[test]
    fn the_same_verdict_for_packets_in_a_row_is_one_message() {
        let mut verdicts = Verdicts::default();
        for (queue, id, verdict) in [
            (42, 1, Verdict::Drop),
            (43, 1, Verdict::Drop),
            (42, 2, Verdict::Drop),
            (42, 3, Verdict::Accept),
            (43, 2, Verdict::Drop),
            (42, 4, Verdict::Drop),
        ] {
            verdicts.add(queue, id, verdict);
        }
        let run = |queue, up_to, verdict| Run { queue, up_to, verdict };
        let expected = [
            run(42, 2, Verdict::Drop),
            run(43, 2, Verdict::Drop),
            run(42, 3, Verdict::Accept),
            run(42, 4, Verdict::Drop),
        ];
        assert_eq!(verdicts.0, expected);
        assert_eq!(verdicts.written().map(|messages| messages.len()), Some(4 * 32));
        assert_eq!(verdicts.written(), None);
    }

    proptest! {
        /// As the kernel reads it: a verdict is for all packets of a queue up to an identifier that have none.
        #[test]
        fn each_packet_gets_the_verdict_that_was_meant_for_it(packets in vec((0..3_u16, any::<bool>()), 0..100)) {
            let mut verdicts = Verdicts::default();
            let (mut last, mut waiting) = (HashMap::new(), Vec::new());
            for (queue, accepted) in packets {
                let id = last.entry(queue).and_modify(|id| *id += 1).or_insert(1);
                let verdict = if accepted { Verdict::Accept } else { Verdict::Drop };
                verdicts.add(queue, *id, verdict);
                waiting.push((queue, *id, verdict));
            }
            for run in verdicts.0 {
                waiting.retain(|(queue, id, verdict)| {
                    let covered = *queue == run.queue && *id <= run.up_to;
                    assert!(!covered || *verdict == run.verdict);
                    !covered
                });
            }
            prop_assert_eq!(waiting, []);
        }

        #[test]
        fn hostile_bytes_make_no_panic(noise in vec(any::<u8>(), 0..200)) {
            let (mut losses, mut verdicts) = (Losses::default(), Verdicts::default());
            take_in(&noise, &mut losses, &mut verdicts, &mut |_| Verdict::Accept);
            state(&String::from_utf8_lossy(&noise));
        }
    }

    #[test]
    fn the_kernels_table_of_queues_is_read() {
        let line = "   42  31337     3 2  4096     5     6      120  1";
        let expected = State { queue: 42, port: 31337, waiting: 3, dropped: 5, user_dropped: 6 };
        assert_eq!(state(line), Some(expected));
        // A second socket of a process has a port that is no process: negative as the kernel prints some.
        assert_eq!(state("42 -4182 0 2 4096 0 0 0 1").map(|state| state.port), Some(-4182));
        assert_eq!(state("42 1 0 2"), None);
    }
}
