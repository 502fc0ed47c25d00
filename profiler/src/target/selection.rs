//! What the user selected.
//!
//! In: nothing. Out: [`Selection`]: all kinds must match, and one entry of each kind.

/// What the user selected: kinds AND, repeats OR; empty is the whole machine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    /// Container names, `pod/name`, or id prefixes of at least 3 hex digits.
    pub containers: Vec<String>,
    /// Pods: name, `namespace/name` or uid.
    pub pods: Vec<String>,
    /// Cgroups: a directory, or a path as in `/proc/PID/cgroup`.
    pub cgroups: Vec<String>,
    /// Systemd units; without a suffix, services.
    pub units: Vec<String>,
    /// Process ids.
    pub pids: Vec<u32>,
    /// Names of processes, whole, at most 15 bytes.
    pub comms: Vec<String>,
    /// Patterns on threads' names.
    pub threads: Vec<String>,
}

impl Selection {
    /// True when nothing was selected: the whole machine.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}
