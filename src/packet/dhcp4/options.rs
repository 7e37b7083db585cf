//! Options: where they lie in a message (RFC 2132, overload included), joined where they were sent in pieces (RFC 3396).

use crate::packet::{Malformed, length8};
use std::borrow::Cow;

/// Numbers of options (IANA's BOOTP vendor extensions and DHCP options).
pub mod number {
    /// Nothing, without a length (RFC 2132).
    pub const PAD: u8 = 0;
    /// Subnet mask.
    pub const MASK: u8 = 1;
    /// Routers.
    pub const ROUTER: u8 = 3;
    /// Domain name servers.
    pub const NAMESERVERS: u8 = 6;
    /// Host name.
    pub const HOSTNAME: u8 = 12;
    /// Domain name.
    pub const DOMAIN: u8 = 15;
    /// MTU of the interface.
    pub const MTU: u8 = 26;
    /// Broadcast address.
    pub const BROADCAST: u8 = 28;
    /// NTP servers.
    pub const NTP: u8 = 42;
    /// The address that is asked for.
    pub const REQUESTED: u8 = 50;
    /// Lifetime of a lease, seconds.
    pub const LIFETIME: u8 = 51;
    /// Whether `file` (1), `sname` (2) or both (3) hold options.
    pub const OVERLOAD: u8 = 52;
    /// What a message is.
    pub const KIND: u8 = 53;
    /// Which server.
    pub const SERVER: u8 = 54;
    /// What the client asks for.
    pub const PARAMETERS: u8 = 55;
    /// Why not, for people.
    pub const MESSAGE: u8 = 56;
    /// Octets that a message may have.
    pub const LARGEST: u8 = 57;
    /// Seconds until a lease is renewed (T1).
    pub const RENEWAL: u8 = 58;
    /// Seconds until any server is asked (T2).
    pub const REBINDING: u8 = 59;
    /// Who the client is (RFC 6842: echoed).
    pub const CLIENT_ID: u8 = 61;
    /// Name of the TFTP server.
    pub const TFTP: u8 = 66;
    /// Name of the boot file.
    pub const BOOTFILE: u8 = 67;
    /// What a relay adds (RFC 3046: echoed, last).
    pub const RELAY: u8 = 82;
    /// Domain search list (RFC 3397).
    pub const SEARCH: u8 = 119;
    /// Classless routes (RFC 3442).
    pub const ROUTES: u8 = 121;
    /// The same, as old Windows knows it.
    pub const MICROSOFT_ROUTES: u8 = 249;
    /// No more options, without a length.
    pub const END: u8 = 255;
}

/// A message's options, each whole. The fields that hold them are read as one, in the order of RFC 3396, section 5.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options<'a> {
    /// The options field, then `file`, then `sname`, as far as they hold options.
    areas: [&'a [u8]; 3],
    present: Numbers,
}

impl<'a> Options<'a> {
    /// Options of these fields; `file` and `server_name` count if option 52 says so.
    pub fn parse(area: &'a [u8], file: &'a [u8], server_name: &'a [u8]) -> Result<Self, Malformed> {
        let mut options = Self { areas: [area, &[], &[]], present: Numbers::default() };
        options.check(area)?;
        let overload = match options.fixed(number::OVERLOAD, "DHCP: option 52 is not one octet")? {
            None => return Ok(options),
            Some([overload @ 1..=3]) => overload,
            Some(_) => return Err(Malformed("DHCP: option 52 is not 1, 2 or 3")),
        };
        let of_file = if overload & 1 == 0 { &[][..] } else { file };
        let of_name = if overload & 2 == 0 { &[][..] } else { server_name };
        for field in [of_file, of_name].into_iter().filter(|field| !field.is_empty()) {
            options.check(field)?;
            if (Pieces { rest: field }).any(|piece| matches!(piece, Ok((number::OVERLOAD, _)))) {
                return Err(Malformed("DHCP: option 52 in an overloaded field"));
            }
        }
        options.areas = [area, of_file, of_name];
        Ok(options)
    }

    fn check(&mut self, area: &'a [u8]) -> Result<(), Malformed> {
        for piece in (Pieces { rest: area }) {
            let (number, _) = piece?;
            self.present.insert(number);
        }
        Ok(())
    }

    fn pieces(&self) -> impl Iterator<Item = (u8, &'a [u8])> + use<'a> {
        self.areas.into_iter().filter(|area| !area.is_empty()).flat_map(|rest| Pieces { rest }.map_while(Result::ok))
    }

    /// An option's content.
    pub fn get(&self, number: u8) -> Option<Cow<'a, [u8]>> {
        if !self.present.contains(number) {
            return None;
        }
        let mut pieces = self.pieces().filter(|(n, _)| *n == number).map(|(_, content)| content);
        let mut joined = Cow::Borrowed(pieces.next()?);
        pieces.for_each(|piece| joined.to_mut().extend(piece));
        Some(joined)
    }

    /// The content of an option that has so many octets, never others.
    pub fn fixed<const N: usize>(&self, number: u8, otherwise: &'static str) -> Result<Option<[u8; N]>, Malformed> {
        match self.get(number) {
            None => Ok(None),
            Some(content) => <[u8; N]>::try_from(&content[..]).map(Some).map_err(|_| Malformed(otherwise)),
        }
    }

    /// All options but [`number::OVERLOAD`], joined, in the order in which they begin.
    pub fn all(&self) -> Vec<(u8, Vec<u8>)> {
        let (mut seen, mut all) = (Numbers::default(), Vec::new());
        seen.insert(number::OVERLOAD);
        for (number, _) in self.pieces() {
            if seen.insert(number) {
                all.extend(self.get(number).map(|content| (number, content.into_owned())));
            }
        }
        all
    }
}

/// A set of numbers of options.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Numbers([u128; 2]);

impl Numbers {
    /// Whether it is there now and was not before.
    pub fn insert(&mut self, number: u8) -> bool {
        let new = !self.contains(number);
        if let Some(half) = self.0.get_mut(usize::from(number >> 7)) {
            *half |= 1 << (number & 0x7f);
        }
        new
    }

    /// Whether it is there.
    pub fn contains(&self, number: u8) -> bool {
        self.0.get(usize::from(number >> 7)).is_some_and(|half| half >> (number & 0x7f) & 1 == 1)
    }
}

/// Options of one field, in pieces as they were sent, up to option 255 or, where that was left
/// out, the end of the field: other servers are as lenient.
struct Pieces<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Pieces<'a> {
    type Item = Result<(u8, &'a [u8]), Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let wrong = match *self.rest {
                [number::PAD, ref rest @ ..] => {
                    self.rest = rest;
                    continue;
                }
                [] | [number::END, ..] => return None,
                [number, length, ref rest @ ..] => match rest.split_at_checked(usize::from(length)) {
                    Some((content, rest)) => {
                        self.rest = rest;
                        return Some(Ok((number, content)));
                    }
                    None => "DHCP: option longer than its field",
                },
                [_] => "DHCP: option without a length",
            };
            // Whoever goes on finds the end.
            self.rest = &[number::END];
            return Some(Err(Malformed(wrong)));
        }
    }
}

/// Octets that [`put_option`] takes for a content of this length.
pub fn option_length(content: usize) -> usize {
    content + 2 * content.div_ceil(255).max(1)
}

/// Appends an option; what is longer than 255 octets in pieces of the same number (RFC 3396).
pub fn put_option(bytes: &mut Vec<u8>, number: u8, content: &[u8]) {
    let mut rest = content;
    loop {
        let (piece, after) = rest.split_at(rest.len().min(255));
        bytes.extend([number, length8(piece.len())]);
        bytes.extend_from_slice(piece);
        rest = after;
        if rest.is_empty() {
            return;
        }
    }
}
