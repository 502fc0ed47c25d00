//! Kinds of kernel locks.
//!
//! In: nothing. Out: [`LockKind`].

use serde::{Deserialize, Serialize};

/// Kind of a lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LockKind {
    /// Spinlock.
    Spin,
    /// Reader-writer spinlock, for reading.
    RwlockRead,
    /// Reader-writer spinlock, for writing.
    RwlockWrite,
    /// Mutex.
    Mutex,
    /// Reader-writer semaphore, for reading.
    RwsemRead,
    /// Reader-writer semaphore, for writing.
    RwsemWrite,
    /// Per-CPU reader-writer semaphore, for reading.
    PercpuRwsemRead,
    /// Per-CPU reader-writer semaphore, for writing.
    PercpuRwsemWrite,
    /// Real-time mutex.
    Rtmutex,
    /// Flags this version does not know.
    Unknown,
}

impl LockKind {
    /// The name users see.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Spin => "spin",
            Self::RwlockRead => "rwlock-read",
            Self::RwlockWrite => "rwlock-write",
            Self::Mutex => "mutex",
            Self::RwsemRead => "rwsem-read",
            Self::RwsemWrite => "rwsem-write",
            Self::PercpuRwsemRead => "percpu-rwsem-read",
            Self::PercpuRwsemWrite => "percpu-rwsem-write",
            Self::Rtmutex => "rtmutex",
            Self::Unknown => "unknown (new flags)",
        }
    }
}
