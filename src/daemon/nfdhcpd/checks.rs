//! What keeps packets of taps from reaching us, to be said: settings of the kernel that are not ours to change.

use super::desk::Desk;
use std::fs;
use tracing::warn;

/// Looks at all taps.
pub fn at_start(desk: &Desk) {
    // A tap's binding that names its bridge as INDEV: nfdhcpd's own way to say that the tap is in one.
    let mut bridged = desk.store.taps().filter(|tap| is_bridged(desk, *tap));
    if let Some(tap) = bridged.next() {
        let families = [("ip", desk.settings.dhcp.is_some()), ("ip6", desk.settings.ipv6.is_some())];
        for (family, _) in families.into_iter().filter(|(family, is_spoken)| *is_spoken && !calls(family)) {
            warn!(
                "{} and {} more are in bridges, but {family}tables does not see what passes bridges, so its NFQUEUE rules get \
                 no packets of them; modprobe br_netfilter and sysctl net.bridge.bridge-nf-call-{family}tables=1, or queue \
                 them by rules of nft in table bridge",
                desk.name(tap),
                bridged.by_ref().count(),
            );
        }
    }
    for tap in desk.store.taps() {
        of_tap(desk, tap);
    }
}

fn calls(family: &str) -> bool {
    let path = format!("/proc/sys/net/bridge/bridge-nf-call-{family}tables");
    fs::read_to_string(path).is_ok_and(|value| value.trim() != "0")
}

fn is_bridged(desk: &Desk, tap: u32) -> bool {
    let indev = desk.store.bound(tap).and_then(|bound| bound.binding.indev);
    let name = desk.store.links().get(tap).map(|link| link.name);
    indev.is_some_and(|indev| Some(indev) != name && desk.store.links().named(indev).is_some())
}

/// Looks at a tap that has a binding by now. A routed one without IPv6 never hands on what its guest sends.
pub fn of_tap(desk: &Desk, tap: u32) {
    let has_ipv6 = desk.store.bound(tap).is_some_and(|bound| bound.binding.subnet6.is_some());
    if desk.settings.ipv6.is_none() || !has_ipv6 || is_bridged(desk, tap) {
        return;
    }
    let name = desk.name(tap);
    let path = format!("/proc/sys/net/ipv6/conf/{name}/disable_ipv6");
    if fs::read_to_string(path).is_ok_and(|value| value.trim() == "1") {
        warn!(
            "{name}: IPv6 is disabled there, so that the kernel drops what its guest asks before we see it: only periodic \
             advertisements are sent; sysctl net.ipv6.conf.{name}.disable_ipv6=0"
        );
    }
}
