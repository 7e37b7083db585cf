//! Man pages and completions leave nothing out, and `man` has nothing to complain about.
#![cfg(all(feature = "nfdhcpd", feature = "proxmox", feature = "pxe-filter"))]
#![allow(clippy::expect_used)]

#[path = "../examples/man/pages.rs"]
mod pages;

#[path = "common/needs.rs"]
mod needs;

use needs::skipped;
use std::fs;
use std::path::Path;
use std::process::Command;

/// A page as a reader sees it on a terminal of 80 columns; `None` where there is no `man`.
fn shown(page: &Path) -> Option<String> {
    let output = Command::new("man")
        .args(["--warnings", "--encoding=UTF-8", "--local-file"])
        .arg(page)
        .env("MANWIDTH", "80")
        .env("MANPAGER", "cat")
        .env("LC_ALL", "C.UTF-8")
        .output()
        .ok()?;
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && complaints.is_empty(), "{}: {complaints}", page.display());
    // Bold and underlined are written over with backspaces on some terminals.
    let mut text = String::new();
    for character in String::from_utf8_lossy(&output.stdout).chars() {
        match character {
            '\u{8}' => drop(text.pop()),
            other => text.push(other),
        }
    }
    Some(text)
}

fn render_into_a_folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    pages::write_all(folder.path()).expect("write the pages");
    folder
}

#[test]
fn every_argument_and_section_is_on_the_page() {
    let folder = render_into_a_folder();
    for page in pages::pages() {
        let name = page.command.get_name();
        let file = folder.path().join(format!("man/{name}.8"));
        let Some(text) = shown(&file) else {
            return skipped("no man here");
        };
        for argument in page.command.get_arguments() {
            let option = argument.get_long().map(|long| format!("--{long}"));
            let wanted = option.unwrap_or_else(|| argument.get_id().to_string());
            assert!(text.contains(&wanted), "{name} does not mention {wanted}:\n{text}");
        }
        for title in ["NAME", "SYNOPSIS", "DESCRIPTION", "ENVIRONMENT", "FILES", "EXIT STATUS", "SEE ALSO"] {
            assert!(text.lines().any(|line| line == title), "{name} has no section {title}:\n{text}");
        }
    }
}

#[test]
fn what_follows_the_options_in_the_help_is_on_the_page() {
    for page in pages::pages() {
        let name = page.command.get_name();
        let roff = String::from_utf8(page.render().expect("render")).expect("UTF-8");
        let spelled = [("\\fB", ""), ("\\fR", ""), ("\\&", ""), ("\\-", "-"), ("\\*(Aq", "'")];
        let plain = spelled.into_iter().fold(roff.clone(), |text, (escape, meant)| text.replace(escape, meant));
        let help = page.command.get_after_help().expect("a help that goes on").to_string();
        for word in help.split([' ', '\n']).map(|word| word.trim_end_matches([':', ',', ')'])) {
            let there = plain.contains(word) || plain.contains(&word.to_uppercase());
            // A remark's first word gets a capital letter.
            let (first, rest) = word.trim_start_matches('(').split_at_checked(1).unwrap_or_default();
            assert!(there || plain.contains(&(first.to_uppercase() + rest)), "{name} leaves out {word:?}:\n{roff}");
        }
    }
}

#[test]
fn terms_are_set_apart_and_examples_are_not_filled() {
    let [update, process, ..] =
        pages::pages().map(|page| String::from_utf8(page.render().expect("render")).expect("UTF-8"));
    assert!(update.contains(".TP\n\\fB\\-\\-rename MAC NAME\\fR\nname an instance"), "{update}");
    assert!(
        update.contains(".nf\ndhcp\\-script=/usr/local/bin/instances\\-update\nscript\\-on\\-renewal\n.fi"),
        "{update}"
    );
    assert!(process.contains(".TP\n\\fB10\\fR\nno update was detected"), "{process}");
}

#[test]
fn completions_know_every_option() {
    let folder = render_into_a_folder();
    let files = [
        ("instances-update.bash", "--rename"),
        ("_instances-update", "--rename"),
        ("instances-update.fish", "rename"),
        ("instances-process.bash", "--trusted-port"),
        ("_instances-process", "--trusted-port"),
        ("instances-process.fish", "trusted-port"),
        ("instances-nfdhcpd.bash", "--server-ip"),
        ("_instances-nfdhcpd", "--server-ip"),
        ("instances-nfdhcpd.fish", "server-ip"),
        ("instances-pxe-filter.bash", "--dhcp-hostsdir"),
        ("_instances-pxe-filter", "--dhcp-hostsdir"),
        ("instances-pxe-filter.fish", "dhcp-hostsdir"),
        ("instances-proxmox.bash", "--print-config"),
        ("_instances-proxmox", "--print-config"),
        ("instances-proxmox.fish", "print-config"),
    ];
    for (file, option) in files {
        let text = fs::read_to_string(folder.path().join("completions").join(file)).expect(file);
        assert!(text.contains(option), "{file} does not know {option}");
    }
    for action in [
        "--initialize",
        "--rename",
        "--remove",
        "--allow",
        "--disallow",
        "--port",
        "--no-port",
        "--list",
        "--json",
        "--help",
        "--version",
    ] {
        let text = fs::read_to_string(folder.path().join("completions/_instances-update")).expect("zsh");
        assert!(text.contains(action), "{action} cannot be completed");
    }
}
