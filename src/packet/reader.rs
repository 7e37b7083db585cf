use super::Malformed;

/// Reads from front to back. What was read is never seen again, so whatever is made of readers and of pieces taken from
/// them ends, and nothing in it overlaps.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
    too_short: Malformed,
}

impl<'a> Reader<'a> {
    /// Reads these octets; if they end too early, that is `too_short`.
    pub(crate) const fn new(bytes: &'a [u8], too_short: &'static str) -> Self {
        Self { rest: bytes, too_short: Malformed(too_short) }
    }

    /// Whether all is read.
    pub(crate) const fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// What is left.
    pub(crate) const fn rest(self) -> &'a [u8] {
        self.rest
    }

    /// The next octets, as many as `length`.
    pub(crate) fn take(&mut self, length: usize) -> Result<&'a [u8], Malformed> {
        let (taken, rest) = self.rest.split_at_checked(length).ok_or(self.too_short)?;
        self.rest = rest;
        Ok(taken)
    }

    /// The next `N` octets.
    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (taken, rest) = self.rest.split_first_chunk().ok_or(self.too_short)?;
        self.rest = rest;
        Ok(*taken)
    }

    /// The next octet.
    pub(crate) fn u8(&mut self) -> Result<u8, Malformed> {
        self.array().map(u8::from_be_bytes)
    }

    /// The next two octets, a number in network order.
    pub(crate) fn u16(&mut self) -> Result<u16, Malformed> {
        self.array().map(u16::from_be_bytes)
    }

    /// The next four octets, a number in network order.
    pub(crate) fn u32(&mut self) -> Result<u32, Malformed> {
        self.array().map(u32::from_be_bytes)
    }

    /// All that is left, in pieces of `N` octets; anything over is `Err`.
    pub(crate) fn arrays<const N: usize>(self) -> Result<Vec<[u8; N]>, Malformed> {
        match self.rest.as_chunks() {
            (pieces, []) => Ok(pieces.to_vec()),
            _ => Err(self.too_short),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_goes_forward_and_never_past_the_end() {
        let mut reader = Reader::new(&[1, 2, 3, 4, 5, 6, 7, 8], "short");
        assert_eq!((reader.u8(), reader.u16()), (Ok(1), Ok(0x0203)));
        assert_eq!(reader.u32(), Ok(0x0405_0607));
        assert_eq!(reader.take(2), Err(Malformed("short")));
        assert_eq!((reader.rest(), reader.is_empty()), (&[8][..], false));
        assert_eq!(reader.take(1), Ok(&[8][..]));
        assert_eq!((reader.u8(), reader.is_empty()), (Err(Malformed("short")), true));
    }

    #[test]
    fn pieces_must_come_out_even() {
        let reader = Reader::new(&[1, 2, 3, 4], "odd");
        assert_eq!(reader.arrays::<2>(), Ok(vec![[1, 2], [3, 4]]));
        assert_eq!(reader.arrays::<3>(), Err(Malformed("odd")));
        assert_eq!(Reader::new(&[], "odd").arrays::<3>(), Ok(vec![]));
    }
}
