//! Calls that had not returned when recording ended.
//!
//! In: nothing. Out: [`InFlightCall`].

use serde::{Deserialize, Serialize};

use super::call::CallNumber;
use super::process::{Pid, Tid};
use super::stack::StackId;
use super::wait::Wait;

/// A call that had not returned when recording ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InFlightCall {
    /// Process.
    pub pid: Pid,
    /// Thread.
    pub tid: Tid,
    /// Thread name.
    pub comm: String,
    /// System call.
    pub nr: CallNumber,
    /// Time since it was entered, ns.
    pub age_ns: u64,
    /// It began before attach: `age_ns` is a lower bound, since its thread ran last, or since attach.
    pub at_least: bool,
    /// Kernel stack at the end of recording.
    pub kernel: StackId,
    /// User stack at the end of recording; none where the thread ran, or an older version did not ask.
    #[serde(default = "no_stack")]
    pub user: StackId,
    /// What it waited for then; none: it ran, or an older version did not ask.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wait: Option<Wait>,
    /// Who holds the file lock that it waits for; 0: nobody in sight; none: it waits for none, or nobody asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held_by: Option<Pid>,
}

const fn no_stack() -> StackId {
    StackId::NONE
}
