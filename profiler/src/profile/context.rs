//! What a CPU was doing when an event was seen on it: running a task, or an interrupt.
//!
//! In: nothing. Out: [`LockContext`].

use serde::{Deserialize, Serialize};

/// Who waited: the task, or what ran on top of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LockContext {
    /// The process itself.
    Task,
    /// A softirq on its CPU: not the process's wait.
    Softirq,
    /// A hardirq on its CPU: not the process's wait.
    Hardirq,
    /// A non-maskable interrupt.
    Nmi,
}
