//! `instances-process --watch`: from the end of `instances-update` until the kernel has what it changed.

use crate::lane::enter_new_namespace;
use crate::promise::{At, Promise};
use crate::registry::Bench;
use crate::section::{Section, median, percentile};
use crate::variant::Variant;
use crate::{Setting, progress};
use instances::registry::store;
use instances::sink::nft_netlink::socket::Socket;
use serde_json::json;
use std::error::Error;
use std::fs::{self, File};
use std::io;
use std::os::unix::net::UnixDatagram;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

/// At how many instances, if there are so many, and how many updates are measured.
const UPDATES: [(Variant, usize, usize); 4] = [
    (Variant::SetsStrict, 10_000, 200),
    (Variant::SetsStrict, 100_000, 20),
    (Variant::Sets, 10_000, 50),
    (Variant::Rules, 10_000, 15),
];
/// How long anything is waited for.
const PATIENCE: Duration = Duration::from_secs(60);
/// How often the kernel is asked.
const PAUSE: Duration = Duration::from_micros(50);

pub(crate) fn run(setting: &Setting) -> Result<Section, Box<dyn Error>> {
    let title = "--watch: from the end of instances-update add until it is in the kernel";
    let columns = ["half of them within", "99 % within", "to read the registry", "ratio"].map(str::to_owned);
    let mut section = Section::new("watch", title, columns.to_vec());
    for (index, (variant, planned, updates)) in UPDATES.into_iter().enumerate() {
        let size = setting.sizes.iter().copied().filter(|size| *size <= planned).max().ok_or("no size for --watch")?;
        let folder = setting.folder.join(index.to_string());
        fs::create_dir(&folder)?;
        let bench = Bench::new(&folder, size)?;
        let latencies = match measure(&bench, variant, updates) {
            Ok(latencies) => latencies,
            Err(error) => {
                section.skip(variant.label(), &*error);
                continue;
            }
        };
        let kernel = || latencies.iter().map(|(latency, _)| latency.as_secs_f64() * 1e3);
        let reading = median(latencies.iter().map(|(_, reading)| reading.as_secs_f64() * 1e3)).unwrap_or_default();
        let ratio = median(latencies.iter().map(|(latency, reading)| latency.as_secs_f64() / reading.as_secs_f64()));
        let (half, most) = (median(kernel()).unwrap_or_default(), percentile(kernel(), 99).unwrap_or_default());
        let ratio = ratio.unwrap_or_default();
        let cells =
            [format!("{half:.2} ms"), format!("{most:.2} ms"), format!("{reading:.2} ms"), format!("{ratio:.2}x")];
        section.row(format!("{}, {size} instances ({updates} updates)", variant.label()), cells.to_vec());
        section.results.push(json!({
            "variant": variant.label(), "instances": size, "updates": updates, "median_ms": half, "p99_ms": most,
            "read_registry_ms": reading, "ratio": ratio,
        }));
        if variant == Variant::SetsStrict && size == planned {
            let what =
                format!("--watch at {size} instances, from instances-update to the kernel / reading the registry");
            section.promises.push(Promise::new(what, ratio, At::Most(3.0), "x"));
        }
    }
    Ok(section)
}

/// A running watch, which ends with us.
struct Watch(Child);

impl Drop for Watch {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// For each update the time until the kernel had it, and that of reading the registry at that moment.
fn measure(bench: &Bench, variant: Variant, updates: usize) -> Result<Vec<(Duration, Duration)>, Box<dyn Error>> {
    enter_new_namespace()?;
    let _watch = start(bench, variant)?;
    let mut kernel = Socket::open()?;
    let mut latencies = Vec::new();
    for update in 0..updates {
        progress(&format!("watch, {}, update {} of {updates}", variant.label(), update + 1));
        let before = kernel.generation()?;
        let status = bench.update().args(bench.new_lease(update)).stderr(Stdio::null()).status()?;
        let start = Instant::now();
        if !status.success() {
            return Err(format!("instances-update: {status}").into());
        }
        until("a new generation", || Ok(kernel.generation()? != before))?;
        let latency = start.elapsed();
        until("the end of an update", || Ok(!bench.path("updated").exists()))?;
        let start = Instant::now();
        let registry = store::read(&bench.path("json")).map_err(|error| error.to_string())?;
        let reading = start.elapsed();
        drop(registry);
        latencies.push((latency, reading));
    }
    let check = variant.command(bench, &["--check"]).output()?;
    if check.status.success() {
        return Ok(latencies);
    }
    Err(format!("the kernel does not hold the last update: {}", String::from_utf8_lossy(&check.stdout)).into())
}

/// Starts it and waits until the policy is in force.
fn start(bench: &Bench, variant: Variant) -> Result<Watch, Box<dyn Error>> {
    let (notify, said) = (bench.path("notify"), bench.path("said"));
    let supervisor = UnixDatagram::bind(&notify)?;
    supervisor.set_read_timeout(Some(Duration::from_millis(100)))?;
    let mut command = variant.command(bench, &["--watch"]);
    command.env("NOTIFY_SOCKET", notify).stdin(Stdio::null()).stderr(File::create(&said)?);
    let mut watch = Watch(command.spawn()?);
    let (deadline, mut buffer) = (Instant::now() + PATIENCE, [0; 4096]);
    while Instant::now() < deadline {
        if watch.0.try_wait()?.is_some() {
            let said = fs::read_to_string(said)?;
            return Err(said.lines().next().unwrap_or_default().into());
        }
        let length = match supervisor.recv(&mut buffer) {
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => 0,
            received => received?,
        };
        if String::from_utf8_lossy(buffer.get(..length).unwrap_or_default()).contains("READY=1") {
            return Ok(watch);
        }
    }
    Err("the watch is not ready".into())
}

fn until(what: &str, mut holds: impl FnMut() -> io::Result<bool>) -> Result<(), Box<dyn Error>> {
    let deadline = Instant::now() + PATIENCE;
    while !holds()? {
        if Instant::now() > deadline {
            return Err(format!("waited in vain for {what}").into());
        }
        std::thread::sleep(PAUSE);
    }
    Ok(())
}
