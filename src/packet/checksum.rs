/// The Internet checksum of a packet whose checksum field is zero (RFC 1071). Over one whose field is filled in, it is zero
/// if the packet is as it was sent.
pub fn internet_checksum(bytes: &[u8]) -> u16 {
    folded(ones_sum(bytes))
}

/// The same over octets in two parts, the first of an even length: a pseudo header, and what it stands before.
pub(super) fn internet_checksum_of_both(first: &[u8], second: &[u8]) -> u16 {
    folded(ones_sum(first) + ones_sum(second))
}

/// Sums words of 32 bits, twice those of RFC 1071: modulo 0xffff it is the same (its section 2, C).
fn ones_sum(bytes: &[u8]) -> u64 {
    let (words, rest) = bytes.as_chunks::<4>();
    let sum: u64 = words.iter().map(|word| u64::from(u32::from_be_bytes(*word))).sum();
    let mut last = [0; 4];
    super::put(&mut last, 0, rest);
    sum + u64::from(u32::from_be_bytes(last))
}

fn folded(mut sum: u64) -> u16 {
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !u16::try_from(sum).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_rfc_1071_and_odd_lengths() {
        assert_eq!(internet_checksum(&[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7]), !0xddf2);
        assert_eq!(internet_checksum(&[1]), !0x0100);
        assert_eq!(internet_checksum(&[]), 0xffff);
        assert_eq!(internet_checksum(&vec![0xff; 131_072]), 0);
        assert_eq!(internet_checksum(&[0, 1, 2, 3, 4, 5, 6]), !(0x0001 + 0x0203 + 0x0405 + 0x0600));
    }

    #[test]
    fn two_parts_are_as_one() {
        let bytes: Vec<u8> = (0..=255).rev().collect();
        for (first, whole) in [(0, 0), (2, 9), (10, 256), (12, 255), (36, 256)] {
            let (left, right) = bytes[..whole].split_at(first);
            assert_eq!(internet_checksum_of_both(left, right), internet_checksum(&bytes[..whole]));
        }
    }
}
