//! A daemon's one thread, in which it waits for everything.

use crate::error::{Error, Result, in_words};
use std::future::Future;

/// Waits for what is done in this thread.
///
/// # Errors
/// The system has no descriptor left to wait with.
pub fn complete<T>(work: impl Future<Output = T>) -> Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Error::new(format!("cannot wait for anything: {}", in_words(&error))))?;
    let done = runtime.block_on(work);
    // Not for a name server that does not answer, nor for a slow disk.
    runtime.shutdown_background();
    Ok(done)
}
