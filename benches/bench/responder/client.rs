//! Guests that get leases, one after the other and eight at a time.
//!
//! An exchange is what a booting guest does: DISCOVER, OFFER, REQUEST, ACK, four packets by its own interface, with the
//! options that udhcpc sends, and each answer is looked at: transaction, kind, address, server. When an exchange has ended, the
//! next guest begins one; none waits for anything but its answers. One that has none after a second is lost, and its
//! place is taken by the next.

use super::site::{Guest, SERVER, Site};
use instances::packet::dhcp4::{Dhcp4, kind, number};
use instances::packet::{Ethernet, Ipv4, ether_type};
use instances::sink::packet_socket::PacketSocket;
use rustix::fd::OwnedFd;
use rustix::io::Errno;
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{AddressFamily, Protocol, RecvFlags, SocketFlags, SocketType};
use std::error::Error;
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

/// Exchanges at a time.
const WINDOW: usize = 8;
/// How long an answer is waited for.
const PATIENCE: Duration = Duration::from_secs(1);
/// Answers between two looks for what is lost.
const LOOK: u32 = 1024;

/// Where things are in a frame: behind Ethernet and IPv4 headers without options, and UDP's.
const UDP_CHECKSUM: usize = 40;
const MESSAGE: usize = 42;
const TRANSACTION: usize = MESSAGE + 4;
const YOURS: usize = MESSAGE + 16;
const OPTIONS: usize = MESSAGE + 240;

/// A question of a guest's; the transaction is written into it.
struct Question {
    frame: Vec<u8>,
    /// Sum of all that the UDP checksum is of, with transaction 0.
    sum: u16,
}

impl Question {
    fn new(guest: &Guest, message: &Dhcp4) -> Self {
        let packet = Ipv4::new(Ipv4Addr::UNSPECIFIED, Ipv4Addr::BROADCAST).packet(&message.segment());
        let frame = Ethernet::new(Ethernet::BROADCAST, guest.mac).frame(ether_type::IPV4, &packet);
        let checksum = frame.get(UDP_CHECKSUM..).and_then(|rest| rest.first_chunk()).copied();
        Self { frame, sum: !u16::from_be_bytes(checksum.unwrap_or_default()) }
    }

    fn with(&mut self, transaction: u32) -> &[u8] {
        let halves = (transaction >> 16) + (transaction & 0xffff) + u32::from(self.sum);
        let folded = (halves & 0xffff) + (halves >> 16);
        let folded = (folded & 0xffff) + (folded >> 16);
        // RFC 768: 0 would be no checksum.
        let checksum = match !u16::try_from(folded).unwrap_or_default() {
            0 => 0xffff,
            checksum => checksum,
        };
        write(&mut self.frame, UDP_CHECKSUM, checksum.to_be_bytes());
        write(&mut self.frame, TRANSACTION, transaction.to_be_bytes());
        &self.frame
    }
}

fn write<const N: usize>(frame: &mut [u8], at: usize, bytes: [u8; N]) {
    if let Some(place) = frame.get_mut(at..).and_then(|rest| rest.first_chunk_mut()) {
        *place = bytes;
    }
}

/// What a guest asks.
struct Questions {
    guest: Guest,
    discover: Question,
    request: Question,
}

impl Questions {
    fn of(guest: &Guest) -> Self {
        let message = |kind| {
            let identifier = [&[1][..], &guest.mac.0].concat();
            Dhcp4 { transaction: 0, ..Dhcp4::from_client(kind, guest.mac) }
                .with(number::CLIENT_ID, identifier)
                .with(number::LARGEST, 576_u16.to_be_bytes())
                .with(number::PARAMETERS, [1, 3, 6, 12, 15, 28, 42])
                .with(60, *b"udhcp 1.35.0")
        };
        let request = message(kind::REQUEST)
            .with(number::REQUESTED, guest.address.octets())
            .with(number::SERVER, SERVER.octets());
        let [discover, request] = [message(kind::DISCOVER), request].map(|message| Question::new(guest, &message));
        Self { guest: *guest, discover, request }
    }
}

/// An exchange that has begun.
#[derive(Clone, Copy)]
struct Exchange {
    guest: usize,
    transaction: u32,
    /// Whether it has an offer.
    is_offered: bool,
    since: Instant,
}

/// What came of a while.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Outcome {
    pub(super) exchanges: u32,
    pub(super) lost: u32,
    pub(super) time: Duration,
}

/// The guests of a site.
pub(super) struct Client {
    guests: Vec<Questions>,
    out: PacketSocket,
    receiver: OwnedFd,
    next_guest: usize,
    serial: u32,
    window: [Option<Exchange>; WINDOW],
}

impl Client {
    pub(super) fn new(site: &Site) -> Result<Self, Box<dyn Error>> {
        let (out, receiver) = site.behind_taps(|| (PacketSocket::open(), receiver()))?;
        let (out, receiver) = (out.map_err(|error| error.to_string())?, receiver?);
        let guests = site.guests.iter().map(Questions::of).collect();
        Ok(Self { guests, out, receiver, next_guest: 0, serial: 1, window: [None; WINDOW] })
    }

    /// Makes so many exchanges, or as many as there is time for, and ends those that have begun.
    pub(super) fn exchange(&mut self, most: u32, time: Duration) -> Result<Outcome, Box<dyn Error>> {
        let (start, mut begun, mut answers) = (Instant::now(), 0, 0);
        let mut outcome = Outcome::default();
        let mut buffer = [0; 2048];
        loop {
            let is_time = start.elapsed() < time;
            for place in 0..WINDOW {
                if self.window.get(place).is_some_and(Option::is_none) && is_time && begun < most {
                    begun += 1;
                    self.begin(place)?;
                }
            }
            if self.window.iter().all(Option::is_none) {
                break;
            }
            // Until an exchange has ended, whose place is then taken.
            while !self.answer(&mut buffer, &mut outcome)? {
                answers += 1;
                if answers % LOOK == 0 && self.give_up(&mut outcome) {
                    break;
                }
            }
        }
        outcome.time = start.elapsed();
        Ok(outcome)
    }

    /// The next guest's DISCOVER.
    fn begin(&mut self, place: usize) -> Result<(), Box<dyn Error>> {
        let guest = self.next_guest % self.guests.len();
        self.next_guest = guest + 1;
        self.serial = self.serial.wrapping_add(1);
        let transaction = self.serial << 3 | u32::try_from(place)?;
        let questions = self.guests.get_mut(guest).ok_or("no guest")?;
        let exchange = Exchange { guest, transaction, is_offered: false, since: Instant::now() };
        if let Some(place) = self.window.get_mut(place) {
            *place = Some(exchange);
        }
        Ok(self.out.send(questions.guest.interface, questions.discover.with(transaction))?)
    }

    /// Takes in one packet. Whether an exchange ended with it, or for want of one.
    fn answer(&mut self, buffer: &mut [u8], outcome: &mut Outcome) -> Result<bool, Box<dyn Error>> {
        let length = match rustix::net::recv(&self.receiver, &mut *buffer, RecvFlags::empty()) {
            Ok((_, length)) => length,
            Err(Errno::AGAIN) => return Ok(self.give_up(outcome)),
            Err(Errno::INTR) => return Ok(false),
            Err(error) => return Err(error.into()),
        };
        let frame = buffer.get(..length).unwrap_or_default();
        let Some((transaction, kind)) = reply(frame) else { return Ok(false) };
        let Some(place) = self.window.get_mut((transaction & 7) as usize) else { return Ok(false) };
        let Some(exchange) = place.as_mut().filter(|exchange| exchange.transaction == transaction) else {
            return Ok(false);
        };
        let questions = self.guests.get_mut(exchange.guest).ok_or("no guest")?;
        if frame.get(YOURS..YOURS + 4) != Some(&questions.guest.address.octets()[..]) {
            return Err(format!("another address than {}: {frame:02x?}", questions.guest.address).into());
        }
        match kind {
            kind::OFFER if !exchange.is_offered => {
                exchange.is_offered = true;
                exchange.since = Instant::now();
                self.out.send(questions.guest.interface, questions.request.with(transaction))?;
                Ok(false)
            }
            kind::ACK if exchange.is_offered => {
                *place = None;
                outcome.exchanges += 1;
                Ok(true)
            }
            other => Err(format!("message type {other} is no answer").into()),
        }
    }

    /// Forgets exchanges that have waited for too long; whether there were any.
    fn give_up(&mut self, outcome: &mut Outcome) -> bool {
        let before = outcome.lost;
        for place in &mut self.window {
            if place.is_some_and(|exchange| exchange.since.elapsed() > PATIENCE) {
                *place = None;
                outcome.lost += 1;
            }
        }
        outcome.lost > before
    }
}

/// Receives all IPv4 packets of the namespace.
fn receiver() -> Result<OwnedFd, Errno> {
    let protocol = Protocol::from_raw(u32::from(ether_type::IPV4.to_be()).try_into().map_err(|_| Errno::INVAL)?);
    let socket =
        rustix::net::socket_with(AddressFamily::PACKET, SocketType::RAW, SocketFlags::CLOEXEC, Some(protocol))?;
    set_socket_timeout(&socket, Timeout::Recv, Some(PATIENCE / 4))?;
    Ok(socket)
}

/// Transaction and kind of a server's message to a client, which names the server as its sender.
fn reply(frame: &[u8]) -> Option<(u32, u8)> {
    let ports = frame.get(34..38)?;
    if frame.get(23) != Some(&17) || ports != [0, 67, 0, 68] {
        return None;
    }
    let (mut kind, mut server, mut options) = (None, None, frame.get(OPTIONS..)?);
    while let [code, length, rest @ ..] = options {
        if *code == number::END {
            break;
        }
        let (content, behind) = rest.split_at_checked(usize::from(*length))?;
        match *code {
            number::KIND => kind = content.first().copied(),
            number::SERVER => server = Some(content),
            _ => {}
        }
        options = behind;
    }
    let transaction = u32::from_be_bytes(*frame.get(TRANSACTION..)?.first_chunk()?);
    (server == Some(&SERVER.octets()[..])).then_some((transaction, kind?))
}
