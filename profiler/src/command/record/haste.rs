//! A higher priority for the profiler: on a busy machine it would look at short-lived processes and containers too
//! late to name them.
//!
//! In: nothing. Out: this thread, and those it starts, run before ordinary threads until the value drops.

use rustix::process::{getpriority_process, setpriority_process};

/// Above everything that has not asked for more; what it gets to run is little, and stated in the output.
const NICE: i32 = -10;

/// This thread's nice value while measuring; the one before when dropped.
pub struct Haste {
    before: i32,
}

impl Haste {
    /// Begins; without the right to (`CAP_SYS_NICE`) things stay as they are.
    pub fn begin() -> Option<Self> {
        let before = getpriority_process(None).ok()?;
        if before <= NICE {
            return None;
        }
        match setpriority_process(None, NICE) {
            Ok(()) => Some(Self { before }),
            Err(error) => {
                tracing::info!("a busy machine may make this process late: nice {NICE}: {error}");
                None
            }
        }
    }
}

impl Drop for Haste {
    fn drop(&mut self) {
        // Giving up what one was given is always allowed.
        let _ = setpriority_process(None, self.before);
    }
}
