//! How files are called and what they say.

use crate::net::Mac;
use crate::plan::pxe_access::{Access, Who};
use std::str::FromStr as _;

/// How the files of MAC addresses are called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileNames {
    /// `52:54:00:12:34:56`, as the originals write them.
    Colons,
    /// `52-54-00-12-34-56`, as their document shows them.
    Dashes,
}

/// The file for all that have none, as the originals call it.
const UNKNOWN: &str = "unknown_hosts_filter";
/// Many answers in one file, while those of single MAC addresses are exchanged.
pub const BULK: &str = "instances_bulk";
/// Whom [`UNKNOWN`] is about, in dnsmasq's language.
const ANYBODY: &str = "*:*:*:*:*:*";
const IGNORE: &str = ",ignore";
/// With its end, bytes.
pub const LONGEST_LINE: usize = Mac::TEXT_LEN + IGNORE.len() + 1;

/// What a file is by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Name {
    /// This one's, as it is called here.
    Own(Who),
    /// This one's in the other way.
    Other(Mac),
    /// [`BULK`].
    Bulk,
    /// Nobody's that dnsmasq would read.
    Ignored,
    /// Somebody else's.
    Foreign,
}

impl FileNames {
    /// The other way.
    fn other(self) -> Self {
        match self {
            Self::Colons => Self::Dashes,
            Self::Dashes => Self::Colons,
        }
    }

    /// This one's file.
    pub fn of(self, who: Who) -> String {
        match who {
            Who::Unknown => UNKNOWN.to_owned(),
            Who::Mac(mac) => self.of_mac(mac),
        }
    }

    /// A MAC address' file called in the other way.
    pub fn other_of(self, mac: Mac) -> String {
        self.other().of_mac(mac)
    }

    fn of_mac(self, mac: Mac) -> String {
        match self {
            Self::Colons => mac.to_string(),
            Self::Dashes => mac.to_string().replace(':', "-"),
        }
    }

    /// What a file of this name is.
    pub fn parse(self, name: &[u8]) -> Name {
        let text = std::str::from_utf8(name).unwrap_or_default();
        let (colons, dashes) = (Mac::from_str(text), || mac_with_dashes(text));
        match (self, colons) {
            (Self::Colons, Ok(mac)) => return Name::Own(Who::Mac(mac)),
            (Self::Dashes, Ok(mac)) => return Name::Other(mac),
            _ => {}
        }
        match (self, dashes()) {
            (Self::Dashes, Some(mac)) => return Name::Own(Who::Mac(mac)),
            (Self::Colons, Some(mac)) => return Name::Other(mac),
            _ => {}
        }
        match name {
            name if name == UNKNOWN.as_bytes() => Name::Own(Who::Unknown),
            name if name == BULK.as_bytes() => Name::Bulk,
            [] | [b'.', ..] | [.., b'~'] | [b'#', .., b'#'] | [b'#'] => Name::Ignored,
            _ => Name::Foreign,
        }
    }
}

fn mac_with_dashes(text: &str) -> Option<Mac> {
    let is_one = text.len() == Mac::TEXT_LEN && !text.contains(':');
    is_one.then(|| text.replace('-', ":").parse().ok()).flatten()
}

/// What a file says that has one answer.
pub fn line(who: Who, access: Access) -> String {
    let mut line = String::with_capacity(LONGEST_LINE);
    push_line(&mut line, who, access);
    line
}

/// Appends an answer.
pub fn push_line(text: &mut String, who: Who, access: Access) {
    match who {
        Who::Mac(mac) => crate::net::text::push_mac(text, mac),
        Who::Unknown => text.push_str(ANYBODY),
    }
    if access == Access::Deny {
        text.push_str(IGNORE);
    }
    text.push('\n');
}

/// The answer for `who` of a file with this content, if it is as we write it and nothing else.
pub fn answer(content: &[u8], who: Who) -> Option<Access> {
    [Access::Allow, Access::Deny].into_iter().find(|access| content == line(who, *access).as_bytes())
}

/// All answers of a file, if it has some and nothing else. dnsmasq does not mind capitals in a MAC address.
pub fn answers(content: &[u8]) -> Option<Vec<(Who, Access)>> {
    let text = std::str::from_utf8(content).ok().filter(|text| !text.is_empty())?;
    text.lines().map(answer_in).collect()
}

/// The answers of a file that are understood.
pub fn answers_among(content: &[u8]) -> impl Iterator<Item = (Who, Access)> {
    content.split(|byte| *byte == b'\n').filter_map(|line| answer_in(std::str::from_utf8(line).ok()?))
}

fn answer_in(line: &str) -> Option<(Who, Access)> {
    let (whom, access) = match line.strip_suffix(IGNORE) {
        Some(whom) => (whom, Access::Deny),
        None => (line, Access::Allow),
    };
    if whom == ANYBODY {
        return Some((Who::Unknown, access));
    }
    let mac = whom.to_ascii_lowercase().parse().ok()?;
    Some((Who::Mac(mac), access))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MAC: Mac = Mac([0x52, 0x54, 0, 0xab, 0, 1]);

    #[test]
    fn a_name_says_whose_file_it_is() {
        let (colons, dashes) = (FileNames::Colons, FileNames::Dashes);
        assert_eq!(colons.of(Who::Mac(MAC)), "52:54:00:ab:00:01");
        assert_eq!(colons.other_of(MAC), "52-54-00-ab-00-01");
        assert_eq!(dashes.of(Who::Unknown), "unknown_hosts_filter");
        for names in [colons, dashes] {
            assert_eq!(names.parse(names.of(Who::Mac(MAC)).as_bytes()), Name::Own(Who::Mac(MAC)));
            assert_eq!(names.parse(names.other_of(MAC).as_bytes()), Name::Other(MAC));
            assert_eq!(names.parse(names.of(Who::Unknown).as_bytes()), Name::Own(Who::Unknown));
            assert_eq!(names.parse(BULK.as_bytes()), Name::Bulk);
            for ignored in ["", ".52:54:00:ab:00:01", "x~", "52:54:00:ab:00:01~", "#x#", "#", "~"] {
                assert_eq!(names.parse(ignored.as_bytes()), Name::Ignored, "{ignored}");
            }
            for foreign in [
                "52:54:00:AB:00:01",
                "52-54-00-AB-00-01",
                "52-54:00-ab-00-01",
                "52:54:00:ab:00:01.tmp",
                "525400ab0001",
                "#x",
                "README",
                "é2:54:00:ab:00:0",
            ] {
                assert_eq!(names.parse(foreign.as_bytes()), Name::Foreign, "{foreign}");
            }
            assert_eq!(names.parse(b"52:54:00:ab:00:\xff1"), Name::Foreign);
        }
    }

    #[test]
    fn only_what_we_write_ourselves_is_an_answer() {
        let who = Who::Mac(MAC);
        assert_eq!(line(who, Access::Deny), "52:54:00:ab:00:01,ignore\n");
        assert_eq!(line(Who::Unknown, Access::Allow), "*:*:*:*:*:*\n");
        for who in [who, Who::Unknown] {
            for access in [Access::Allow, Access::Deny] {
                assert_eq!(answer(line(who, access).as_bytes(), who), Some(access));
            }
        }
        for other in [
            "",
            "52:54:00:ab:00:01",
            "52:54:00:ab:00:01,IGNORE\n",
            "52:54:00:ab:00:02\n",
            "52:54:00:ab:00:01\n\n",
            "52:54:00:ab:00:01\n52:54:00:ab:00:01,ignore\n",
            "52-54-00-ab-00-01\n",
            "52:54:00:ab:00:01\0\n",
        ] {
            assert_eq!(answer(other.as_bytes(), who), None, "{other:?}");
        }
    }

    #[test]
    fn a_file_of_answers_and_nothing_else_is_told_from_all_others() {
        let all = [(Who::Mac(MAC), Access::Deny), (Who::Unknown, Access::Allow)];
        assert_eq!(answers(b"52:54:00:AB:00:01,ignore\n*:*:*:*:*:*\n"), Some(all.to_vec()));
        assert_eq!(answers(b"52:54:00:ab:00:01"), Some(vec![(Who::Mac(MAC), Access::Allow)]));
        for other in ["", "\n", "root:x:0:0::/root:/bin/sh\n", "52:54:00:ab:00:01\n\n", "52:54:00:ab:00:01,host\n"] {
            assert_eq!(answers(other.as_bytes()), None, "{other:?}");
        }
        assert_eq!(answers_among(b"x\n*:*:*:*:*:*\n52:54:00:ab:00:01,ign").collect::<Vec<_>>(), all[1..]);
    }

    proptest! {
        #[test]
        fn nothing_in_a_name_or_a_file_makes_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            for names in [FileNames::Colons, FileNames::Dashes] {
                let _ = names.parse(&bytes);
            }
            let _ = (answer(&bytes, Who::Unknown), answers(&bytes), answers_among(&bytes).count());
        }
    }
}
