use std::fmt;

/// Writes messages one behind the other.
#[derive(Debug, Default)]
pub struct Writer {
    bytes: Vec<u8>,
    too_long: bool,
}

/// An attribute outgrew its 16-bit length, or a message its 32-bit one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooLong;

impl fmt::Display for TooLong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a netlink attribute is longer than 65535 bytes")
    }
}

const NESTED: u16 = 0x8000;

impl Writer {
    /// A writer with room for so many bytes.
    pub fn with_capacity(bytes: usize) -> Self {
        Self { bytes: Vec::with_capacity(bytes), too_long: false }
    }

    /// Bytes so far.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether nothing was written yet.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// A message: `header` is the family's own fixed header, `body` writes the attributes.
    pub fn message(&mut self, kind: u16, flags: u16, sequence: u32, header: &[u8], body: impl FnOnce(&mut Self)) {
        let start = self.bytes.len();
        self.bytes.extend([0; 4]);
        self.bytes.extend(kind.to_ne_bytes());
        self.bytes.extend(flags.to_ne_bytes());
        self.bytes.extend(sequence.to_ne_bytes());
        self.bytes.extend([0; 4]);
        self.bytes.extend(header);
        self.pad();
        body(self);
        let length = u32::try_from(self.bytes.len() - start).ok();
        self.patch(start, length.map(u32::to_ne_bytes));
    }

    /// An attribute.
    pub fn attribute(&mut self, kind: u16, value: &[u8]) {
        self.raw_attribute(kind, |writer| writer.bytes.extend(value));
    }

    /// A text, terminated by NUL.
    pub fn text(&mut self, kind: u16, value: &str) {
        self.raw_attribute(kind, |writer| {
            writer.bytes.extend(value.as_bytes());
            writer.bytes.push(0);
        });
    }

    /// A number in network order, as nf_tables wants it.
    pub fn number(&mut self, kind: u16, value: u32) {
        self.attribute(kind, &value.to_be_bytes());
    }

    /// An attribute that holds attributes.
    pub fn nested(&mut self, kind: u16, body: impl FnOnce(&mut Self)) {
        self.raw_attribute(kind | NESTED, body);
    }

    /// Sets flags of the message that starts at `start`.
    pub fn add_flags(&mut self, start: usize, flags: u16) {
        if let Some(place) = self.bytes.get_mut(start + 6..).and_then(|behind| behind.first_chunk_mut()) {
            *place = (u16::from_ne_bytes(*place) | flags).to_ne_bytes();
        }
    }

    /// Everything that was written.
    ///
    /// # Errors
    /// A length did not fit; sending that would silently lose what is behind it.
    pub fn finish(self) -> Result<Vec<u8>, TooLong> {
        if self.too_long { Err(TooLong) } else { Ok(self.bytes) }
    }

    fn raw_attribute(&mut self, kind: u16, value: impl FnOnce(&mut Self)) {
        let start = self.bytes.len();
        self.bytes.extend([0; 2]);
        self.bytes.extend(kind.to_ne_bytes());
        value(self);
        let length = u16::try_from(self.bytes.len() - start).ok();
        self.patch(start, length.map(u16::to_ne_bytes));
        self.pad();
    }

    fn patch<const N: usize>(&mut self, start: usize, length: Option<[u8; N]>) {
        match (length, self.bytes.get_mut(start..start + N)) {
            (Some(length), Some(place)) => place.copy_from_slice(&length),
            _ => self.too_long = true,
        }
    }

    fn pad(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }
}

/// One message.
#[derive(Debug, Clone, Copy)]
pub struct Message<'a> {
    /// Its type.
    pub kind: u16,
    /// Its flags.
    pub flags: u16,
    /// The sequence number of the request that it answers.
    pub sequence: u32,
    /// What follows the netlink header.
    pub body: &'a [u8],
}

impl<'a> Message<'a> {
    /// Length of the netlink header.
    pub const HEADER: usize = 16;

    /// Of an answer that ends something: errno, or 0 if all is well.
    pub fn error_code(&self) -> i32 {
        self.body.first_chunk().map_or(0, |code| i32::from_ne_bytes(*code)).saturating_neg()
    }

    /// The attributes behind a fixed header of `header` bytes.
    pub fn attributes(&self, header: usize) -> Attributes<'a> {
        Attributes(self.body.get(header..).unwrap_or_default())
    }
}

/// The messages in a buffer; ends at the first that is malformed.
#[derive(Debug, Clone)]
pub struct Messages<'a>(pub &'a [u8]);

impl<'a> Iterator for Messages<'a> {
    type Item = Message<'a>;

    fn next(&mut self) -> Option<Message<'a>> {
        let header = self.0.first_chunk::<{ Message::HEADER }>()?;
        let [l0, l1, l2, l3, k0, k1, f0, f1, s0, s1, s2, s3, ..] = *header;
        let length = usize::try_from(u32::from_ne_bytes([l0, l1, l2, l3])).ok()?;
        let body = self.0.get(Message::HEADER..length)?;
        self.0 = self.0.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some(Message {
            kind: u16::from_ne_bytes([k0, k1]),
            flags: u16::from_ne_bytes([f0, f1]),
            sequence: u32::from_ne_bytes([s0, s1, s2, s3]),
            body,
        })
    }
}

/// Attributes as (type, value); ends at the first that is malformed.
#[derive(Debug, Clone)]
pub struct Attributes<'a>(pub &'a [u8]);

impl<'a> Attributes<'a> {
    /// The value of the first attribute of this type.
    pub fn get(&self, kind: u16) -> Option<&'a [u8]> {
        self.clone().find(|(found, _)| *found == kind).map(|(_, value)| value)
    }

    /// The attributes inside an attribute; none if it is not there.
    #[must_use]
    pub fn nested(&self, kind: u16) -> Attributes<'a> {
        Attributes(self.get(kind).unwrap_or_default())
    }

    /// A number in network order.
    pub fn number(&self, kind: u16) -> Option<u32> {
        self.get(kind)?.try_into().ok().map(u32::from_be_bytes)
    }

    /// A text, without its final NUL.
    pub fn text(&self, kind: u16) -> Option<&'a str> {
        let bytes = self.get(kind)?;
        str::from_utf8(bytes.strip_suffix(&[0]).unwrap_or(bytes)).ok()
    }
}

impl<'a> Iterator for Attributes<'a> {
    type Item = (u16, &'a [u8]);

    fn next(&mut self) -> Option<(u16, &'a [u8])> {
        let [l0, l1, k0, k1] = *self.0.first_chunk::<4>()?;
        let length = usize::from(u16::from_ne_bytes([l0, l1]));
        let value = self.0.get(4..length)?;
        self.0 = self.0.get(length.next_multiple_of(4)..).unwrap_or_default();
        // Without the flags NLA_F_NESTED and NLA_F_NET_BYTEORDER.
        Some((u16::from_ne_bytes([k0, k1]) & 0x3fff, value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_written_is_read() {
        let mut writer = Writer::default();
        writer.message(7, 0x5, 42, &[1, 2, 3], |writer| {
            writer.text(1, "abc");
            writer.nested(2, |writer| writer.number(3, 0x0102_0304));
        });
        let bytes = writer.finish().expect("fits");
        let message = Messages(&bytes).next().expect("one message");
        assert_eq!((message.kind, message.flags, message.sequence), (7, 5, 42));
        let attributes = message.attributes(4);
        assert_eq!(attributes.text(1), Some("abc"));
        assert_eq!(attributes.nested(2).number(3), Some(0x0102_0304));
        assert_eq!(attributes.get(9), None);
    }

    #[test]
    fn an_attribute_that_does_not_fit_is_an_error_not_a_truncation() {
        let mut writer = Writer::default();
        writer.attribute(1, &vec![0; 65_531]);
        assert!(!writer.too_long);
        writer.attribute(1, &vec![0; 65_532]);
        assert_eq!(writer.finish(), Err(TooLong));
    }

    proptest! {
        #[test]
        fn readers_survive_any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            for message in Messages(&bytes) {
                let _ = message.attributes(4).text(1);
            }
            prop_assert!(Attributes(&bytes).count() <= bytes.len());
        }
    }
}
