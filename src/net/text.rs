//! Addresses to and from text as `Display` and `FromStr` do it, but several times faster. The registry is read and written
//! with each new lease, and nearly all of it is addresses.

use super::Mac;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Reads an IPv6 address in any spelling (RFC 4291, section 2.2).
pub fn parse_v6(text: &str) -> Option<Ipv6Addr> {
    groups_of(text).or_else(|| text.parse().ok())
}

/// Hexadecimal groups with at most one `::`, which is what addresses are in practice; `None` for all else.
fn groups_of(text: &str) -> Option<Ipv6Addr> {
    let (front, back) = match text.split_once("::") {
        Some((front, back)) => (front, Some(back)),
        None => (text, None),
    };
    let mut front_groups = [0; 8];
    let front_length = read_groups(front, &mut front_groups)?;
    let Some(back) = back else { return (front_length == 8).then(|| front_groups.into()) };
    let mut back_groups = [0; 8];
    let back_length = read_groups(back, &mut back_groups)?;
    // `::` stands for at least one group.
    if front_length + back_length > 7 {
        return None;
    }
    back_groups.rotate_right(8 - back_length);
    Some({
        let mut groups = front_groups;
        groups.iter_mut().zip(back_groups).for_each(|(group, back)| *group |= back);
        groups.into()
    })
}

/// Reads groups joined by single colons; how many there are.
fn read_groups(text: &str, groups: &mut [u16; 8]) -> Option<usize> {
    if text.is_empty() {
        return Some(0);
    }
    let mut places = groups.iter_mut();
    for group in text.split(':') {
        if !(1..=4).contains(&group.len()) {
            return None;
        }
        let value = group.bytes().try_fold(0, |value, byte| Some(value << 4 | char::from(byte).to_digit(16)?))?;
        *places.next()? = u16::try_from(value).ok()?;
    }
    Some(8 - places.len())
}

/// Appends an address in canonical form (RFC 5952).
pub fn push_ip(text: &mut String, address: IpAddr) {
    match address {
        IpAddr::V4(address) => push_v4(text, address),
        IpAddr::V6(address) => push_v6(text, address),
    }
}

/// Appends a MAC address.
pub fn push_mac(text: &mut String, mac: Mac) {
    for (index, octet) in mac.0.into_iter().enumerate() {
        if index > 0 {
            text.push(':');
        }
        text.push(digit(octet >> 4));
        text.push(digit(octet & 15));
    }
}

fn push_v4(text: &mut String, address: Ipv4Addr) {
    for (index, octet) in address.octets().into_iter().enumerate() {
        if index > 0 {
            text.push('.');
        }
        if octet > 99 {
            text.push(digit(octet / 100));
        }
        if octet > 9 {
            text.push(digit(octet / 10 % 10));
        }
        text.push(digit(octet % 10));
    }
}

fn push_v6(text: &mut String, address: Ipv6Addr) {
    if let Some(mapped) = address.to_ipv4_mapped() {
        text.push_str("::ffff:");
        return push_v4(text, mapped);
    }
    let groups = address.segments();
    let (start, length) = longest_zeros(&groups);
    for (index, group) in groups.into_iter().enumerate() {
        if index == start && length > 0 {
            text.push_str("::");
        }
        if (start..start + length).contains(&index) {
            continue;
        }
        if index > 0 && index != start + length {
            text.push(':');
        }
        push_group(text, group);
    }
}

/// Where the first of the longest runs of zero groups starts and how long it is; of at least two groups, else (8, 0).
fn longest_zeros(groups: &[u16; 8]) -> (usize, usize) {
    let mut longest = (8, 0);
    let mut run = 0;
    for (index, group) in groups.iter().enumerate() {
        run = if *group == 0 { run + 1 } else { 0 };
        if run > 1 && run > longest.1 {
            longest = (index + 1 - run, run);
        }
    }
    longest
}

fn push_group(text: &mut String, group: u16) {
    let [high, low] = group.to_be_bytes();
    let nibbles = [high >> 4, high & 15, low >> 4, low & 15];
    let leading_zeros = nibbles.iter().take(3).take_while(|nibble| **nibble == 0).count();
    nibbles.iter().skip(leading_zeros).for_each(|nibble| text.push(digit(*nibble)));
}

/// A hexadecimal digit of a value below 16.
fn digit(value: u8) -> char {
    char::from(if value < 10 { b'0' + value } else { b'a' + value - 10 })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn pushed(address: IpAddr) -> String {
        let mut text = String::new();
        push_ip(&mut text, address);
        text
    }

    #[test]
    fn addresses_with_zeros_anywhere_are_those_of_display() {
        // All patterns of zero and non-zero groups.
        for pattern in 0u8..=255 {
            for value in [1, 0x10, 0x100, 0xffff] {
                let groups: [u16; 8] = std::array::from_fn(|bit| if pattern >> bit & 1 == 1 { value } else { 0 });
                let address = Ipv6Addr::from(groups);
                assert_eq!(pushed(address.into()), address.to_string());
            }
        }
        let mapped: Ipv6Addr = "::ffff:192.0.2.128".parse().unwrap();
        assert_eq!(pushed(mapped.into()), mapped.to_string());
    }

    proptest! {
        #[test]
        fn any_spelling_is_read_as_from_str_reads_it(
            bits in any::<u128>(), zeros in any::<u128>(), text in "[0-9a-fA-F:.]{0,44}", groups in "([0-9A-Fa-f]{0,5}:{1,2}){0,9}[0-9a-f]{0,4}"
        ) {
            let sparse = Ipv6Addr::from(bits & zeros & zeros.rotate_left(7)).to_string();
            for text in [Ipv6Addr::from(bits).to_string(), sparse.to_uppercase(), sparse, text, groups] {
                prop_assert_eq!(parse_v6(&text), text.parse().ok(), "{}", text);
            }
        }

        #[test]
        fn any_address_is_that_of_display(bits in any::<u128>(), v4 in any::<u32>(), mac in any::<[u8; 6]>()) {
            let (v6, v4) = (Ipv6Addr::from(bits), Ipv4Addr::from(v4));
            prop_assert_eq!(pushed(v6.into()), v6.to_string());
            prop_assert_eq!(pushed(v4.into()), v4.to_string());
            let mut text = String::new();
            push_mac(&mut text, Mac(mac));
            prop_assert_eq!(text, Mac(mac).to_string());
        }
    }
}
