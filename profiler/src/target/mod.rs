//! Targets: from what the user names to what the kernel side can filter by; and the list of all containers.
//!
//! In: [`Selection`], procfs, cgroup directories, and files that runtimes leave on the host; never a
//! runtime's socket. Out: [`Resolved`] filters, the listing behind `profiler targets`, and [`Owners`].

mod area;
mod hierarchy;
mod host;
mod kubelet;
mod mounts;
mod names;
mod nested;
mod owners;
mod place;
mod read;
mod resolve;
mod runtime;
mod seek;
mod select;
mod selection;
mod shape;
mod state;
mod survey;
mod table;
mod task;
mod text;
mod thread;

#[cfg(test)]
mod tests;

pub use area::CgroupFilter;
pub use host::Host;
pub use owners::{Owner, Owners};
pub use resolve::{Resolved, resolve, resolve_or_wait};
pub use seek::{Finder, Seek, Whose, controller_to_come, hierarchy_number};
pub use selection::Selection;
pub use survey::Container;
pub use table::write_list;

/// All containers of the host, sorted by namespace, pod and name.
pub fn list(host: &Host) -> Vec<Container> {
    survey::Survey::take(host).containers
}
