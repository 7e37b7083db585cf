//! The systemd units, as systemd itself reads them.
#![allow(clippy::expect_used)]

#[path = "common/needs.rs"]
mod needs;

use needs::skipped;
use std::env;
use std::fs;
use std::io;
use std::path::Path;
use std::process::Command;

/// Programs, as installed and as just built.
const PROGRAMS: [(&str, &str); 4] = [
    ("/usr/bin/instances-process", env!("CARGO_BIN_EXE_instances-process")),
    ("/usr/bin/instances-nfdhcpd", env!("CARGO_BIN_EXE_instances-nfdhcpd")),
    ("/usr/bin/instances-proxmox", env!("CARGO_BIN_EXE_instances-proxmox")),
    ("/usr/bin/instances-pxe-filter", env!("CARGO_BIN_EXE_instances-pxe-filter")),
];
const UNITS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/packaging/systemd");

/// The units as `make install` would leave them, for the program that was just built, and a second pair for `br1`, made
/// as the path unit says.
fn installed() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for entry in fs::read_dir(UNITS).expect("the units") {
        let entry = entry.expect("a unit");
        let text = fs::read_to_string(entry.path()).expect("a unit is text");
        let text = PROGRAMS.iter().fold(text, |text, (installed, built)| text.replace(installed, built));
        let name = entry.file_name().into_string().expect("a name");
        fs::write(folder.path().join(&name), &text).expect("write a unit");
        // These have no registry of their own.
        if ["instances-nfdhcpd", "instances-proxmox", "instances-pxe-filter"].iter().any(|one| name.starts_with(one)) {
            continue;
        }

        let of_br1 = text
            .replace("/misc/instances.updated", "/misc/instances-br1.updated")
            .replace(
                "\nUnsetEnvironment=INSTANCES_BASE_PATH INSTANCES_BASE_ID\n",
                "\nEnvironment=INSTANCES_BASE_ID=br1\n",
            )
            .replace("default/instances", "default/instances-br1")
            .replace(
                "instances-process.path instances-process.service",
                "instances-process-br1.path instances-process-br1.service",
            );
        assert_ne!(text, of_br1);
        fs::write(folder.path().join(name.replace('.', "-br1.")), of_br1).expect("write a unit");
    }
    folder
}

/// Runs `systemd-analyze`; `None` where there is none.
fn analyze(units: &Path, arguments: &[&str]) -> Option<(bool, String)> {
    let mut command = Command::new("systemd-analyze");
    // The colon: and what this system has.
    let search = format!("{}:", units.display());
    command.args(arguments).env("SYSTEMD_UNIT_PATH", search).env("LC_ALL", "C.UTF-8").current_dir(units);
    match command.output() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            skipped("no systemd-analyze here");
            None
        }
        Err(error) => unreachable!("systemd-analyze cannot be run: {error}"),
        Ok(output) => {
            let text = [output.stdout, output.stderr].concat();
            Some((output.status.success(), String::from_utf8_lossy(&text).into_owned()))
        }
    }
}

#[test]
fn systemd_finds_nothing_wrong_with_the_units() {
    let folder = installed();
    let units = [
        "instances-process.path",
        "instances-process.service",
        "instances-process-br1.path",
        "instances-process-br1.service",
        "instances-watch.service",
        "instances-watch-br1.service",
        "instances-nfdhcpd.service",
        "instances-proxmox.service",
        "instances-pxe-filter.service",
    ];
    for unit in units {
        // The man page is not installed here.
        let Some((fine, said)) = analyze(folder.path(), &["verify", "--man=no", unit]) else { return };
        assert!(fine && said.is_empty(), "{unit}: {said}");
    }
}

#[test]
fn a_mistake_in_a_unit_would_be_found() {
    let folder = installed();
    let unit = folder.path().join("instances-process.service");
    let text = fs::read_to_string(&unit).expect("read").replace("ProtectHome=yes", "ProtectHome=maybe");
    fs::write(&unit, text).expect("write");
    let Some((_, said)) = analyze(folder.path(), &["verify", "--man=no", "instances-process.service"]) else { return };
    assert!(said.contains("protect home"), "{said}");
}

#[test]
fn the_services_are_confined() {
    let folder = installed();
    // The responder starts as root and becomes somebody else, speaks on packet sockets and serves metrics. The filter is nobody
    // in particular, but Ironic may be anywhere. The companion serves a page, and its dnsmasq everybody.
    let units = [
        ("instances-process.service", 25),
        ("instances-watch.service", 25),
        ("instances-nfdhcpd.service", 27),
        ("instances-proxmox.service", 23),
        ("instances-pxe-filter.service", 19),
    ];
    for (unit, most) in units {
        let threshold = format!("--threshold={most}");
        let arguments = ["security", "--offline=true", &threshold, "--no-pager", unit];
        let Some((below, said)) = analyze(folder.path(), &arguments) else { return };
        assert!(below, "{unit}: exposure above {most} tenths: {said}");
    }
}

/// The mistakes that would make the pair of units spin or go blind; see the comments in them.
#[test]
fn the_pair_of_units_neither_spins_nor_gives_up() {
    let service = fs::read_to_string(format!("{UNITS}/instances-process.service")).expect("the service");
    let path = fs::read_to_string(format!("{UNITS}/instances-process.path")).expect("the path unit");
    let has = |line: &str| service.lines().any(|there| there == line);
    assert!(has("StartLimitIntervalSec=0"), "a burst of updates must not end the path unit");
    assert!(has("Restart=on-failure") && !service.lines().any(|line| line.starts_with("RestartPrevent")));
    assert!(has("UnsetEnvironment=INSTANCES_BASE_PATH INSTANCES_BASE_ID"), "the flag is that of the path unit");
    let flag = instances::registry::paths::Paths::new(None, None).expect("no id").flag();
    assert!(path.lines().any(|line| line == format!("PathExists={}", flag.display())));
}

/// The two services are one in two manners: they read the same settings, and may not run side by side.
#[test]
fn the_watch_is_the_service_that_stays() {
    let read = |unit: &str| fs::read_to_string(format!("{UNITS}/{unit}")).expect("a unit");
    let (process, watch) = (read("instances-process.service"), read("instances-watch.service"));
    let has = |line: &str| watch.lines().any(|there| there == line);
    assert!(has("Type=notify") && has("Restart=always") && has("StartLimitIntervalSec=0"), "it must come back");
    assert!(has("Conflicts=shutdown.target instances-process.path instances-process.service"));
    for shared in ["Environment=", "EnvironmentFile=", "UnsetEnvironment=", "After=", "CapabilityBoundingSet="] {
        let line = process.lines().find(|line| line.starts_with(shared)).expect(shared);
        assert!(has(line), "{line}");
    }
}

/// What the unit's comments propose for taking over from ironic-inspector.
#[test]
fn the_filter_runs_with_inspectors_configuration_too() {
    let folder = installed();
    let unit = folder.path().join("instances-pxe-filter.service");
    let text = fs::read_to_string(&unit).expect("read");
    let proposals = text.lines().filter_map(|line| line.strip_prefix("#   "));
    let proposals: Vec<_> = proposals.skip_while(|line| *line != "[Service]").collect();
    assert!(proposals.len() > 6, "{proposals:?}");
    let dropin = folder.path().join("instances-pxe-filter.service.d");
    fs::create_dir(&dropin).expect("a folder");
    fs::write(dropin.join("inspector.conf"), proposals.join("\n").replace("+systemctl", "+/bin/true")).expect("write");
    let Some((fine, said)) = analyze(folder.path(), &["verify", "--man=no", "instances-pxe-filter.service"]) else {
        return;
    };
    assert!(fine && said.is_empty(), "{said}");
    // What was killed is ended properly, and comes back.
    for line in ["Type=notify", "Restart=always", "StartLimitIntervalSec=0", "RuntimeDirectoryPreserve=yes"] {
        assert!(text.lines().any(|there| there == line), "{line}");
    }
    assert!(text.contains("\nExecStopPost=/bin/sh -c '[ \"$EXIT_CODE\" = exited ] || exec "));
}

/// Names stay while it is away, however it ended; see the comments in the unit.
#[test]
fn the_companions_dnsmasq_outlives_it_and_is_found_again() {
    let folder = installed();
    let text = fs::read_to_string(folder.path().join("instances-proxmox.service")).expect("read");
    for line in [
        "Type=notify",
        "Restart=always",
        "StartLimitIntervalSec=0",
        "KillMode=process",
        "RuntimeDirectoryPreserve=restart",
        "LoadCredential=token:/etc/instances/proxmox.token",
    ] {
        assert!(text.lines().any(|there| there == line), "{line}");
    }
    // With the registry, as its comment proposes.
    let proposals: Vec<_> = text.lines().filter_map(|line| line.strip_prefix("#   ")).collect();
    assert_eq!(proposals.len(), 3, "{proposals:?}");
    let dropin = folder.path().join("instances-proxmox.service.d");
    fs::create_dir(&dropin).expect("a folder");
    fs::write(dropin.join("registry.conf"), proposals.join("\n").replace("User=dnsmasq", "User=daemon"))
        .expect("write");
    let Some((fine, said)) = analyze(folder.path(), &["verify", "--man=no", "instances-proxmox.service"]) else {
        return;
    };
    assert!(fine && said.is_empty(), "{said}");
}

#[test]
fn the_settings_that_are_shipped_are_valid_and_change_nothing() {
    let settings =
        fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/packaging/default/instances")).expect("read");
    assert!(settings.lines().all(|line| line.is_empty() || line.starts_with('#')), "something is set");
    let service = fs::read_to_string(format!("{UNITS}/instances-process.service")).expect("the service");
    let proposals = settings.lines().filter_map(|line| line.strip_prefix("#INSTANCES_PROCESS_OPTIONS="));
    for (index, options) in proposals.map(|quoted| quoted.trim_matches('"')).enumerate() {
        let arguments = ["instances-process", "--force"].into_iter().chain(options.split(' '));
        let parsed = <instances::cli::process::Arguments as clap::Parser>::try_parse_from(arguments);
        assert!(parsed.is_ok(), "{options}: {parsed:?}");
        let is_default = service.contains(&format!("Environment=\"INSTANCES_PROCESS_OPTIONS={options}\""));
        assert_eq!(is_default, index == 0, "{options}");
    }
}

#[test]
#[cfg(feature = "nfdhcpd")]
fn the_sample_configuration_is_understood_and_so_is_all_that_it_proposes() {
    const SAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/packaging/nfdhcpd/nfdhcpd.conf");
    let lower = |path: &str| {
        let arguments = ["instances-nfdhcpd", "-c", path];
        let parsed =
            <instances::cli::nfdhcpd::Arguments as clap::Parser>::try_parse_from(arguments).expect("arguments");
        parsed.lower(&|_| None).expect("the sample")
    };
    let request = lower(SAMPLE);
    assert_eq!(request.notices, Vec::<String>::new());
    // Proposals are `#key = value`; prose has a blank behind the #.
    let text = fs::read_to_string(SAMPLE).expect("the sample is text");
    let is_proposal = |rest: &&str| rest.starts_with(|first: char| first.is_ascii_lowercase());
    let all = text.lines().map(|line| line.strip_prefix('#').filter(is_proposal).unwrap_or(line));
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("all.conf");
    fs::write(&path, all.collect::<Vec<_>>().join("\n")).expect("write");
    let with_all = lower(path.to_str().expect("a path"));
    assert_eq!(with_all.notices, Vec::<String>::new());
    // What is proposed as default is one.
    assert_eq!(with_all.config.queues, request.config.queues);
    assert_eq!(with_all.config.datapath, request.config.datapath);
    assert_eq!(with_all.config.taps, request.config.taps);
    let lifetimes = |request: &instances::cli::nfdhcpd::Request| {
        let settings = &request.config.settings;
        let dhcp = settings.dhcp.as_ref().map(|dhcp| (dhcp.lease_lifetime, dhcp.lease_renewal));
        (dhcp, settings.ipv6.clone())
    };
    assert_eq!(lifetimes(&with_all), lifetimes(&request));
}
