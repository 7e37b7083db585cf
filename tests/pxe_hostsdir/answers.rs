//! Who is answered by what is in the folder.

use crate::lab::{Lab, STRANGER, WITNESS, all, answer, mac};
use crate::netns::install;
use crate::netns::needs::can;
use crate::netns::wait::until;
use crate::on_a_network;
use instances::plan::pxe_access::{Access, Who};
use instances::sink::dhcp_hostsdir::dnsmasq::{self, Dnsmasq, Finding};
use std::fs;

use Access::{Allow, Deny};

#[test]
fn the_allowed_boot_the_denied_hear_nothing_and_the_wildcard_is_for_all_others() {
    if !can("udhcpc", "command -v udhcpc") {
        return;
    }
    on_a_network(|lab: &mut Lab| {
        lab.start();
        assert_eq!(lab.lease(1), None, "an empty folder lets nobody in");
        let mut filter = lab.filter();
        filter.bring_in_step(&[answer(1, Allow), answer(2, Deny), (Who::Unknown, Deny)]);
        until("the first has a lease", || lab.lease(1).is_some());
        let told = lab.lease(1).unwrap();
        assert!(told.contains("file=pxelinux.0") && told.contains("ip=10."), "{told}");
        assert_eq!((lab.lease(2), lab.lease(STRANGER)), (None, None));
        filter.bring_in_step(&[answer(1, Deny), answer(2, Allow), (Who::Unknown, Allow)]);
        until("the stranger has a lease", || lab.lease(STRANGER).is_some());
        assert!(lab.lease(2).is_some());
        assert_eq!(lab.lease(1), None);
    });
}

#[test]
fn who_was_removed_boots_no_more_and_its_file_goes() {
    on_a_network(|lab: &mut Lab| {
        lab.start();
        let mut filter = lab.filter();
        let both = [all(1..3, Allow), vec![answer(WITNESS, Allow), (Who::Unknown, Allow)]].concat();
        filter.bring_in_step(&both);
        lab.answers(&both);
        filter.bring_in_step(&[answer(1, Allow), answer(WITNESS, Allow), (Who::Unknown, Allow)]);
        // Although all that nobody knows may boot.
        lab.answers(&[answer(2, Deny), answer(STRANGER, Allow)]);
        filter.bring_in_step(&[answer(1, Allow), answer(WITNESS, Allow), (Who::Unknown, Deny)]);
        filter.dir.delete(&[mac(2)]).unwrap();
        assert!(!lab.hostsdir().join(mac(2).to_string()).exists());
        lab.answers(&[answer(2, Deny)]);
        dnsmasq::reload(&lab.pid_file()).unwrap();
        lab.answers(&[answer(1, Allow), answer(2, Deny)]);
    });
}

#[test]
fn what_keeps_a_filter_from_having_an_effect_is_found() {
    on_a_network(|lab: &mut Lab| {
        let findings = |lab: &Lab| {
            let path = lab.hostsdir();
            let dnsmasq = Dnsmasq::find(&lab.pid_file()).unwrap();
            assert!(dnsmasq.version().unwrap() > dnsmasq::Version(2, 73));
            dnsmasq.findings(&path)
        };
        // It watches the folder a moment after it has written its number.
        let finds = |lab: &Lab, what: &[Finding]| until(&format!("{what:?} is found"), || findings(lab) == what);
        lab.start();
        finds(lab, &[]);
        fs::rename(lab.hostsdir(), lab.path("away")).unwrap();
        fs::create_dir(lab.hostsdir()).unwrap();
        assert_eq!(findings(lab), [Finding::WatchesAnother(lab.hostsdir())]);
        lab.kill();
        let place = "its command line".to_owned();
        lab.start_with(&["--dhcp-range=10.0.0.0,proxy"]);
        finds(lab, &[Finding::Proxy(place), Finding::AnswersUnknown]);
        lab.kill();
        fs::create_dir(lab.path("other")).unwrap();
        fs::rename(lab.hostsdir(), lab.path("moved")).unwrap();
        // Another name of the same folder.
        std::os::unix::fs::symlink(lab.path("other"), lab.hostsdir()).unwrap();
        lab.start();
        finds(lab, &[]);
        let elsewhere = Dnsmasq::find(&lab.pid_file()).unwrap().findings(&lab.path("moved"));
        assert!(elsewhere[0].to_string().contains("let both name the same folder"), "{elsewhere:?}");
    });
}

#[test]
fn a_dnsmasq_that_does_not_notice_files_is_named() {
    on_a_network(|lab: &mut Lab| {
        // It is this machine's, and says that it is an older one.
        let path =
            ["/usr/sbin/dnsmasq", "/usr/bin/dnsmasq"].into_iter().find(|path| fs::exists(path).unwrap()).unwrap();
        let mut program = fs::read(path).unwrap();
        let name = b"dnsmasq-2.";
        let place = program.windows(name.len()).position(|part| part == name).unwrap() + name.len();
        program[place..place + 2].copy_from_slice(b"72");
        lab.program = lab.path("dnsmasq");
        install(&lab.program, program);
        lab.start();
        let findings = Dnsmasq::find(&lab.pid_file()).unwrap().findings(&lab.hostsdir());
        assert_eq!(findings, [Finding::TooOld(dnsmasq::Version(2, 72))]);
        assert!(findings[0].to_string().contains("install 2.73 or later"));
    });
}
