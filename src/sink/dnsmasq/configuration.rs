//! What a running dnsmasq was told: its command line and the files that this names, as far as they are there by now.

use crate::sink::atomic_file::open_regular;
use rustix::process::Pid;
use std::fs;
use std::io::Read as _;
use std::path::{Component, Path, PathBuf};

/// Read unless the command line names another.
const DEFAULT_FILE: &str = "/etc/dnsmasq.conf";
/// Longer than any sensible file, bytes, and how many there may be.
const LONGEST: u64 = 1 << 20;
const MOST: usize = 1000;

/// An option.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// Its long name.
    pub name: String,
    /// What it is set to; empty if to nothing.
    pub value: String,
    /// Where: a file and line, or the command line.
    pub place: String,
}

/// All options.
#[derive(Debug, Default)]
pub struct Configuration {
    settings: Vec<Setting>,
    /// How its paths begin for us: it may have another root.
    root: PathBuf,
    read: usize,
}

impl Configuration {
    /// A process' options, if we may see its command line.
    pub fn of(pid: Pid) -> Option<Self> {
        let command_line = fs::read(format!("/proc/{pid}/cmdline")).ok().filter(|text| !text.is_empty())?;
        let arguments: Vec<_> = command_line.split(|byte| *byte == 0).map(String::from_utf8_lossy).collect();
        let arguments: Vec<_> = arguments.iter().skip(1).map(AsRef::as_ref).collect();
        let root = PathBuf::from(format!("/proc/{pid}/root"));
        // Whoever may not follow that link has most likely the same root.
        let root = if fs::metadata(root.join("proc")).is_ok() { root } else { PathBuf::from("/") };
        Some(Self::new(root, &arguments))
    }

    fn new(root: PathBuf, arguments: &[&str]) -> Self {
        let mut all = Self { root, ..Self::default() };
        let settings = command_line(arguments);
        let names_file = settings.iter().any(|(name, _)| name == "conf-file");
        for (name, value) in settings {
            all.take(&name, &value, "its command line".to_owned());
        }
        if !names_file {
            all.read_file(DEFAULT_FILE);
        }
        all
    }

    /// All settings of an option.
    pub fn all(&self, name: &str) -> impl Iterator<Item = &Setting> {
        self.settings.iter().filter(move |setting| setting.name == name)
    }

    /// A path of its as one of ours.
    pub fn seen_from_here(&self, path: &str) -> PathBuf {
        let below = Path::new(path).components().filter(|part| !matches!(part, Component::RootDir));
        self.root.join(below.collect::<PathBuf>())
    }

    fn take(&mut self, name: &str, value: &str, place: String) {
        match name {
            "conf-file" => self.read_file(value),
            "conf-dir" => self.read_folder(value),
            _ => self.settings.push(Setting { name: name.to_owned(), value: value.to_owned(), place }),
        }
    }

    fn read_file(&mut self, path: &str) {
        self.read += 1;
        if self.read > MOST {
            return;
        }
        let seen = self.seen_from_here(path);
        // Neither a FIFO nor standard input is waited for.
        if !fs::metadata(&seen).is_ok_and(|metadata| metadata.is_file()) {
            return;
        }
        let mut content = Vec::new();
        let Ok(_) = open_regular(&seen).and_then(|file| file.take(LONGEST).read_to_end(&mut content)) else { return };
        for (number, line) in (1..).zip(String::from_utf8_lossy(&content).lines()) {
            let Some(line) = without_comment(line) else { continue };
            let (name, value) = line.split_once('=').unwrap_or((line, ""));
            self.take(name.trim(), value.trim().trim_matches('"'), format!("{path}:{number}"));
        }
    }

    /// `DIR[,EXTENSION...]`: all files but those that end so; of extensions that begin with a star, only those that do.
    fn read_folder(&mut self, value: &str) {
        let mut parts = value.split(',').map(str::trim);
        let Some(folder) = parts.next() else { return };
        let (wanted, unwanted): (Vec<_>, Vec<_>) =
            parts.filter(|part| !part.is_empty()).partition(|part| part.starts_with('*'));
        let Ok(entries) = fs::read_dir(self.seen_from_here(folder)) else { return };
        let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        let mut names: Vec<_> = names
            .filter(|name| !name.ends_with('~') && !name.starts_with('.') && !name.starts_with('#'))
            .filter(|name| !unwanted.iter().any(|ending| name.ends_with(ending)))
            .filter(|name| wanted.is_empty() || wanted.iter().any(|ending| name.ends_with(ending.trim_matches('*'))))
            .collect();
        names.sort_unstable();
        for name in names {
            self.read_file(&format!("{}/{name}", folder.trim_end_matches('/')));
        }
    }
}

/// A line's option, if it has one.
fn without_comment(line: &str) -> Option<&str> {
    let end = line.find(" #").or_else(|| line.find("\t#")).unwrap_or(line.len());
    line.get(..end).map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'))
}

/// The options among these that count here, with their long names: `--name=value`, `--name value`, `-C value`, `-Cvalue`.
fn command_line(arguments: &[&str]) -> Vec<(String, String)> {
    const NAMES: [(&str, &str); 9] = [
        ("-C", "conf-file"),
        ("-7", "conf-dir"),
        ("-F", "dhcp-range"),
        ("-J", "dhcp-ignore"),
        ("-p", "port"),
        ("-a", "listen-address"),
        ("--dhcp-hostsdir", "dhcp-hostsdir"),
        ("--dhcp-hostsfile", "dhcp-hostsfile"),
        ("--hostsdir", "hostsdir"),
    ];
    let mut settings = Vec::new();
    let mut arguments = arguments.iter().copied();
    while let Some(argument) = arguments.next() {
        let matched = NAMES.iter().find_map(|(short, name)| {
            let long = argument.strip_prefix("--").and_then(|argument| argument.strip_prefix(name));
            match long {
                Some("") => Some((*name, None)),
                Some(rest) => rest.strip_prefix('=').map(|value| (*name, Some(value))),
                None if short.len() == 2 => {
                    argument.strip_prefix(short).map(|rest| (*name, (!rest.is_empty()).then_some(rest)))
                }
                None => None,
            }
        });
        if let Some((name, value)) = matched {
            let value = value.or_else(|| arguments.next()).unwrap_or_default();
            settings.push((name.to_owned(), value.to_owned()));
        }
    }
    settings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_found_on_the_command_line_and_in_files_that_name_files() {
        let root = tempfile::tempdir().unwrap();
        let put = |name: &str, content: &str| {
            let path = root.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        };
        put("etc/dnsmasq.conf", "dhcp-range=10.0.0.1,proxy\n");
        put(
            "etc/a.conf",
            "# dhcp-ignore=tag:!known\ndhcp-hostsdir = /var/x # y\nconf-dir=/etc/d,*.conf\nconf-file=/etc/a.conf\n",
        );
        put("etc/d/1.conf", "dhcp-ignore=tag:!known\n\nno-hosts\n");
        put("etc/d/2.conf~", "dhcp-range=10.9.0.0,proxy\n");
        put("etc/d/3", "dhcp-range=10.9.0.0,proxy\n");
        let value = |arguments: &[&str], name: &str| -> Vec<(String, String)> {
            let all = Configuration::new(root.path().to_owned(), arguments);
            let mut settings: Vec<_> = all.all(name).map(|found| (found.value.clone(), found.place.clone())).collect();
            settings.dedup();
            settings
        };
        let said = |value: &str, place: &str| vec![(value.to_owned(), place.to_owned())];
        assert_eq!(value(&[], "dhcp-range"), said("10.0.0.1,proxy", "/etc/dnsmasq.conf:1"));
        for arguments in [&["--conf-file=/etc/a.conf"][..], &["-C", "/etc/a.conf"], &["-d", "-C/etc/a.conf"]] {
            assert_eq!(value(arguments, "dhcp-hostsdir"), said("/var/x", "/etc/a.conf:2"), "{arguments:?}");
            assert_eq!(value(arguments, "dhcp-ignore"), said("tag:!known", "/etc/d/1.conf:1"));
            assert_eq!(value(arguments, "dhcp-range"), []);
        }
        let here = ["--dhcp-hostsdir", "/a", "-F", "10.0.0.1,10.0.0.9", "--conf-file="];
        assert_eq!(value(&here, "dhcp-hostsdir"), said("/a", "its command line"));
        assert_eq!(value(&here, "dhcp-range"), said("10.0.0.1,10.0.0.9", "its command line"));
        let ours = ["--hostsdir=/h", "--dhcp-hostsfile", "/r", "-p5353", "--conf-file=/dev/null"];
        for (name, path) in [("hostsdir", "/h"), ("dhcp-hostsfile", "/r"), ("port", "5353")] {
            assert_eq!(value(&ours, name), said(path, "its command line"));
        }
        assert_eq!(value(&ours, "dhcp-hostsdir"), []);
    }
}
