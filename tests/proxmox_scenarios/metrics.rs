//! What Prometheus gets of `instances-proxmox`, read by a reader that forgives nothing.

use crate::exposition::Exposition;
use crate::made_up;
use instances::daemon::proxmox::metrics::Metrics;
use instances::daemon::proxmox::snapshot::{Dnsmasq, Snapshot};
use instances::source::neighbors::Counts;
use instances::source::proxmox::Kind;
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(60);

fn metrics() -> Metrics {
    Metrics::new(Instant::now().checked_sub(Duration::from_secs(100)).unwrap(), PATIENCE)
}

fn read(metrics: &Metrics) -> Exposition {
    Exposition::read(&Metrics::page(&metrics.registry()))
}

#[test]
fn every_name_shows_with_its_guest_its_node_and_whether_it_is_static() {
    let metrics = metrics();
    metrics.snapshot(made_up::snapshot());
    let read = read(&metrics);
    let domain = |name| read.find("instances_proxmox_domain_info", &[("name", name)]);
    let web = &domain("web.lan")[0].0;
    let expected = [
        ("address", "192.0.2.10"),
        ("kind", "static"),
        ("name", "web.lan"),
        ("network", "vmbr0"),
        ("nic", "0"),
        ("node", "pve1"),
        ("source", "config"),
        ("vmid", "101"),
    ];
    assert_eq!(web.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect::<Vec<_>>(), expected);
    assert_eq!((domain("db.lan").len(), &domain("db.lan")[1].0["kind"]), (2, &"dynamic".to_owned()));
    let printer = &domain("printer.lan")[0].0;
    assert_eq!(
        (printer["source"].as_str(), printer["vmid"].as_str(), printer["kind"].as_str()),
        ("extra", "", "static")
    );
    let count = |labels: &[(&str, &str)]| read.value("instances_proxmox_domains", labels);
    assert_eq!(count(&[("node", "pve1"), ("source", "config")]), Some(1.0));
    assert_eq!(count(&[("node", "pve2"), ("source", "agent")]), Some(2.0));
    assert_eq!(read.value("instances_proxmox_node_online", &[("node", "pve3")]), Some(0.0));
    assert_eq!(read.value("instances_proxmox_guests_without_address", &[]), Some(1.0));
}

#[test]
fn a_guest_may_be_called_whatever_it_likes() {
    let metrics = metrics();
    let hostile = "\"} 1\n# EOF\n\\x{<script>\u{1f980}";
    let mut snapshot = made_up::snapshot();
    snapshot.guests[0].name = Some(hostile.to_owned());
    snapshot.guests[1].name = Some("x".repeat(100_000));
    metrics.snapshot(snapshot);
    let read = read(&metrics);
    let name = |vmid| read.find("instances_proxmox_guest_info", &[("vmid", vmid)])[0].0["name"].clone();
    assert_eq!((name("101").as_str(), name("102").len()), (hostile, 256));
}

#[test]
fn what_is_gone_is_gone_from_the_metrics() {
    let metrics = metrics();
    metrics.snapshot(made_up::snapshot());
    metrics.snapshot(Snapshot::default());
    let read = read(&metrics);
    assert!(read.find("instances_proxmox_domain_info", &[]).is_empty());
    assert!(read.find("instances_proxmox_guest_stale_seconds", &[]).is_empty());
}

#[test]
fn what_happens_is_counted() {
    let metrics = metrics();
    metrics.snapshot(made_up::snapshot());
    metrics.call("config", None, Duration::from_millis(3));
    metrics.call("config", Some(Kind::NodeDown), Duration::from_secs(31));
    metrics.reloaded();
    metrics.dnsmasq_started();
    metrics.dnsmasq_started();
    metrics.written(7);
    metrics.not_written();
    metrics.changed(Duration::from_millis(300));
    metrics.round(Duration::from_secs(1));
    metrics.heard(Counts { heard: 5, lost: 1, interfaces: 2, ..Counts::default() });
    let read = read(&metrics);
    let value = |name: &str, labels: &[(&str, &str)]| read.value(&format!("instances_proxmox_{name}"), labels);
    assert_eq!(value("api_request_duration_seconds_count", &[("call", "config")]), Some(2.0));
    assert_eq!(value("api_request_duration_seconds_bucket", &[("call", "config"), ("le", "0.004")]), Some(1.0));
    assert_eq!(value("api_failures_total", &[("call", "config"), ("kind", "node_down")]), Some(1.0));
    assert_eq!((value("dnsmasq_reloads_total", &[]), value("dnsmasq_starts_total", &[])), (Some(1.0), Some(2.0)));
    assert_eq!((value("files_written_total", &[]), value("write_failures_total", &[])), (Some(7.0), Some(1.0)));
    assert_eq!(value("change_delay_seconds_count", &[]), Some(1.0));
    assert!(value("last_round_timestamp_seconds", &[]) > Some(1.7e9));
    assert_eq!(value("neighbor_events_total", &[("outcome", "heard")]), Some(5.0));
    assert_eq!((value("neighbor_interfaces", &[]), value("dnsmasq_up", &[])), (Some(2.0), Some(1.0)));
    let stale = value("guest_stale_seconds", &[("vmid", "103")]).unwrap();
    assert!((40.0..60.0).contains(&stale), "{stale}");
    assert_eq!(value("guest_stale_seconds", &[("vmid", "101")]), Some(0.0));
}

#[test]
fn all_is_well_when_a_round_succeeded_lately_and_dnsmasq_answers() {
    let metrics = metrics();
    metrics.snapshot(Snapshot { troubles: vec!["401 Authentication failed!".to_owned()], ..made_up::snapshot() });
    let why = metrics.health().unwrap_err();
    assert_eq!(why, "nothing was heard of Proxmox yet: 401 Authentication failed!");
    metrics.round(Duration::ZERO);
    assert_eq!(metrics.health(), Ok(()));
    assert_eq!(read(&metrics).value("instances_proxmox_healthy", &[]), Some(1.0));
    metrics.snapshot(Snapshot { dnsmasq: Dnsmasq::Down("it ended with status 2".to_owned()), ..made_up::snapshot() });
    assert_eq!(metrics.health().unwrap_err(), "dnsmasq: it ended with status 2");
    assert_eq!(read(&metrics).value("instances_proxmox_dnsmasq_up", &[]), Some(0.0));
    metrics.snapshot(Snapshot { dnsmasq: Dnsmasq::NotAsked, ..made_up::snapshot() });
    assert_eq!((metrics.health(), read(&metrics).value("instances_proxmox_dnsmasq_up", &[])), (Ok(()), None));
}

#[test]
fn a_round_that_succeeded_too_long_ago_is_not_enough() {
    let metrics = Metrics::new(Instant::now(), Duration::ZERO);
    metrics.snapshot(made_up::snapshot());
    metrics.round(Duration::ZERO);
    std::thread::sleep(Duration::from_millis(2));
    assert!(metrics.health().unwrap_err().starts_with("no round has succeeded for 0 s"));
}

#[test]
fn every_metric_is_explained_and_nothing_else_is() {
    let metrics = metrics();
    metrics.snapshot(made_up::snapshot());
    metrics.call("config", Some(Kind::Timeout), Duration::ZERO);
    metrics.heard(Counts::default());
    let page = Metrics::page(&metrics.registry());
    let types = page.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '));
    let suffix = |kind: &str| match kind {
        "counter" => "_total",
        "info" => "_info",
        _ => "",
    };
    let there: BTreeSet<_> = types.map(|(name, kind)| format!("{name}{}", suffix(kind))).collect();
    let document = include_str!("../../docs/proxmox-metrics.md");
    let rows = document.lines().filter_map(|line| line.strip_prefix("| `instances")?.split_once('`'));
    let explained: BTreeSet<_> =
        rows.map(|(name, _)| format!("instances{}", name.split('{').next().unwrap())).collect();
    assert_eq!(there, explained);
}
