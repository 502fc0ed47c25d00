//! Calls that had not returned when recording ended.
//!
//! In: nothing. Out: [`InFlightCall`], with what it is about.

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
    /// What it is about, of the few of which that is known; older versions did not ask.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<Box<Subject>>,
}

impl InFlightCall {
    /// What it is about, as far as is known.
    pub fn subject(&self) -> &Subject {
        self.subject.as_deref().unwrap_or(&NOTHING)
    }
}

/// A call of which nothing is known.
static NOTHING: Subject = Subject {
    object: String::new(),
    object_unknown: String::new(),
    path: String::new(),
    mount: String::new(),
    other_ends: Vec::new(),
    more_ends: 0,
    other_end_unknown: String::new(),
    serves: false,
};

/// What a call is about: the file, pipe or socket behind its descriptor, the path that it was given, and who is at the other end.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subject {
    /// What its descriptor named at the end of recording: a path, a pipe, a socket; empty when unknown, or it takes none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub object: String,
    /// Why `object` is empty, for a call that takes a descriptor.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub object_unknown: String,
    /// The path that it was given, raw; empty when it takes none, or it could not be read.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub path: String,
    /// The mount that this lies on, if a program or another machine serves it: `fuse.sshfs at /srv, of web1:/srv`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub mount: String,
    /// Who has the other end of that pipe or connection, on this machine; [`OTHER_ENDS`] at most.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub other_ends: Vec<OtherEnd>,
    /// How many more have it.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub more_ends: u64,
    /// Why `other_ends` is empty, where there must be an other end.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub other_end_unknown: String,
    /// No answer is owed: the other end asked for the connection, or neither did.
    #[serde(default, skip_serializing_if = "is_false")]
    pub serves: bool,
}

/// The state of a process whose cgroup is frozen; the kernel has no letter for it.
pub const FROZEN: char = 'F';

/// Whether a process in this state answers nothing.
pub const fn is_silent(state: char) -> bool {
    matches!(state, 'T' | 't' | 'Z' | 'X' | FROZEN)
}

/// Processes named at the other end of a pipe or connection, at most.
pub const OTHER_ENDS: usize = 4;

impl Subject {
    /// Whether nobody at the other end can answer, who should: all are stopped, frozen or dead. Of more than [`OTHER_ENDS`]
    /// those that are not come first.
    pub fn is_unanswered(&self) -> bool {
        let silent = self.other_ends.iter().all(|end| is_silent(end.state));
        silent && !self.serves && !self.other_ends.is_empty()
    }

    /// Whether nothing is known, not even why.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// A process that has the other end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OtherEnd {
    /// Process.
    pub pid: Pid,
    /// The state of its first thread, as `/proc/PID/stat` has it: `R`, `S`, `D`, `T`, `t`, `Z` …, or
    /// [`FROZEN`]; `?`: unknown.
    pub state: char,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks by reference")]
const fn is_false(answer: &bool) -> bool {
    !*answer
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks by reference")]
const fn is_zero(number: &u64) -> bool {
    *number == 0
}

const fn no_stack() -> StackId {
    StackId::NONE
}
