//! 40,000 ports and a running dnsmasq, which is to answer all the while and to miss nothing.

use super::contender::{Contender, Kind};
use super::ironic::Simulator;
use super::network::{Network, Wait};
use crate::progress;
use crate::promise::{At, Promise};
use crate::section::{Section, median};
use serde_json::json;
use std::error::Error;
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

const PORTS: usize = 40_000;
const ROUNDS: usize = 3;
/// For how long dnsmasq is asked on after the folder is in step: what it has not read yet may still keep it.
const AFTER: Duration = Duration::from_secs(5);

/// What one start showed.
struct Measured {
    first_sync: f64,
    wait: Wait,
    /// MAC addresses that dnsmasq answers though they are denied.
    lost: usize,
    peak: f64,
}

pub(super) fn run(folder: &Path, section: &mut Section) -> Result<(), Box<dyn Error>> {
    let mut measured = Vec::new();
    for round in 0..ROUNDS {
        progress(&format!("pxe-filter, {PORTS} ports with dnsmasq, round {} of {ROUNDS}", round + 1));
        let folder = folder.join(format!("large-{round}"));
        fs::create_dir(&folder)?;
        match measure(&folder) {
            Ok(one) => measured.push(one),
            Err(error) => {
                section.skip(&format!("{PORTS} ports with dnsmasq"), &*error);
                return Ok(());
            }
        }
    }
    let first_sync = median(measured.iter().map(|one| one.first_sync)).unwrap_or_default();
    let most = |of: &dyn Fn(&Measured) -> f64| measured.iter().map(of).fold(0.0, f64::max);
    let wait = most(&|one| one.wait.longest.as_secs_f64());
    let peak = most(&|one| one.peak);
    let lost = measured.iter().map(|one| one.lost).max().unwrap_or_default();
    let questions: u32 = measured.iter().map(|one| one.wait.questions).sum();
    let cells = [format!("{first_sync:.2} s"), String::new(), String::new(), String::new(), format!("{peak:.1} MiB")];
    section.row(format!("{}, {PORTS} ports, dnsmasq", Kind::Ours.label()), cells.to_vec());
    section.remarks.push(format!(
        "{PORTS} ports, while dnsmasq runs: it answered {questions} DISCOVERs, the slowest after {:.0} ms; of the MAC addresses \
         that are denied it answers {lost}",
        wait * 1e3
    ));
    section.results.push(json!({
        "filter": Kind::Ours.label(), "ports": PORTS, "first_sync_s": first_sync, "peak_mib": peak,
        "discover_slowest_s": wait, "discovers": questions, "denied_but_answered": lost,
    }));
    let lost = f64::from(u32::try_from(lost)?);
    section.promises.extend([
        Promise::new(format!("{PORTS} ports, first sync"), first_sync, At::Most(6.0), " s"),
        Promise::new(format!("{PORTS} ports, DISCOVER to OFFER meanwhile, the slowest"), wait, At::Most(1.0), " s"),
        Promise::new(format!("{PORTS} ports, denied but answered by dnsmasq"), lost, At::Most(0.0), ""),
        Promise::new(format!("{PORTS} ports, memory"), peak, At::Most(60.0), " MiB"),
    ]);
    Ok(())
}

fn measure(folder: &Path) -> Result<Measured, Box<dyn Error>> {
    let network = Network::new(folder)?;
    let ironic = Simulator::start();
    // One is under inspection: so the wildcard allows, and whom dnsmasq has not been told of would be answered.
    let (allowed, denied) = {
        let mut state = ironic.state();
        let nodes = state.populate(PORTS, 1);
        state.set_state(*nodes.first().ok_or("no node")?, "inspect wait");
        let mut macs = state.ports.values().map(|port| port.address.clone());
        (macs.next().ok_or("no port")?, macs.collect::<Vec<_>>())
    };
    let ends = AtomicBool::new(false);
    let further = format!("dnsmasq_pid_file = {}\n", network.pid_file().display());
    let (filter, first_sync, wait) = std::thread::scope(|scope| {
        let asking = scope.spawn(|| network.longest_wait(&allowed, &ends));
        let started = start(&ironic, folder, &further);
        if started.is_ok() {
            std::thread::sleep(AFTER);
        }
        ends.store(true, Ordering::SeqCst);
        let wait = asking.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
        let (filter, first_sync) = started?;
        Ok::<_, Box<dyn Error>>((filter, first_sync, wait))
    })?;
    let lost = network.answered(&denied, &allowed)?;
    Ok(Measured { first_sync, wait, lost, peak: filter.process.peak()? })
}

fn start(ironic: &Simulator, folder: &Path, further: &str) -> Result<(Contender, f64), Box<dyn Error>> {
    let mut filter = Contender::start(Kind::Ours, ironic, folder, further)?;
    let first_sync = filter.first_sync(PORTS)?;
    Ok((filter, first_sync.as_secs_f64()))
}
