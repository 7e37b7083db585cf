//! What a real dnsmasq makes of our files, and what we make of one that dies, hangs, or was there before us.
#![cfg(feature = "proxmox")]
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

#[path = "common/dns.rs"]
mod dns;
#[path = "common/netns.rs"]
mod netns;

use dns::Dns;
use instances::daemon::proxmox::beside::{Beside, Said};
use instances::daemon::proxmox::child::{Event, Managed, Settings};
use instances::daemon::proxmox::tending::Pace;
use instances::net::Mac;
use instances::plan::dns_records::{Extra, Network, Policy, Records, Vlan};
use instances::plan::dnsmasq_conf::{Conf, Domain};
use instances::plan::guest::{Configured, Guest, Kind, Nic, State};
use instances::sink::dnsmasq::Dnsmasq;
use instances::sink::dnsmasq_dir::{DnsmasqDir, Places, Sink, findings};
use instances::source::leases::LeaseFile;
use netns::{in_new_netns, install, needs, run, wait};
use nix::sched::{CloneFlags, unshare};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::future::Future;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::time::{Duration, Instant};
use wait::{PATIENCE, until};

const PORT: u16 = 5353;

/// A dnsmasq of ours, in a folder, in a network namespace.
struct Lab {
    folder: tempfile::TempDir,
}

impl Lab {
    fn new() -> Self {
        run("ip", &["link", "set", "lo", "up"]);
        let lab = Self { folder: tempfile::tempdir().unwrap() };
        fs::set_permissions(lab.folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        fs::create_dir(lab.path("hosts")).unwrap();
        fs::set_permissions(lab.path("hosts"), fs::Permissions::from_mode(0o755)).unwrap();
        // It becomes dnsmasq itself, with a log that can be read.
        let script = format!("#!/bin/sh\nexec /usr/sbin/dnsmasq \"$@\" 2>>{}\n", lab.path("log").display());
        install(&lab.path("program"), script);
        lab
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn conf(&self) -> Conf {
        let prefixes = vec!["192.0.2.0/24".parse().unwrap(), "2001:db8:0:1::/64".parse().unwrap()];
        Conf {
            domains: vec![Domain { name: "lab.example".parse().unwrap(), prefixes }],
            ranges: vec!["192.0.2.100,192.0.2.150,255.255.255.0,12h".parse().unwrap()],
            options: vec!["option:router,192.0.2.1".parse().unwrap()],
            upstream: vec!["127.0.0.1:9".parse().unwrap()],
            port: PORT,
            interfaces: Vec::new(),
            is_authoritative: true,
            pings: false,
            user: None,
            hostsdir: self.path("hosts"),
            dhcp_hostsfile: self.path("reservations"),
            leases: self.path("leases"),
            pid_file: self.path("pid"),
        }
    }

    fn settings(&self) -> Settings {
        let conf = self.conf();
        let second = Duration::from_secs(1);
        let pace = Pace { ask: second / 5, patience: 5 * second, ..Pace::default() };
        let (program, conf_file) = (self.path("program"), self.path("dnsmasq.conf"));
        Settings { program, conf_file, asked_at: conf.asked_at(), conf, pace }
    }

    fn open(&self) -> DnsmasqDir {
        let (hostsdir, dhcp_hostsfile) = (self.path("hosts"), self.path("reservations"));
        DnsmasqDir::open(Places { hostsdir, dhcp_hostsfile, pid_file: Some(self.path("pid")) }).unwrap()
    }

    fn log(&self) -> String {
        fs::read_to_string(self.path("log")).unwrap_or_default()
    }

    /// How often dnsmasq has read everything: at its start, and each time it was told.
    fn readings(&self) -> usize {
        self.log().matches(&format!("read {}", self.path("reservations").display())).count()
    }

    /// How often dnsmasq has begun.
    fn starts(&self) -> usize {
        self.log().matches(": started, version").count()
    }

    fn pid(&self) -> Pid {
        Pid::from_raw(fs::read_to_string(self.path("pid")).unwrap().trim().parse().unwrap())
    }
}

fn dns() -> Dns {
    Dns(([127, 0, 0, 1], PORT).into())
}

/// Runs a test with a lab in a namespace of its own, where there is a dnsmasq.
fn with_lab<F: Future<Output = ()>>(test: impl FnOnce(Lab) -> F + Send + 'static) {
    if !needs::can("dnsmasq", "test -x /usr/sbin/dnsmasq") {
        return;
    }
    in_new_netns(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(test(Lab::new()));
    });
}

/// Tends until something happens that is wanted; nothing may happen that is not told here.
async fn until_event(managed: &mut Managed, wanted: impl Fn(&Event) -> bool) -> Event {
    let waiting = async {
        loop {
            let event = managed.tend().await;
            if wanted(&event) {
                return event;
            }
        }
    };
    tokio::time::timeout(PATIENCE, waiting).await.unwrap()
}

/// A running one that has answered.
async fn answering(lab: &Lab) -> Managed {
    let mut managed = Managed::prepare(lab.settings()).await.unwrap();
    until_event(&mut managed, |event| matches!(event, Event::Answers)).await;
    managed
}

fn guest(vmid: u32, name: &str, v4: Option<&str>, v6: Option<&str>) -> Guest {
    let [_, b, c, d] = vmid.to_be_bytes();
    let nic = Nic {
        index: 0,
        mac: Mac([0xbc, 0x24, 0x11, b, c, d]),
        bridge: Some("vmbr0".to_owned()),
        tag: None,
        is_link_down: false,
        v4: v4.map_or(Configured::Dhcp, |address| Configured::Static(address.parse().unwrap())),
        v6: v6.map_or(Configured::Unsaid, |address| Configured::Static(address.parse().unwrap())),
    };
    Guest {
        vmid,
        kind: Kind::Qemu,
        node: "pve1".to_owned(),
        name: Some(name.to_owned()),
        state: State::Running,
        is_template: false,
        tags: BTreeSet::new(),
        agent_enabled: true,
        has_custom_cloud_init: false,
        nics: vec![nic],
        lists: BTreeMap::new(),
    }
}

fn records(guests: &[Guest]) -> Records {
    let prefixes = ["192.0.2.0/24", "10.0.0.0/8", "2001:db8:0:1::/64"].map(|prefix| prefix.parse().unwrap()).to_vec();
    let network = Network { bridge: None, vlan: Vlan::Any, prefixes, domain: "lab.example".parse().unwrap() };
    let extra = Extra { name: "ns.lab.example".parse().unwrap(), address: "192.0.2.2".parse().unwrap() };
    Records::new(guests, &[], &Policy { networks: vec![network], extra: vec![extra], ..Policy::default() })
}

#[test]
fn names_resolve_right_after_a_change_without_any_signal() {
    with_lab(|lab| async move {
        let mut dir = lab.open();
        let web = guest(100, "web", Some("192.0.2.10"), Some("2001:db8:0:1::10"));
        let db = |address| guest(101, "db", Some(address), None);
        dir.put(&records(&[web.clone(), db("192.0.2.11")])).unwrap();
        dir.begins_anew().unwrap();
        let mut managed = answering(&lab).await;
        let dns = dns();
        dns.becomes("web.lab.example", &["192.0.2.10", "2001:db8:0:1::10"]);
        dns.is_called("192.0.2.10", &["web.lab.example"]);
        dns.is_called("2001:db8:0:1::10", &["web.lab.example"]);
        dns.becomes("ns.lab.example", &["192.0.2.2"]);
        dns.becomes("nobody.lab.example", &[]);
        // Each takes the other's address, each keeps its reverse lookup.
        let swapped = [guest(100, "web", Some("192.0.2.11"), Some("2001:db8:0:1::10")), db("192.0.2.10")];
        let put = dir.put(&records(&swapped)).unwrap();
        assert!(!put.needs_reload);
        dns.becomes("web.lab.example", &["192.0.2.11", "2001:db8:0:1::10"]);
        dns.becomes("db.lab.example", &["192.0.2.10"]);
        dns.is_called("192.0.2.11", &["web.lab.example"]);
        dns.is_called("192.0.2.10", &["db.lab.example"]);
        dir.put(&records(&[db("192.0.2.11")])).unwrap();
        dns.becomes("web.lab.example", &[]);
        dns.is_called("2001:db8:0:1::10", &[]);
        dns.is_called("192.0.2.11", &["db.lab.example"]);
        assert_eq!((lab.readings(), lab.starts()), (1, 1), "{}", lab.log());
        assert!(tokio::time::timeout(Duration::from_millis(500), managed.tend()).await.is_err());
        managed.stop().await.unwrap();
    });
}

#[test]
fn nothing_is_read_again_when_nothing_changed() {
    with_lab(|lab| async move {
        let guests = [guest(100, "web", Some("192.0.2.10"), None), guest(102, "dhcp", None, None)];
        let mut dir = lab.open();
        dir.put(&records(&guests)).unwrap();
        dir.begins_anew().unwrap();
        let managed = answering(&lab).await;
        for _ in 0..20 {
            let put = dir.put(&records(&guests)).unwrap();
            assert_eq!((put.files, put.needs_reload), (0, false));
        }
        drop(dir);
        // A new one of us changes nothing either.
        assert!(!lab.open().put(&records(&guests)).unwrap().needs_reload);
        dns().becomes("web.lab.example", &["192.0.2.10"]);
        assert_eq!((lab.readings(), lab.starts()), (1, 1), "{}", lab.log());
        assert!(!lab.log().contains("inotify:"), "{}", lab.log());
        // A file that is new is read once.
        let mut dir = lab.open();
        for vmid in [103, 104] {
            let name = format!("new-{vmid}");
            let address = format!("192.0.2.{}", vmid - 50);
            let mut more = guests.to_vec();
            more.push(guest(vmid, &name, Some(&address), None));
            assert_eq!(dir.put(&records(&more)).unwrap().files, usize::try_from(vmid - 102).unwrap());
            dns().becomes(&format!("{name}.lab.example"), &[&address]);
        }
        assert_eq!(lab.log().matches("new or modified").count(), 2, "{}", lab.log());
        managed.stop().await.unwrap();
    });
}

#[test]
fn a_reservation_and_one_reload_rename_a_live_lease() {
    if !needs::can("udhcpc", "command -v udhcpc") {
        return;
    }
    with_lab(|lab| async move {
        run("ip", &["link", "add", "server", "type", "veth", "peer", "name", "client"]);
        run("ip", &["link", "set", "client", "address", "bc:24:11:00:00:66"]);
        run("ip", &["addr", "add", "192.0.2.1/24", "dev", "server"]);
        for name in ["server", "client"] {
            run("ip", &["link", "set", name, "up"]);
        }
        let mut dir = lab.open();
        dir.put(&records(&[])).unwrap();
        dir.begins_anew().unwrap();
        let managed = answering(&lab).await;
        let dns = dns();
        // A client's own word is no name.
        run("udhcpc", &["-i", "client", "-n", "-q", "-f", "-t", "10", "-s", "/bin/true", "-x", "hostname:evil"]);
        let mut leases = LeaseFile::new(lab.path("leases"));
        until("the lease is in the file", || {
            leases.look().unwrap();
            !leases.leases().leases.is_empty()
        });
        let lease = leases.leases().leases[0].clone();
        let address = lease.address.to_string();
        assert_eq!((lease.mac, &lease.name), (Some(Mac([0xbc, 0x24, 0x11, 0, 0, 0x66])), &None));
        dns.becomes("evil.lab.example", &[]);
        dns.is_called(&address, &[]);
        for (readings, name) in [(2, "db"), (3, "web")] {
            let put = dir.put(&records(&[guest(102, name, None, None)])).unwrap();
            assert_eq!((put.files, put.needs_reload), (0, true));
            dir.reload().unwrap();
            dns.becomes(&format!("{name}.lab.example"), &[&address]);
            dns.is_called(&address, &[&format!("{name}.lab.example")]);
            assert_eq!(lab.readings(), readings);
        }
        dns.becomes("db.lab.example", &[]);
        assert_eq!(lab.starts(), 1);
        managed.stop().await.unwrap();
    });
}

#[test]
fn dnsmasq_that_dies_is_started_again_and_nothing_is_missing() {
    with_lab(|lab| async move {
        let mut dir = lab.open();
        dir.put(&records(&[guest(100, "web", Some("192.0.2.10"), None)])).unwrap();
        dir.begins_anew().unwrap();
        let mut managed = answering(&lab).await;
        for starts in 2..4 {
            kill(lab.pid(), Signal::SIGKILL).unwrap();
            let ended = until_event(&mut managed, |event| matches!(event, Event::Ended(_))).await;
            assert_eq!(ended.to_string(), "dnsmasq has ended: signal: 9 (SIGKILL); it is started again");
            until_event(&mut managed, |event| matches!(event, Event::Answers)).await;
            assert_eq!(lab.starts(), starts);
            dns().becomes("web.lab.example", &["192.0.2.10"]);
        }
        managed.stop().await.unwrap();
    });
}

#[test]
fn dnsmasq_that_hangs_is_replaced() {
    with_lab(|lab| async move {
        let mut dir = lab.open();
        dir.put(&records(&[guest(100, "web", Some("192.0.2.10"), None)])).unwrap();
        let mut managed = answering(&lab).await;
        let before = lab.pid();
        kill(before, Signal::SIGSTOP).unwrap();
        let hangs = until_event(&mut managed, |event| matches!(event, Event::Hangs(_))).await;
        assert_eq!(hangs.to_string(), "dnsmasq has not answered for 5 s and is replaced");
        until_event(&mut managed, |event| matches!(event, Event::Answers)).await;
        assert!(lab.pid() != before && kill(before, None).is_err());
        dns().becomes("web.lab.example", &["192.0.2.10"]);
        // It ends within seconds, even while it hangs.
        kill(lab.pid(), Signal::SIGSTOP).unwrap();
        let start = Instant::now();
        managed.stop().await.unwrap();
        assert!(start.elapsed() < Duration::from_secs(10));
    });
}

#[test]
fn an_orphan_is_taken_over_or_replaced_and_others_are_left_alone() {
    with_lab(|lab| async move {
        let mut dir = lab.open();
        dir.put(&records(&[guest(100, "web", Some("192.0.2.10"), None)])).unwrap();
        // Dropped as by a kill: it goes on.
        drop(answering(&lab).await);
        let orphan = lab.pid();
        let mut managed = Managed::prepare(lab.settings()).await.unwrap();
        let found = managed.tend().await;
        assert_eq!(found.to_string(), format!("dnsmasq runs already, as process {orphan}, and is taken over"));
        until_event(&mut managed, |event| matches!(event, Event::Answers)).await;
        assert_eq!(lab.starts(), 1);
        drop(managed);
        // With another configuration it does not stay.
        let mut settings = lab.settings();
        settings.conf.options = vec!["option:router,192.0.2.254".parse().unwrap()];
        let mut managed = Managed::prepare(settings.clone()).await.unwrap();
        until_event(&mut managed, |event| matches!(event, Event::Answers)).await;
        let second = lab.pid();
        assert!(second != orphan && lab.starts() == 2);
        dns().becomes("web.lab.example", &["192.0.2.10"]);
        drop(managed);
        // One that was started with another file is not ours.
        settings.conf_file = lab.path("other.conf");
        settings.conf.port = PORT + 1;
        settings.conf.ranges.clear();
        settings.asked_at = settings.conf.asked_at();
        let mut managed = Managed::prepare(settings).await.unwrap();
        until_event(&mut managed, |event| matches!(event, Event::Answers)).await;
        assert!(lab.pid() != second && kill(second, None).is_ok());
        managed.stop().await.unwrap();
        kill(second, Signal::SIGKILL).unwrap();
    });
}

#[test]
fn what_somebody_did_to_its_configuration_is_put_right_when_it_begins_anew() {
    with_lab(|lab| async move {
        lab.open().put(&records(&[guest(100, "web", Some("192.0.2.10"), None)])).unwrap();
        fs::create_dir(lab.path("run")).unwrap();
        let mut settings = lab.settings();
        (settings.conf_file, settings.conf.pid_file) = (lab.path("run/dnsmasq.conf"), lab.path("run/pid"));
        let mut managed = Managed::prepare(settings.clone()).await.unwrap();
        let mut runs = None;
        for deed in [None, Some("run folder"), Some("file"), Some("text")] {
            match deed {
                Some("run folder") => fs::remove_dir_all(lab.path("run")).unwrap(),
                Some("file") => fs::remove_file(&settings.conf_file).unwrap(),
                Some(_) => fs::write(&settings.conf_file, "port=53\n").unwrap(),
                None => {}
            }
            if let Some(pid) = runs {
                kill(Pid::from_raw(pid), Signal::SIGKILL).unwrap();
            }
            let began = until_event(&mut managed, |event| matches!(event, Event::Began(_))).await;
            let Event::Began(pid) = began else { panic!("{began}") };
            runs = Some(pid.try_into().unwrap());
            until_event(&mut managed, |event| matches!(event, Event::Answers)).await;
            dns().becomes("web.lab.example", &["192.0.2.10"]);
            // It is still nobody else's.
            let error = Managed::prepare(settings.clone()).await.unwrap_err().to_string();
            assert!(error.contains("is kept in step by process"), "{error}");
        }
        managed.stop().await.unwrap();
    });
}

#[test]
fn a_dnsmasq_that_somebody_else_keeps_is_left_alone() {
    with_lab(|lab| async move {
        lab.open().put(&records(&[guest(100, "web", Some("192.0.2.10"), None)])).unwrap();
        let managed = answering(&lab).await;
        let pid = lab.pid();
        let mut settings = lab.settings();
        settings.conf.hostsdir = lab.path("others");
        fs::create_dir(lab.path("others")).unwrap();
        let error = Managed::prepare(settings).await.unwrap_err().to_string();
        let who = format!("is kept in step by process {} already", std::process::id());
        assert!(error.contains(&who) && error.contains("choose another folder"), "{error}");
        assert_eq!((lab.pid(), lab.starts()), (pid, 1));
        dns().becomes("web.lab.example", &["192.0.2.10"]);
        managed.stop().await.unwrap();
    });
}

#[test]
fn a_pid_file_that_is_none_is_not_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pid");
    run("mkfifo", &[path.to_str().unwrap()]);
    let error = Dnsmasq::find(&path).unwrap_err().to_string();
    assert!(error.contains("it is not a regular file"), "{error}");
}

#[test]
fn an_orphan_that_nobody_knows_by_its_number_is_replaced() {
    with_lab(|lab| async move {
        lab.open().put(&records(&[guest(100, "web", Some("192.0.2.10"), None)])).unwrap();
        drop(answering(&lab).await);
        let orphan = lab.pid();
        // We were killed before it had written it; or somebody has cleared /run.
        fs::remove_file(lab.path("pid")).unwrap();
        let managed = answering(&lab).await;
        assert!(lab.pid() != orphan && lab.starts() == 2, "{}", lab.log());
        assert!(!lab.log().contains("failed to create listening socket"), "{}", lab.log());
        dns().becomes("web.lab.example", &["192.0.2.10"]);
        managed.stop().await.unwrap();
    });
}

#[test]
fn an_orphan_that_watches_a_folder_that_is_gone_is_replaced() {
    with_lab(|lab| async move {
        lab.open().put(&records(&[guest(100, "web", Some("192.0.2.10"), None)])).unwrap();
        drop(answering(&lab).await);
        let orphan = lab.pid();
        fs::rename(lab.path("hosts"), lab.path("aside")).unwrap();
        fs::create_dir(lab.path("hosts")).unwrap();
        fs::set_permissions(lab.path("hosts"), fs::Permissions::from_mode(0o755)).unwrap();
        let mut dir = lab.open();
        let managed = answering(&lab).await;
        assert!(lab.pid() != orphan && lab.starts() == 2, "{}", lab.log());
        dir.put(&records(&[guest(100, "other", Some("192.0.2.10"), None)])).unwrap();
        dns().becomes("other.lab.example", &["192.0.2.10"]);
        managed.stop().await.unwrap();
    });
}

#[test]
fn another_resolvers_answer_is_not_taken_for_dnsmasqs() {
    with_lab(|lab| async move {
        let mut settings = lab.settings();
        settings.conf.interfaces = vec!["lo".parse().unwrap()];
        settings.pace.ask = Duration::from_millis(5);
        // It takes its time to begin, and to see that the port is taken.
        let script = "#!/bin/sh\ncase $1 in --test) ;; *) sleep 1 ;; esac\nexec /usr/sbin/dnsmasq \"$@\" 2>/dev/null\n";
        install(&lab.path("program"), script);
        lab.open().put(&records(&[])).unwrap();
        let other = std::net::UdpSocket::bind(("127.0.0.1", PORT)).unwrap();
        other.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
        let is_over = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
        let ends = std::sync::Arc::clone(&is_over);
        let answering = std::thread::spawn(move || {
            let mut answered = 0;
            while !ends.load(std::sync::atomic::Ordering::Relaxed) {
                let mut question = [0; 512];
                let Ok((length, from)) = other.recv_from(&mut question) else { continue };
                question[2] |= 0x80;
                other.send_to(&question[..length], from).unwrap();
                answered += 1;
            }
            answered
        });
        let mut managed = Managed::prepare(settings).await.unwrap();
        let first = until_event(&mut managed, |event| !matches!(event, Event::Began(_))).await;
        assert!(matches!(first, Event::Ended(_)), "{first}");
        let second = until_event(&mut managed, |event| !matches!(event, Event::Began(_))).await;
        assert!(matches!(second, Event::Ended(_)), "{second}");
        is_over.store(true, std::sync::atomic::Ordering::Relaxed);
        assert!(answering.join().unwrap() > 0, "it was asked");
        until_event(&mut managed, |event| matches!(event, Event::Answers)).await;
        managed.stop().await.unwrap();
    });
}

#[test]
fn another_dnsmasq_is_asked_where_it_serves_and_missed_when_it_does_no_longer() {
    with_lab(|lab| async move {
        let start = |port: &str| {
            let _ = fs::remove_file(lab.path("pid"));
            let child = std::process::Command::new("/usr/sbin/dnsmasq")
                .args(["--keep-in-foreground", "--conf-file=/dev/null", "--log-facility=/dev/null", "--user=root"])
                .args(["--no-resolv", "--no-hosts", port])
                .arg(format!("--pid-file={}", lab.path("pid").display()))
                .spawn()
                .unwrap();
            until("it runs", || fs::read_to_string(lab.path("pid")).is_ok_and(|pid| !pid.is_empty()));
            child
        };
        let mut beside = Beside::with(lab.path("pid"), Duration::from_millis(100), Duration::from_secs(2));
        // Nobody runs, so nobody is missed.
        assert!(tokio::time::timeout(Duration::from_millis(500), beside.tend()).await.is_err());
        for port in ["--port=5353", "-p5354"] {
            let mut child = start(port);
            let version = Dnsmasq::find(&lab.path("pid")).unwrap().version().unwrap();
            let said = tokio::time::timeout(PATIENCE, beside.tend()).await.unwrap();
            assert_eq!(said, Said::Answers(version));
            child.kill().unwrap();
            child.wait().unwrap();
            let said = tokio::time::timeout(PATIENCE, beside.tend()).await.unwrap();
            assert_eq!(said, Said::Silent(Duration::from_secs(2)));
        }
    });
}

#[test]
fn a_program_that_anybody_can_have_put_there_is_not_run_for_its_version() {
    with_lab(|lab| async move {
        let run = |owner: Option<u32>, mode: u32| {
            let program = lab.path("dnsmasq");
            install(&program, fs::read("/usr/sbin/dnsmasq").unwrap());
            std::os::unix::fs::chown(&program, owner, owner).unwrap();
            fs::set_permissions(&program, fs::Permissions::from_mode(mode)).unwrap();
            let places = ["--port=0", "--pid-file=", "--no-resolv", "--user=root"].map(str::to_owned);
            let mut child = std::process::Command::new(&program)
                .args(["--keep-in-foreground", "--conf-file=/dev/null", "--log-facility=/dev/null"])
                .args(places)
                .spawn()
                .unwrap();
            fs::write(lab.path("number"), child.id().to_string()).unwrap();
            let version = Dnsmasq::find(&lab.path("number")).unwrap().version();
            child.kill().unwrap();
            child.wait().unwrap();
            version
        };
        assert!(run(Some(0), 0o755).is_some());
        assert_eq!(run(Some(65534), 0o755), None);
        assert_eq!(run(Some(0), 0o777), None);
    });
}

#[test]
fn a_configuration_that_dnsmasq_does_not_take_is_said() {
    with_lab(|lab| async move {
        let mut settings = lab.settings();
        settings.program = "/usr/sbin/dnsmasq".into();
        settings.conf.ranges = vec!["nonsense".parse().unwrap()];
        let error = Managed::prepare(settings.clone()).await.unwrap_err().to_string();
        assert!(
            error.starts_with("dnsmasq does not take its configuration: ") && error.contains("dhcp-range"),
            "{error}"
        );
        settings.program = "/nowhere/dnsmasq".into();
        let error = Managed::prepare(settings).await.unwrap_err().to_string();
        assert!(error.ends_with("install dnsmasq (Debian: dnsmasq-base)"), "{error}");
    });
}

#[test]
fn a_port_that_is_taken_is_said_and_dnsmasq_begins_once_it_is_free() {
    with_lab(|lab| async move {
        let mut settings = lab.settings();
        settings.conf.interfaces = vec!["lo".parse().unwrap()];
        lab.open().put(&records(&[])).unwrap();
        let taken = std::net::UdpSocket::bind(("127.0.0.1", PORT)).unwrap();
        let mut managed = Managed::prepare(settings).await.unwrap();
        for _ in 0..2 {
            let ended = until_event(&mut managed, |event| matches!(event, Event::Ended(_))).await.to_string();
            assert!(ended.contains("exit status: 2 (the network: is another server on its port?)"), "{ended}");
        }
        drop(taken);
        until_event(&mut managed, |event| matches!(event, Event::Answers)).await;
        managed.stop().await.unwrap();
    });
}

#[test]
fn no_illegal_name_reaches_dnsmasq() {
    with_lab(|lab| async move {
        let long = "x".repeat(300);
        let names = [
            "localhost",
            "*",
            "-x",
            &long,
            "\u{1f600}",
            "a b",
            "a\n192.0.2.66 evil",
            "a#b",
            "",
            "..",
            "42",
            "ignore",
            "ns",
        ];
        let guests: Vec<_> = (100..)
            .zip(names)
            .flat_map(|(vmid, name)| {
                let address = format!("192.0.2.{}", vmid - 90);
                [guest(vmid, name, Some(&address), None), guest(vmid + 100, name, None, None)]
            })
            .collect();
        let mut dir = lab.open();
        dir.put(&records(&guests)).unwrap();
        dir.begins_anew().unwrap();
        let managed = answering(&lab).await;
        dir.put(&records(&[])).unwrap();
        dir.put(&records(&guests)).unwrap();
        dir.reload().unwrap();
        until("it has read all", || lab.readings() == 2);
        let dns = dns();
        dns.is_called("192.0.2.11", &["vm-101.lab.example"]);
        dns.becomes("evil", &[]);
        dns.becomes("ns.lab.example", &["192.0.2.2"]);
        let log = lab.log();
        assert!(!["bad ", "error", "Ignoring", "failed", "duplicate"].iter().any(|word| log.contains(word)), "{log}");
        managed.stop().await.unwrap();
    });
}

#[test]
fn a_full_disk_leaves_what_dnsmasq_knows() {
    with_lab(|lab| async move {
        unshare(CloneFlags::CLONE_NEWNS).unwrap();
        run("mount", &["--make-rprivate", "/"]);
        run("mount", &["-t", "tmpfs", "-o", "size=64k,mode=755", "tmpfs", lab.path("hosts").to_str().unwrap()]);
        let mut dir = lab.open();
        let before = records(&[guest(100, "web", Some("192.0.2.10"), None)]);
        let after = records(&[guest(100, "web", Some("192.0.2.20"), None), guest(101, "db", Some("192.0.2.10"), None)]);
        dir.put(&before).unwrap();
        let managed = answering(&lab).await;
        let filler = lab.path("hosts/.filler");
        assert!(fs::write(&filler, vec![0; 1 << 20]).is_err());
        let error = dir.put(&after).unwrap_err().to_string();
        assert!(error.ends_with("free some space; until then dnsmasq keeps what it knows"), "{error}");
        dns().becomes("web.lab.example", &["192.0.2.10"]);
        dns().is_called("192.0.2.10", &["web.lab.example"]);
        fs::remove_file(filler).unwrap();
        dir.put(&after).unwrap();
        dns().becomes("web.lab.example", &["192.0.2.20"]);
        dns().is_called("192.0.2.10", &["db.lab.example"]);
        managed.stop().await.unwrap();
    });
}

#[test]
fn ten_thousand_guests_are_known_and_one_change_among_them_is_one_file() {
    with_lab(|lab| async move {
        let address = |number: u32| format!("10.{}.{}.{}", number >> 16, number >> 8 & 255, number & 255);
        let mut guests: Vec<_> = (1_000..11_000)
            .map(|vmid| match vmid % 2 {
                0 => guest(vmid, &format!("g{vmid}"), Some(&address(vmid)), None),
                _ => guest(vmid, &format!("g{vmid}"), None, None),
            })
            .collect();
        let mut dir = lab.open();
        let all = records(&guests);
        let start = Instant::now();
        let put = dir.put(&all).unwrap();
        let filled = start.elapsed();
        assert!(put.files <= 33 && put.needs_reload, "{put:?}");
        dir.begins_anew().unwrap();
        let managed = answering(&lab).await;
        let dns = dns();
        dns.becomes("g10998.lab.example", &[&address(10_998)]);
        guests[9_998] = guest(10_998, "g10998", Some("10.200.0.1"), None);
        let start = Instant::now();
        let one = records(&guests);
        let planned = start.elapsed();
        assert_eq!(dir.put(&one).unwrap().files, 1);
        let written = start.elapsed().saturating_sub(planned);
        dns.becomes("g10998.lab.example", &["10.200.0.1"]);
        dns.is_called("10.200.0.1", &["g10998.lab.example"]);
        let known = start.elapsed();
        println!(
            "10,000 guests: filled in {filled:?}; one change: planned {planned:?}, written {written:?}, known {known:?}"
        );
        assert_eq!(lab.readings(), 1);
        managed.stop().await.unwrap();
    });
}

#[test]
fn a_dnsmasq_that_does_not_read_our_files_is_told_from_one_that_does() {
    with_lab(async |lab| {
        let managed = answering(&lab).await;
        let places = |hosts: &str, reservations: &str| Places {
            hostsdir: lab.path(hosts),
            dhcp_hostsfile: lab.path(reservations),
            pid_file: Some(lab.path("pid")),
        };
        let found = |places: &Places| findings(&Dnsmasq::find(&lab.path("pid")).unwrap(), places);
        assert_eq!(found(&places("hosts", "reservations")), Vec::<String>::new());
        // Another name of the same folder.
        std::os::unix::fs::symlink(lab.path("hosts"), lab.path("same")).unwrap();
        assert_eq!(found(&places("same", "reservations")), Vec::<String>::new());
        let others = found(&places("elsewhere", "others"));
        assert_eq!(others.len(), 2, "{others:?}");
        let folder =
            format!("dnsmasq does not read {} but {} (", lab.path("elsewhere").display(), lab.path("hosts").display());
        assert!(others[0].starts_with(&folder) && others[1].contains("reservations"), "{others:?}");
        fs::rename(lab.path("hosts"), lab.path("old")).unwrap();
        fs::create_dir(lab.path("hosts")).unwrap();
        let anew = found(&places("hosts", "reservations"));
        assert!(anew.len() == 1 && anew[0].ends_with("restart dnsmasq"), "{anew:?}");
        managed.stop().await.unwrap();
        // As an administrator may start it: all of it on the command line.
        let mut by_hand = std::process::Command::new("/usr/sbin/dnsmasq")
            .args(["--keep-in-foreground", "--conf-file=/dev/null", "--log-facility=/dev/null", "--user=root"])
            .args(["--port=5399", "--dhcp-range=192.0.2.100,192.0.2.150,1h"])
            .arg(format!("--pid-file={}", lab.path("by-hand").display()))
            .arg(format!("--dhcp-leasefile={}", lab.path("other-leases").display()))
            .arg(format!("--hostsdir={}", lab.path("hosts").display()))
            .args(["--dhcp-hostsfile".to_owned(), lab.path("reservations").display().to_string()])
            .arg("--no-ping")
            .spawn()
            .unwrap();
        until("it runs", || fs::read_to_string(lab.path("by-hand")).is_ok_and(|pid| !pid.is_empty()));
        let by_hand_found =
            || findings(&Dnsmasq::find(&lab.path("by-hand")).unwrap(), &places("hosts", "reservations"));
        until("it watches", || by_hand_found().is_empty());
        by_hand.kill().unwrap();
        by_hand.wait().unwrap();
    });
}
