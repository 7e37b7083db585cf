//! A daemon's one thread, in which it waits for everything.

use crate::error::{Error, Result, in_words};
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::runtime::Builder;

/// For how long comes in what is looked at together.
const TOGETHER: Duration = Duration::from_millis(1);

/// Waits for what is done in this thread.
///
/// # Errors
/// The system has no descriptor left to wait with.
pub fn complete<T>(work: impl Future<Output = T>) -> Result<T> {
    complete_with(&mut Builder::new_current_thread(), work)
}

/// The same; while it `gathers`, what comes in within a millisecond is looked at together. To wake up for each of many answers by itself
/// costs more than to read them.
///
/// # Errors
/// As [`complete`].
pub fn complete_gathering<T>(gathers: Arc<AtomicBool>, work: impl Future<Output = T>) -> Result<T> {
    let gather = move || {
        if gathers.load(Ordering::Relaxed) {
            std::thread::sleep(TOGETHER);
        }
    };
    complete_with(Builder::new_current_thread().on_thread_park(gather), work)
}

fn complete_with<T>(builder: &mut Builder, work: impl Future<Output = T>) -> Result<T> {
    let runtime = builder.enable_all().build();
    let runtime = runtime.map_err(|error| Error::new(format!("cannot wait for anything: {}", in_words(&error))))?;
    let done = runtime.block_on(work);
    // Not for a name server that does not answer, nor for a slow disk.
    runtime.shutdown_background();
    Ok(done)
}
