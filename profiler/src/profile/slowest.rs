//! The slowest calls one by one.
//!
//! In: those of one interval. Out: the longest of the session.

use serde::{Deserialize, Serialize};

use super::parts::Parts;
use super::process::{Pid, Tid};
use super::rows::CallNumber;
use super::stack::StackId;

/// Calls kept of a session.
pub const KEPT: usize = 20;

/// One call.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SlowestCall {
    /// Process.
    pub pid: Pid,
    /// Thread.
    pub tid: Tid,
    /// System call.
    pub nr: CallNumber,
    /// When it was entered, ns since the start of the session; 0: before.
    pub start_ns: u64,
    /// From enter to exit, ns.
    pub wall_ns: u64,
    /// What it returned: negative errno.
    pub ret: i64,
    /// Its first three arguments.
    pub arguments: [u64; 3],
    /// What its first argument named when the interval ended: a path, a socket; empty when unknown.
    pub object: String,
    /// `wall_ns` by part.
    pub parts: Parts,
    /// Kernel stack during the call.
    pub kernel: StackId,
    /// User stack that made it.
    pub user: StackId,
}

/// Sorts, the longest first, and drops what is over.
pub fn keep_longest(calls: &mut Vec<SlowestCall>) {
    calls.sort_by_key(|call| (std::cmp::Reverse(call.wall_ns), call.start_ns, call.tid));
    calls.truncate(KEPT);
}
