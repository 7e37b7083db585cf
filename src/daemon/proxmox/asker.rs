//! Asking a dnsmasq by DNS whether it answers, and what it is.

use crate::sink::dnsmasq::{Version, asking};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use tokio::net::UdpSocket;

/// Whoever asks, always at the same place.
#[derive(Debug)]
pub(super) struct Asker {
    socket: UdpSocket,
    asked: u16,
}

impl Asker {
    /// Of the dnsmasq that serves this address.
    ///
    /// # Errors
    /// The system has no socket for that.
    pub async fn new(place: SocketAddr) -> io::Result<Self> {
        let any: IpAddr = match place {
            SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
            SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
        };
        let socket = UdpSocket::bind((any, 0)).await?;
        socket.connect(place).await?;
        Ok(Self { socket, asked: 0 })
    }

    /// Asks, without waiting for the answer. What cannot be sent is not answered.
    pub async fn ask(&mut self) {
        self.asked = self.asked.wrapping_add(1);
        let _ = self.socket.send(&asking::question(self.asked)).await;
    }

    /// What comes next, as [`asking::answer`] has it; an error, which is what the system heard about an earlier question, is no answer:
    /// nobody listens. Cancel-safe.
    pub async fn answer(&self) -> Option<Option<Version>> {
        let mut answer = [0; 512];
        let length = self.socket.recv(&mut answer).await.ok()?;
        asking::answer(answer.get(..length)?)
    }
}
