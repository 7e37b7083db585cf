//! Messages from octets to values.

use super::option::{Association, Dhcp6Option, Lease, number};
use super::{Dhcp6, Duid, Message, kind};
use crate::packet::{Malformed, Reader, domain};
use std::net::Ipv6Addr;

/// How often a message may be relayed: as relay agents themselves have it (HOP_COUNT_LIMIT, RFC 8415, section 7.6).
const MOST_RELAYS: usize = 8;

/// The message in these octets, what UDP carries. Strict: options end where the message ends, those that stand once stand
/// once, and what is inside of them has the length that it must have. What is inside of relayed messages and of
/// associations is bounded in depth.
///
/// # Errors
/// What is not as RFC 8415 has it.
pub fn parse(bytes: &[u8]) -> Result<Dhcp6, Malformed> {
    message(bytes, MOST_RELAYS)
}

fn message(bytes: &[u8], relays_left: usize) -> Result<Dhcp6, Malformed> {
    let mut reader = Reader::new(bytes, "DHCPv6: cut short");
    let [kind, a, b, c] = reader.array()?;
    if !matches!(kind, kind::RELAY_FORWARD | kind::RELAY_REPLY) {
        let options = options(reader)?;
        once(&options, &STAND_ONCE)?;
        return Ok(Dhcp6::Direct(Message { kind, transaction: u32::from_be_bytes([0, a, b, c]), options }));
    }
    let relays_left = relays_left.checked_sub(1).ok_or(Malformed("DHCPv6: relayed too often"))?;
    let mut reader = Reader::new(bytes, "DHCPv6: cut short");
    let (kind, hops) = (reader.u8()?, reader.u8()?);
    let (link, peer) = (Ipv6Addr::from(reader.array::<16>()?), Ipv6Addr::from(reader.array::<16>()?));
    let mut relayed = None;
    let mut others = Vec::new();
    for each in raw(reader) {
        let (number, content) = each?;
        match number {
            number::RELAY_MESSAGE if relayed.is_some() => return Err(Malformed("DHCPv6: two relayed messages")),
            number::RELAY_MESSAGE => relayed = Some(message(content, relays_left)?),
            _ => others.push(option(number, content)?),
        }
    }
    let message = Box::new(relayed.ok_or(Malformed("DHCPv6: relayed, without a message"))?);
    Ok(Dhcp6::Relayed { kind, hops, link, peer, options: others, message })
}

/// Options that may stand once in a message (section 21; RFC 3646).
const STAND_ONCE: [u16; 9] = [
    number::CLIENT,
    number::SERVER,
    number::REQUESTED,
    number::PREFERENCE,
    number::ELAPSED,
    number::STATUS,
    number::RAPID_COMMIT,
    number::DNS_SERVERS,
    number::SEARCH_LIST,
];

fn once(options: &[Dhcp6Option], numbers: &[u16]) -> Result<(), Malformed> {
    let stands = |number: u16| options.iter().filter(|option| option.number() == number).count();
    if numbers.iter().any(|number| stands(*number) > 1) {
        return Err(Malformed("DHCPv6: an option twice that stands once"));
    }
    Ok(())
}

/// Numbers and contents of all options that are left; nothing more after the first error.
fn raw(mut reader: Reader<'_>) -> impl Iterator<Item = Result<(u16, &[u8]), Malformed>> {
    let mut next = move || {
        let (number, length) = (reader.u16()?, reader.u16()?);
        Ok((number, reader.take(usize::from(length))?)).map(|option| (option, reader.is_empty()))
    };
    let mut done = reader.is_empty();
    std::iter::from_fn(move || {
        if done {
            return None;
        }
        let option: Result<_, Malformed> = next();
        done = option.as_ref().map_or(true, |(_, is_last)| *is_last);
        Some(option.map(|(option, _)| option))
    })
}

fn options(reader: Reader) -> Result<Vec<Dhcp6Option>, Malformed> {
    raw(reader).map(|each| each.and_then(|(number, content)| option(number, content))).collect()
}

/// An option of a message.
fn option(number: u16, content: &[u8]) -> Result<Dhcp6Option, Malformed> {
    let mut reader = Reader::new(content, "DHCPv6: an option cut short");
    let option = match number {
        number::CLIENT => return Duid::parse(content).map(Dhcp6Option::Client),
        number::SERVER => return Duid::parse(content).map(Dhcp6Option::Server),
        number::ADDRESSES => return association(reader, true, number::ADDRESS).map(Dhcp6Option::Addresses),
        number::TEMPORARY => return association(reader, false, number::ADDRESS).map(Dhcp6Option::Temporary),
        number::PREFIXES => return association(reader, true, number::PREFIX).map(Dhcp6Option::Prefixes),
        number::ADDRESS | number::PREFIX => return Err(Malformed("DHCPv6: an address outside of an association")),
        number::RELAY_MESSAGE => return Err(Malformed("DHCPv6: a relayed message in one that is not relayed")),
        number::REQUESTED => {
            let numbers = reader.arrays::<2>()?;
            return Ok(Dhcp6Option::Requested(numbers.into_iter().map(u16::from_be_bytes).collect()));
        }
        number::DNS_SERVERS => return addresses(reader).map(Dhcp6Option::DnsServers),
        number::SEARCH_LIST => return domain::names(reader).map(Dhcp6Option::SearchList),
        number::NTP => return time_servers(content),
        number::STATUS => return status(reader).map(|(code, words)| Dhcp6Option::Status(code, words)),
        number::PREFERENCE => Dhcp6Option::Preference(reader.u8()?),
        number::ELAPSED => Dhcp6Option::Elapsed(reader.u16()?),
        number::RAPID_COMMIT => Dhcp6Option::RapidCommit,
        _ => return Ok(Dhcp6Option::Other(number, content.to_vec())),
    };
    if reader.is_empty() { Ok(option) } else { Err(Malformed("DHCPv6: an option that is too long")) }
}

fn addresses(reader: Reader) -> Result<Vec<Ipv6Addr>, Malformed> {
    Ok(reader.arrays::<16>()?.into_iter().map(Ipv6Addr::from).collect())
}

/// Time servers by address; those by name or by group stay as they are (RFC 5908, section 4).
fn time_servers(content: &[u8]) -> Result<Dhcp6Option, Malformed> {
    let mut servers = Vec::new();
    for suboption in raw(Reader::new(content, "DHCPv6: an option cut short")) {
        match suboption? {
            (1, address) => servers.extend(addresses(Reader::new(address, "DHCPv6: an option cut short"))?),
            _ => return Ok(Dhcp6Option::Other(number::NTP, content.to_vec())),
        }
    }
    Ok(Dhcp6Option::TimeServers(servers))
}

fn status(mut reader: Reader) -> Result<(u16, String), Malformed> {
    let code = reader.u16()?;
    Ok((code, String::from_utf8_lossy(reader.rest()).into_owned()))
}

/// What is in an IA_NA, IA_TA or IA_PD: leases of this number and perhaps a status. Other options have no meaning there.
fn association(mut reader: Reader, has_timers: bool, leases: u16) -> Result<Association, Malformed> {
    let mut association = Association::new(reader.u32()?);
    if has_timers {
        association.timers = (reader.u32()?, reader.u32()?);
    }
    for each in raw(reader) {
        let (number, content) = each?;
        let inner = Reader::new(content, "DHCPv6: an option cut short");
        match number {
            number::ADDRESS if leases == number::ADDRESS => association.leases.push(address(inner)?),
            number::PREFIX if leases == number::PREFIX => association.leases.push(prefix(inner)?),
            number::STATUS if association.status.is_none() => association.status = Some(status(inner)?),
            number::STATUS => return Err(Malformed("DHCPv6: an option twice that stands once")),
            number::ADDRESSES | number::TEMPORARY | number::PREFIXES => {
                return Err(Malformed("DHCPv6: an association in another one"));
            }
            _ => {}
        }
    }
    Ok(association)
}

fn address(mut reader: Reader) -> Result<Lease, Malformed> {
    let address = Ipv6Addr::from(reader.array::<16>()?);
    let lifetimes = lifetimes(&mut reader)?;
    inside(reader).map(|()| Lease { lifetimes, ..Lease::new(address, 128) })
}

fn prefix(mut reader: Reader) -> Result<Lease, Malformed> {
    let lifetimes = lifetimes(&mut reader)?;
    let length = reader.u8()?;
    let address = Ipv6Addr::from(reader.array::<16>()?);
    if length > 128 {
        return Err(Malformed("DHCPv6: a prefix of over 128 bits"));
    }
    inside(reader).map(|()| Lease { lifetimes, ..Lease::new(address, length) })
}

fn lifetimes(reader: &mut Reader) -> Result<(u32, u32), Malformed> {
    Ok((reader.u32()?, reader.u32()?))
}

/// Options inside of a lease, which have no meaning to a server, must still come out even.
fn inside(reader: Reader) -> Result<(), Malformed> {
    raw(reader).try_for_each(|each| each.map(drop))
}

#[cfg(test)]
mod tests {
    use super::super::Dhcp6;
    use super::*;
    use crate::net::Mac;

    const MAC: Mac = Mac([2, 0, 0, 0, 0, 1]);

    fn direct(options: &[u8]) -> Result<Vec<Dhcp6Option>, Malformed> {
        parse(&[&[1, 2, 3, 4][..], options].concat()).map(|parsed| match parsed {
            Dhcp6::Direct(message) => message.options,
            Dhcp6::Relayed { .. } => panic!("not relayed"),
        })
    }

    fn refused(options: &[u8]) -> &'static str {
        direct(options).unwrap_err().0
    }

    #[test]
    fn what_was_built_comes_back_also_relayed() {
        let reply = Dhcp6::from_server(kind::REPLY, MAC, MAC, Ipv6Addr::LOCALHOST);
        assert_eq!(parse(&reply.bytes()), Ok(reply.clone()));
        let twice = (0..2)
            .fold(reply, |message, _| message.relayed(kind::RELAY_FORWARD, Ipv6Addr::LOCALHOST, Ipv6Addr::UNSPECIFIED));
        assert_eq!(parse(&twice.bytes()), Ok(twice));
    }

    #[test]
    fn a_relay_agents_marks_are_kept_in_order() {
        let relayed = Dhcp6::Relayed {
            kind: kind::RELAY_FORWARD,
            hops: 3,
            link: Ipv6Addr::LOCALHOST,
            peer: Ipv6Addr::UNSPECIFIED,
            options: vec![
                Dhcp6Option::Other(number::INTERFACE, b"eth0".to_vec()),
                Dhcp6Option::Other(number::RELAY_PORT, vec![0x30, 0x39]),
            ],
            message: Box::new(Dhcp6::from_client(kind::SOLICIT, MAC)),
        };
        assert_eq!(parse(&relayed.bytes()), Ok(relayed));
    }

    #[test]
    fn relays_are_bounded_and_hold_one_message() {
        let relayed = |times: usize| {
            (0..times).fold(Dhcp6::from_client(kind::SOLICIT, MAC), |message, _| {
                message.relayed(kind::RELAY_FORWARD, Ipv6Addr::LOCALHOST, Ipv6Addr::LOCALHOST)
            })
        };
        assert!(parse(&relayed(8).bytes()).is_ok());
        assert_eq!(parse(&relayed(9).bytes()), Err(Malformed("DHCPv6: relayed too often")));
        assert_eq!(parse(&relayed(500).bytes()), Err(Malformed("DHCPv6: relayed too often")));
        let mut bytes = relayed(1).bytes();
        assert_eq!(parse(&bytes[..34]), Err(Malformed("DHCPv6: relayed, without a message")));
        bytes.extend(&[0, 9, 0, 4, 1, 0, 0, 0]);
        assert_eq!(parse(&bytes), Err(Malformed("DHCPv6: two relayed messages")));
    }

    #[test]
    fn a_message_cut_anywhere_but_between_options_is_refused() {
        let bytes = Dhcp6::from_server(kind::REPLY, MAC, MAC, Ipv6Addr::LOCALHOST).bytes();
        // Behind the header, and behind options of 14, 14 and 44 octets.
        for length in (0..bytes.len()).filter(|length| ![4, 18, 32].contains(length)) {
            assert!(parse(&bytes[..length]).is_err(), "{length}");
        }
        assert_eq!(parse(&[&bytes[..], &[0]].concat()), Err(Malformed("DHCPv6: cut short")));
    }

    #[test]
    fn lengths_inside_of_options_are_those_that_they_must_have() {
        for short in [&[0, 7, 0, 0][..], &[0, 8, 0, 1, 0], &[0, 6, 0, 1, 0], &[0, 13, 0, 1, 0], &[0, 4, 0, 3, 0, 0, 0]]
        {
            assert_eq!(refused(short), "DHCPv6: an option cut short", "{short:?}");
        }
        for address in [15, 17, 31] {
            let option = [&[0, 23, 0, address][..], &vec![0; usize::from(address)]].concat();
            assert_eq!(refused(&option), "DHCPv6: an option cut short", "{address}");
        }
        for long in [&[0, 7, 0, 2, 0, 0][..], &[0, 8, 0, 3, 0, 0, 0], &[0, 14, 0, 1, 0]] {
            assert_eq!(refused(long), "DHCPv6: an option that is too long", "{long:?}");
        }
        assert_eq!(refused(&[0, 1, 0, 2, 0, 3]), "DHCPv6: a DUID of a wrong length");
        assert_eq!(
            refused(&[0, 1, 0, 131].into_iter().chain([0; 131]).collect::<Vec<_>>()),
            "DHCPv6: a DUID of a wrong length"
        );
        assert_eq!(refused(&[0, 39, 0, 5, 1, 2]), "DHCPv6: cut short");
        assert_eq!(direct(&[0, 39, 0, 2, 1, 2]), Ok(vec![Dhcp6Option::Other(39, vec![1, 2])]));
    }

    #[test]
    fn options_stand_where_and_as_often_as_they_may() {
        assert_eq!(refused(&[0, 14, 0, 0, 0, 14, 0, 0]), "DHCPv6: an option twice that stands once");
        assert_eq!(refused(&[0, 9, 0, 0]), "DHCPv6: a relayed message in one that is not relayed");
        assert_eq!(refused(&[0, 5, 0, 0]), "DHCPv6: an address outside of an association");
        let association = |inner: &[u8]| {
            let length = u8::try_from(12 + inner.len()).unwrap();
            [&[0, 3, 0, length, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0][..], inner].concat()
        };
        assert_eq!(refused(&association(&association(&[]))), "DHCPv6: an association in another one");
        let status = [0, 13, 0, 2, 0, 0];
        assert_eq!(refused(&association(&[status, status].concat())), "DHCPv6: an option twice that stands once");
        // A prefix has no place among addresses, and no meaning.
        assert_eq!(direct(&association(&[0, 26, 0, 0])), Ok(vec![Dhcp6Option::Addresses(Association::new(1))]));
        let address = [&[0, 5, 0, 26][..], &[0; 24], &[0, 13]].concat();
        assert_eq!(refused(&association(&address)), "DHCPv6: an option cut short");
        let prefix = [&[0, 25, 0, 41, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 26, 0, 25][..], &[0; 8], &[129], &[0; 16]];
        assert_eq!(refused(&prefix.concat()), "DHCPv6: a prefix of over 128 bits");
    }

    #[test]
    fn time_servers_that_are_no_addresses_stay_as_they_are() {
        let by_name = [0, 3, 0, 3, 1, b'a', 0];
        let option = [&[0, 56, 0, 7][..], &by_name].concat();
        assert_eq!(direct(&option), Ok(vec![Dhcp6Option::Other(56, by_name.to_vec())]));
        assert_eq!(refused(&[0, 56, 0, 5, 0, 1, 0, 16, 1]), "DHCPv6: an option cut short");
    }
}
