//! Targets: from what the user names to what the kernel side can tell apart, and the containers there are.
//!
//! In: [`Selection`], procfs, cgroup directories, and files that runtimes leave on the host; never a
//! runtime's socket. Out: [`Resolved`] filters, the listing behind `profiler targets`, and [`Owners`].

mod area;
mod hierarchy;
mod host;
mod mounts;
mod names;
mod owners;
mod place;
mod read;
mod resolve;
mod select;
mod shape;
mod state;
mod survey;
mod table;
mod task;
mod text;

pub use area::CgroupFilter;
pub use host::Host;
pub use owners::{Owner, Owners};
pub use resolve::{Resolved, resolve};
pub use survey::Container;
pub use table::write_list;

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
    /// Command names, whole, at most 15 bytes.
    pub comms: Vec<String>,
}

impl Selection {
    /// True when nothing was selected: the whole machine.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// All containers of the host, sorted by namespace, pod and name.
pub fn list(host: &Host) -> Vec<Container> {
    survey::Survey::take(host).containers
}
