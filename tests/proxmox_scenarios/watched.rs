//! What people and Prometheus see of a running program: what a cluster does shows in the metrics, in `/healthz` and on the page.

use crate::browser::Browser;
use crate::exposition::Exposition;
use crate::lab::{LISTEN, Lab, in_lab};
use crate::proxmox::{Cluster, Fault};
use crate::wait::until;

/// What it says of itself, when all is well.
fn watched(guests: u32) -> Lab {
    let lab = Lab::started(Cluster::populated(guests, 3));
    until("all names", || metrics(&lab).find("instances_proxmox_domain_info", &[]).len() == guests as usize);
    lab
}

fn metrics(lab: &Lab) -> Exposition {
    Exposition::read(lab.answers("/metrics").split_once("\r\n\r\n").unwrap().1)
}

#[test]
fn what_a_cluster_does_is_seen_in_the_metrics() {
    in_lab(|| {
        let lab = watched(9);
        let now = metrics(&lab);
        let domain = now.find("instances_proxmox_domain_info", &[("name", "guest-4.lab")]);
        let labels = &domain[0].0;
        let expected = [
            ("address", "10.0.0.104"),
            ("kind", "dynamic"),
            ("node", "pve2"),
            ("source", "interfaces"),
            ("vmid", "104"),
        ];
        assert_eq!(expected.map(|(name, _)| (name, labels[name].as_str())), expected);
        assert!(now.value("instances_proxmox_api_request_duration_seconds_count", &[("call", "config")]) >= Some(9.0));
        assert!(now.value("instances_proxmox_files_written_total", &[]) >= Some(1.0));
        assert!(now.value("instances_proxmox_change_delay_seconds_count", &[]) >= Some(1.0));
        // A node goes: what was known stays, and is stale.
        lab.simulator.cluster().node("pve2", false);
        let stale = || metrics(&lab).value("instances_proxmox_guest_stale_seconds", &[("vmid", "104")]);
        until("it is stale", || stale() > Some(0.0));
        let now = metrics(&lab);
        assert_eq!(now.value("instances_proxmox_node_online", &[("node", "pve2")]), Some(0.0));
        assert_eq!(now.find("instances_proxmox_domain_info", &[("node", "pve2")]).len(), 3);
        assert_eq!(now.value("instances_proxmox_guest_stale_seconds", &[("vmid", "103")]), Some(0.0));
        lab.simulator.cluster().node("pve2", true);
        until("it is fresh", || stale() == Some(0.0));
    });
}

#[test]
fn a_token_that_is_refused_or_told_back_is_seen_as_a_trouble() {
    in_lab(|| {
        let mut lab = Lab::new(Cluster::populated(3, 3));
        lab.flags = ["--connect-timeout", "3", "--timeout", "3"].map(str::to_owned).to_vec();
        lab.start();
        lab.is_healthy();
        lab.has_names(3);
        lab.simulator.fault("/cluster/resources", Fault::Echo(0));
        until("it is a trouble", || metrics(&lab).value("instances_proxmox_api_up", &[]) == Some(0.0));
        until("it is not well", || lab.answers("/healthz").starts_with("HTTP/1.1 503 "));
        let health = lab.answers("/healthz");
        assert!(health.contains("no round has succeeded for"), "{health}");
        lab.simulator.heal();
        lab.simulator.fault("/cluster/resources", Fault::No(401, "invalid token value!"));
        let labels = [("call", "resources"), ("kind", "unauthorized")];
        until("it is refused", || metrics(&lab).value("instances_proxmox_api_failures_total", &labels).is_some());
        lab.says("401 invalid token value!");
        // Names are kept meanwhile.
        assert_eq!(metrics(&lab).find("instances_proxmox_domain_info", &[]).len(), 3);
    });
}

#[test]
fn a_guest_that_is_renamed_is_another_on_the_page_while_one_looks() {
    in_lab(|| {
        let lab = watched(12);
        let Some(browser) = Browser::open(true) else { return };
        browser.go(&format!("http://{LISTEN}/"));
        browser.until("all names are shown", "document.querySelectorAll('tbody tr').length === 12");
        lab.simulator.cluster().rename(103, "<img src=x>");
        browser.until("its name", "document.querySelector('tbody').innerText.includes('<img src=x>')");
        assert!(browser.text("#warnings summary").contains("1 warning"), "{}", browser.text("body"));
        lab.simulator.cluster().node("pve3", false);
        browser.until("its state", "document.querySelector('#tiles').innerText.includes('pve3 offline')");
        browser.until("its guests", "document.querySelector('tbody').innerText.includes('the node pve3 is offline')");
        browser.screenshot("page-cluster");
        assert_eq!(browser.complaints(), Vec::<String>::new());
    });
}
