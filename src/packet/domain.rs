use super::{Malformed, Reader};
use crate::net::DomainName;

/// The name at the start of what is left, without compression, as DHCPv6 and router advertisements have it (RFC 8415,
/// section 10; RFC 8106, section 5.2).
pub(super) fn name(reader: &mut Reader) -> Result<DomainName, Malformed> {
    const WRONG: Malformed = Malformed("no domain name");
    let mut text = String::new();
    loop {
        match usize::from(reader.u8()?) {
            0 => return text.parse().map_err(|_| WRONG),
            length => {
                let label = std::str::from_utf8(reader.take(length)?).map_err(|_| WRONG)?;
                // A dot inside of a label would read as two; what is longer than a label is refused at the end.
                if label.contains('.') || text.len() > 253 {
                    return Err(WRONG);
                }
                if !text.is_empty() {
                    text.push('.');
                }
                text.push_str(label);
            }
        }
    }
}

/// All names that are left.
pub(super) fn names(mut reader: Reader) -> Result<Vec<DomainName>, Malformed> {
    let mut names = Vec::new();
    while !reader.is_empty() {
        names.push(name(&mut reader)?);
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8]) -> Result<Vec<String>, Malformed> {
        names(Reader::new(bytes, "short")).map(|names| names.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn names_are_read_one_behind_the_other() {
        assert_eq!(read(b"\x07example\x03com\0\x01a\0"), Ok(vec!["example.com".to_owned(), "a".to_owned()]));
        assert_eq!(read(b""), Ok(vec![]));
    }

    #[test]
    fn what_is_no_name_is_refused() {
        let long = [&[63; 64][..]; 4].concat();
        for wrong in [&b"\0"[..], b"\x03a.b\0", b"\x01 \0", b"\x01\xff\0", &[&[64; 65][..], &[0]].concat()] {
            assert_eq!(read(wrong), Err(Malformed("no domain name")), "{wrong:?}");
        }
        // A pointer of DNS's compression reads as a label that is too long, or as one that is cut short.
        for short in [&b"\x01a"[..], b"\x05ab\0", b"\xc0\x0c", &long] {
            assert!(read(short).is_err(), "{short:?}");
        }
    }
}
