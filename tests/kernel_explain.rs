//! `instances-process --explain --apply`: what is explained is what the kernel holds, or it is said that it is not.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "common/kernel.rs"]
mod kernel;
#[path = "common/netns.rs"]
mod netns;

use kernel::Host;
use netns::{in_new_netns, nft};
use std::fs;

/// web asks from its own address.
const FRAME: &str = "ffffffffffff 020000000001 0806 0001080006040001 020000000001 0a000001 000000000000 0a000002";

/// Exit status, standard output, standard error of `--explain --apply --hook '*'` for that frame.
fn explain(host: &Host) -> (Option<i32>, String, String) {
    let frames = host.path("hex");
    fs::write(&frames, FRAME).unwrap();
    let arguments = ["--explain", frames.to_str().unwrap(), "--explain-port", "webp", "--apply", "--hook", "*"];
    let output = host.process(&arguments).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[test]
fn the_kernel_is_compared_first() {
    in_new_netns(|| {
        let host = Host::new();
        host.apply(&["--hook", "*"]);
        let (status, of_plan, news) = explain(&host);
        assert_eq!(status, Some(0), "{news}");
        assert!(news.starts_with("Kernel: table bridge instances: holds what is explained here\n"), "{news}");
        assert!(of_plan.contains(": accepted; ") && of_plan.contains("; element of instances_arp: "), "{of_plan}");

        nft("flush set bridge instances instances_arp");
        let (status, explained, news) = explain(&host);
        assert_eq!(status, Some(1), "{news}");
        assert!(news.contains("table bridge instances: the kernel holds something else"), "{news}");
        assert!(news.contains("10.0.0.1 . 02:00:00:00:00:01"), "the difference is named: {news}");
        assert_eq!(explained, of_plan, "the plan is explained all the same");

        nft("flush ruleset");
        let (status, _, news) = explain(&host);
        assert!(status == Some(1) && news.contains("not in force: "), "{news}");
    });
}
