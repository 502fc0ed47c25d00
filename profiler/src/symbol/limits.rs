//! What looking up names may cost.
//!
//! In: nothing. Out: [`Limits`].

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// What looking up names may cost.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Files above this many bytes are named from their symbol table alone, without DWARF.
    pub dwarf_bytes: u64,
    /// Where this machine keeps debug files.
    pub debug_dir: PathBuf,
    /// Memory the child that reads ELF files may add to what it starts with, bytes.
    pub memory_bytes: u64,
    /// Without an answer for this long, the file being read is given up.
    pub stall: Duration,
    /// All files together may neither answer nor be worked on for this long; then no more are asked. As long again for
    /// debug files.
    pub silence: Duration,
    /// All ELF files together; frames not named by then are `NotReached`.
    pub total: Duration,
    /// Set from elsewhere: nobody waits for names any more; frames not named by then are `NotReached`.
    pub stop: Arc<AtomicBool>,
}

impl Limits {
    /// Whether nobody waits for names any more.
    pub fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            dwarf_bytes: 512 << 20,
            debug_dir: "/usr/lib/debug".into(),
            memory_bytes: 1 << 30,
            stall: Duration::from_secs(10),
            silence: Duration::from_millis(600),
            total: Duration::from_secs(60),
            stop: Arc::default(),
        }
    }
}
