//! Everything is real: an Ironic and a Keystone from PyPI, dnsmasq, machines that boot by DHCP, and `instances-pxe-filter`
//! between them. `make e2e-ironic` installs what it takes; where that was not done, or could not be, these are skipped.
#![cfg(feature = "pxe-filter")]
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

#[path = "../common/boot_network.rs"]
mod boot_network;
mod filter;
#[path = "../common/netns.rs"]
mod netns;
#[path = "../common/openstack.rs"]
mod openstack;

use boot_network::{BOOT_FILE, Network, listens};
use filter::Filter;
use netns::in_new_netns;
use netns::needs::{can, told_skipped};
use netns::wait::until;
use openstack::{ADMIN, Auth, FILTER, Ironic, KEYSTONE, Keystone};
use serde_json::Value;
use std::fs;
use std::path::Path;
use tempfile::TempDir;

const A: &str = "52:54:00:00:00:0a";
const B: &str = "52:54:00:00:00:0b";
const C: &str = "52:54:00:00:00:0c";
/// Ironic does not know it before inspection finds it.
const FOUND: &str = "52:54:00:00:00:1a";
/// Of a machine that nobody has enrolled.
const STRANGER: &str = "52:54:00:00:00:ff";

/// Runs a test with a network and a folder of its own, if all that it takes is here.
fn with_network(test: impl FnOnce(&Path, &Network) + Send + 'static) {
    if let Err(why) = openstack::installed() {
        // make e2e-ironic has just installed it.
        assert!(std::env::var_os("E2E_IRONIC").is_none(), "{why}");
        return told_skipped(&why);
    }
    if can("dnsmasq", "command -v dnsmasq") && can("udhcpc", "command -v udhcpc") {
        in_new_netns(move || {
            let folder = TempDir::new().unwrap();
            let network = Network::new(folder.path());
            test(folder.path(), &network);
        });
    }
}

/// An inspector.conf for this network, with `[ironic]` as given. The filter starts and stops dnsmasq.
fn inspector_conf(network: &Network, ironic: &str) -> String {
    let [hostsdir, conf, pid_file] =
        [network.hostsdir(), network.config(), network.pid_file()].map(|path| path.display().to_string());
    format!(
        "[pxe_filter]\ndriver = dnsmasq\n\
         [dnsmasq_pxe_filter]\ndhcp_hostsdir = {hostsdir}\n\
         dnsmasq_start_command = dnsmasq --conf-file={conf}\ndnsmasq_stop_command = kill $(cat {pid_file})\n\
         [ironic]\n{ironic}"
    )
}

const NO_AUTH: &str = "auth_type = none\nendpoint_override = http://127.0.0.1:6385\n";

/// Waits until the folder says this of a MAC address.
#[track_caller]
fn says(network: &Network, mac: &str, access: &str) {
    let path = network.hostsdir().join(mac);
    let text = format!("{mac}{access}\n");
    until(&text, || fs::read_to_string(&path).is_ok_and(|said| said == text));
}

const ALLOWED: &str = "";
const DENIED: &str = ",ignore";

#[test]
fn a_node_boots_while_it_is_inspected_and_only_then() {
    with_network(|folder, network| {
        let ironic = Ironic::start(&folder.join("ironic"), Auth::None);
        ironic.enroll("a", &[A]);
        ironic.enroll("b", &[B]);
        let [a, b, stranger] = [A, B, STRANGER].map(|mac| network.machine(mac));
        let mut filter = Filter::start(folder, &inspector_conf(network, NO_AUTH), &[]);
        filter.is_ready();
        until("the start command", listens);
        assert_eq!((a.boots(), b.boots(), stranger.boots()), (None, None, None));

        // Inspection opens its ports, and the network to who is not known yet.
        ironic.inspect("a");
        says(network, A, ALLOWED);
        assert_eq!(a.comes_up().file, BOOT_FILE);
        assert_eq!(stranger.comes_up().file, BOOT_FILE);
        assert_eq!(b.boots(), None);

        // It finds another interface; then both are closed.
        ironic.continue_inspection(&[A, FOUND]);
        ironic.reaches("a", "manageable");
        assert_eq!(ironic.ports_of("a"), [A, FOUND]);
        for mac in [A, FOUND] {
            says(network, mac, DENIED);
        }
        a.meets_silence();
        network.machine(FOUND).meets_silence();
        stranger.meets_silence();

        // The next opens both.
        ironic.inspect("a");
        says(network, A, ALLOWED);
        says(network, FOUND, ALLOWED);
        ironic.order("a", "abort");
        ironic.reaches("a", "inspect failed");
        says(network, A, DENIED);
        says(network, FOUND, DENIED);
        a.meets_silence();
        assert!(filter.ends().success());
        until("the stop command", || !listens());
    });
}

#[test]
fn an_inspection_that_is_aborted_is_over_and_a_node_that_is_deleted_is_denied() {
    with_network(|folder, network| {
        let ironic = Ironic::start(&folder.join("ironic"), Auth::None);
        ironic.enroll("a", &[A]);
        ironic.enroll("b", &[B]);
        let [a, b] = [A, B].map(|mac| network.machine(mac));
        let mut filter = Filter::start(folder, &inspector_conf(network, NO_AUTH), &[]);
        filter.is_ready();
        ironic.inspect("a");
        ironic.inspect("b");
        assert_eq!(a.comes_up().file, BOOT_FILE);
        assert_eq!(b.comes_up().file, BOOT_FILE);

        ironic.order("a", "abort");
        ironic.reaches("a", "inspect failed");
        says(network, A, DENIED);
        a.meets_silence();
        assert!(b.boots().is_some(), "{}", filter.said());

        // While b is inspected those that nobody knows may boot, but not who was known. That c has a file shows that all ports
        // were listed since.
        ironic.order("a", "manage");
        ironic.reaches("a", "manageable");
        ironic.call("DELETE", "/nodes/a", &Value::Null);
        ironic.enroll("c", &[C]);
        says(network, C, DENIED);
        says(network, A, DENIED);
        assert_eq!(a.boots(), None, "{}", filter.said());
        assert!(b.boots().is_some(), "{}", filter.said());
        assert!(network.machine(STRANGER).boots().is_some(), "{}", filter.said());
        assert!(filter.ends().success());
    });
}

#[test]
fn when_ironic_is_gone_everything_stays_and_when_it_is_back_it_goes_on() {
    with_network(|folder, network| {
        let mut ironic = Ironic::start(&folder.join("ironic"), Auth::None);
        ironic.enroll("a", &[A]);
        ironic.inspect("a");
        let a = network.machine(A);
        let mut filter = Filter::start(folder, &inspector_conf(network, NO_AUTH), &[]);
        filter.is_ready();
        assert_eq!(a.comes_up().file, BOOT_FILE);
        ironic.stop();
        filter.says("everything stays as it is");
        assert!(a.boots().is_some(), "{}", filter.said());
        ironic.start_again();
        filter.says("Ironic answers again");
        ironic.order("a", "abort");
        says(network, A, DENIED);
        a.meets_silence();
        assert!(filter.ends().success());
    });
}

/// A node is opened, closed and opened again, with `[ironic]` and variables as given.
fn opens_and_closes(folder: &Path, network: &Network, ironic: &Ironic, section: &str, variables: &[(&str, &str)]) {
    ironic.enroll("a", &[A]);
    let a = network.machine(A);
    let mut filter = Filter::start(folder, &inspector_conf(network, section), variables);
    filter.is_ready();
    assert_eq!(a.boots(), None);
    ironic.inspect("a");
    says(network, A, ALLOWED);
    assert_eq!(a.comes_up().file, BOOT_FILE);
    ironic.order("a", "abort");
    says(network, A, DENIED);
    a.meets_silence();
    assert!(filter.ends().success());
}

#[test]
fn with_http_basic_it_needs_the_password() {
    with_network(|folder, network| {
        let ironic = Ironic::start(&folder.join("ironic"), Auth::HttpBasic);
        let section = |password| {
            format!(
                "auth_type = http_basic\nusername = {}\npassword = {password}\nendpoint_override = {}\n",
                ADMIN.0,
                openstack::IRONIC
            )
        };
        let refused = Filter::start(folder, &inspector_conf(network, &section("wrong")), &[]);
        refused.says("401");
        assert!(!listens(), "dnsmasq runs though nothing is known yet");
        assert!(!refused.said().contains("wrong"), "{}", refused.said());
        drop(refused);
        opens_and_closes(folder, network, &ironic, &section(ADMIN.1), &[]);
    });
}

#[test]
fn with_keystone_it_is_a_user_of_the_system_whose_tokens_may_be_revoked() {
    with_network(|folder, network| {
        let keystone = Keystone::start(&folder.join("keystone"));
        let ironic = Ironic::start(&folder.join("ironic"), Auth::Keystone);
        // Where Ironic is stands in the catalogue.
        let section = format!(
            "auth_type = password\nauth_url = {KEYSTONE}\nusername = {}\npassword = {}\nuser_domain_id = default\n\
             system_scope = all\nregion_name = lab\nvalid_interfaces = internal,public\n",
            FILTER.0, FILTER.1
        );
        ironic.enroll("b", &[B]);
        let mut filter = Filter::start(folder, &inspector_conf(network, &section), &[]);
        filter.is_ready();
        keystone.revoke_tokens();
        ironic.inspect("b");
        says(network, B, ALLOWED);
        ironic.order("b", "abort");
        says(network, B, DENIED);
        assert!(filter.ends().success());
        opens_and_closes(folder, network, &ironic, &section, &[]);
    });
}

#[test]
fn with_keystone_an_application_credential_will_do() {
    with_network(|folder, network| {
        let keystone = Keystone::start(&folder.join("keystone"));
        let ironic = Ironic::start(&folder.join("ironic"), Auth::Keystone);
        let section = format!(
            "auth_type = v3applicationcredential\nauth_url = {KEYSTONE}\napplication_credential_id = {}\n\
             application_credential_secret = a secret\nendpoint_override = {}\n",
            keystone.application_credential(),
            openstack::IRONIC
        );
        opens_and_closes(folder, network, &ironic, &section, &[]);
    });
}
