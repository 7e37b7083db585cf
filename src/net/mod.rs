//! The vocabulary: [`Mac`], [`Name`], [`DomainName`], [`IfName`] and the classes of addresses. A value of these types is legal by
//! construction, so nothing past the edge checks a string again.

mod addr;
mod domain;
mod ifname;
mod mac;
mod name;
pub mod text;

pub use addr::{V6Class, link_local_of, never_a_source, parse_net};
pub use domain::{DomainName, InvalidDomainName};
pub(crate) use ifname::until_nul;
pub use ifname::{IfName, InvalidIfName};
pub use mac::{InvalidMac, Mac};
pub use name::{InvalidName, Name};

use std::fmt;

/// Text from outside, made safe for a terminal or a log: control characters escaped, cut after 80 characters.
pub struct Shown<'a>(pub &'a str);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const LONGEST: usize = 80;
        let mut characters = self.0.chars();
        for character in characters.by_ref().take(LONGEST) {
            write!(f, "{}", character.escape_debug())?;
        }
        if characters.next().is_some() {
            write!(f, "... ({} bytes)", self.0.len())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_text_is_shown_escaped_and_short() {
        assert_eq!(Shown("a\u{1b}[31m\n\"b").to_string(), "a\\u{1b}[31m\\n\\\"b");
        let shown = Shown(&"x".repeat(65_536)).to_string();
        assert_eq!(shown, format!("{}... (65536 bytes)", "x".repeat(80)));
    }
}
