//! The counters of a session: the machine's, and those of the target's cgroups and network.
//!
//! In: the target's cgroup directories and one of its processes. Out: name → value at the start, and
//! later values. A container that ends takes its counters along, so they are read again and again.

use std::fs::File;
use std::os::fd::AsRawFd as _;

use super::cgroup::{self, Instances};
use super::counters;
use crate::machine::{self, CgroupPlace};
use crate::profile::Counters;

/// The counters that are read again and again.
pub struct Watch {
    places: Vec<Instances>,
    /// Its directory in procfs, held open: nothing is read from another process with the same id.
    process: Option<(u32, File)>,
    told: Counters,
}

impl Watch {
    /// Nothing read yet. Without a process, the network is that of the profiler itself.
    pub fn new(places: Vec<CgroupPlace>, process: Option<u32>) -> Self {
        let process = process.and_then(|pid| Some((pid, File::open(format!("/proc/{pid}")).ok()?)));
        let places = places.into_iter().map(Instances::new).collect();
        Self { places, process, told: Counters::new() }
    }

    /// The process whose network is counted.
    pub fn network_of(&self) -> String {
        match &self.process {
            Some((pid, _)) => format!("pid {pid}"),
            None => "this process".to_owned(),
        }
    }

    /// All counters.
    pub fn all(&mut self) -> Counters {
        let mut found = counters::machine();
        self.target(&mut found);
        self.told.clone_from(&found);
        found
    }

    /// Counters that changed since they were last returned: the target's, or all.
    pub fn changed(&mut self, all: bool) -> Counters {
        let mut found = if all { counters::machine() } else { Counters::new() };
        self.target(&mut found);
        found.retain(|name, value| self.told.get(name) != Some(value));
        self.told.extend(found.iter().map(|(name, value)| (name.clone(), *value)));
        found
    }

    fn target(&mut self, found: &mut Counters) {
        cgroup::counters(&mut self.places, found);
        let place = match &self.process {
            Some((_, directory)) => format!("/proc/self/fd/{}", directory.as_raw_fd()),
            None => "/proc/self".to_owned(),
        };
        counters::network(&place, found);
        if self.process.is_some() {
            let stat = machine::read(&format!("{place}/stat"), 4096).unwrap_or_default();
            major_faults(&stat, found);
        }
    }
}

/// The tenth field after the name, which may hold anything but ends at the last bracket.
fn major_faults(stat: &str, found: &mut Counters) {
    let fields = stat.rsplit_once(") ").map(|(_, rest)| rest);
    if let Some(Ok(faults)) = fields.and_then(|fields| fields.split(' ').nth(9)).map(str::parse) {
        found.insert("process_major_faults".to_owned(), faults);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_changed_is_told_again() {
        let mut watch = Watch::new(Vec::new(), Some(std::process::id()));
        assert!(watch.all().contains_key("context_switches"));
        let changed = watch.changed(false);
        assert!(!changed.contains_key("context_switches"), "{changed:?}");
        assert!(watch.network_of().starts_with("pid "));
    }

    #[test]
    fn a_process_that_is_gone_is_no_other() {
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let mut watch = Watch::new(Vec::new(), Some(child.id()));
        child.wait().unwrap();
        assert!(!watch.all().contains_key("process_major_faults"));
    }

    #[test]
    fn faults_are_found_behind_any_name() {
        let mut found = Counters::new();
        major_faults("7 (a) R 1) S 1 7 7 0 -1 4194560 100 0 42 0 1 1", &mut found);
        assert_eq!(found["process_major_faults"], 42);
        major_faults("", &mut found);
    }
}
