//! Somebody sets the clock: the program's and its dnsmasq's, which no namespace has of its own.

use crate::lab::{Lab, in_lab};
use crate::needs;
use crate::proxmox::Cluster;
use crate::scenarios::{fixed, silent};
use crate::watching::Watching;
use std::fs;

/// Loaded before the C library: the time of day is what it is, and so many seconds more as a file says.
const CLOCK: &str = r#"
#define _GNU_SOURCE
#include <stdio.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>
int clock_gettime(clockid_t clock, struct timespec *now) {
    long error = syscall(SYS_clock_gettime, clock, now), more = 0;
    FILE *file = clock == CLOCK_REALTIME && !error ? fopen(SET, "r") : NULL;
    if (file) {
        if (fscanf(file, "%ld", &more) == 1)
            now->tv_sec += more;
        fclose(file);
    }
    return error;
}
time_t time(time_t *seconds) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (seconds)
        *seconds = now.tv_sec;
    return now.tv_sec;
}
int gettimeofday(struct timeval *restrict now, void *restrict zone) {
    struct timespec precise;
    clock_gettime(CLOCK_REALTIME, &precise);
    now->tv_sec = precise.tv_sec;
    now->tv_usec = precise.tv_nsec / 1000;
    return 0;
}
"#;

const HOUR: i64 = 3600;

/// The clocks of this lab's programs can be set from now on.
fn with_clock(lab: &mut Lab) {
    let [source, library, set] = ["clock.c", "clock.so", "clock"].map(|name| lab.path(name).display().to_string());
    fs::write(&source, CLOCK).unwrap();
    crate::netns::run("cc", &["-shared", "-fPIC", &format!("-DSET=\"{set}\""), "-o", &library, &source]);
    lab.variables.insert("LD_PRELOAD", library);
}

fn set(lab: &Lab, seconds: i64) {
    fs::write(lab.path(".clock"), seconds.to_string()).unwrap();
    fs::rename(lab.path(".clock"), lab.path("clock")).unwrap();
}

#[test]
fn when_the_clock_jumps_only_a_name_goes_whose_lease_ends_with_it_as_it_does_in_dnsmasq() {
    if !needs::can("cc", "command -v cc") || !needs::can("udhcpc", "command -v udhcpc") {
        return;
    }
    in_lab(|| {
        let mut cluster = Cluster::populated(3, 1);
        fixed(&mut cluster, 103, "guest-3", "10.0.0.103");
        silent(&mut cluster, 110, "client");
        let mut lab = Lab::new(cluster);
        with_clock(&mut lab);
        lab.start();
        lab.is_healthy();
        lab.has_names(4);
        let client = lab.plug(110);
        let lease = client.lease();
        lab.dns().becomes("client.lab", &[&lease]);
        lab.has_names(5);
        let watching = Watching::guests(lab.dns(), 0..4);
        let dns = lab.dns();
        let with_client = || Watching::start(dns, [(lease.clone(), vec!["client".to_owned()])]);
        let mut watching_client = with_client();
        // Neither within the lease nor backwards does anything change; and work goes on.
        for (hours, name) in [(11, "forwards"), (-5000, "backwards")] {
            set(&lab, hours * HOUR);
            fixed(&mut lab.simulator.cluster(), 111, name, "10.0.0.111");
            lab.dns().becomes(&format!("{name}.lab"), &["10.0.0.111"]);
            // At its start, too.
            lab.kill();
            lab.start();
            lab.is_healthy();
            lab.rounds(1);
        }
        // With each change of its files it strikes out of its leases what has ended: there is none for a while.
        lab.simulator.cluster().remove(111);
        lab.has_names(5);
        watching_client.end();
        // Past its end: dnsmasq forgets what it is called, and so do we, though it is still in the file.
        set(&lab, 13 * HOUR);
        lab.dns().becomes("client.lab", &[]);
        lab.has_names(4);
        assert_eq!(client.lease(), lease);
        lab.dns().becomes("client.lab", &[&lease]);
        lab.has_names(5);
        watching_client = with_client();
        set(&lab, 0);
        lab.kill();
        lab.start();
        lab.is_healthy();
        watching_client.end();
        watching.end();
    });
}
