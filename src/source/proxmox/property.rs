//! Property strings, `virtio=BC:24:11:00:00:64,bridge=vmbr0,tag=20`: what Proxmox writes into one field (PVE::JSONSchema,
//! `parse_property_string`).

/// The properties, in order. A part without `=` is the value of the property that needs no key; its key is empty here.
pub(super) fn properties(text: &str) -> impl Iterator<Item = (&str, &str)> {
    let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
    parts.map(|part| part.split_once('=').unwrap_or(("", part)))
}

/// The value of a property, the last one if it is there several times.
pub(super) fn property<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    properties(text).filter(|(other, _)| *other == key).last().map(|(_, value)| value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn properties_have_keys_or_are_the_one_that_needs_none() {
        let of = |text| properties(text).collect::<Vec<_>>();
        assert_eq!(of("1,fstrim_cloned_disks=1"), [("", "1"), ("fstrim_cloned_disks", "1")]);
        assert_eq!(of(" a=b=c ,, d= "), [("a", "b=c"), ("d", "")]);
        assert_eq!(of(""), []);
        assert_eq!((property("a=1,a=2", "a"), property("a=1", "b")), (Some("2"), None));
    }
}
