//! In: the kernel's tables of BPF objects. Out: the ids of all programs, maps and links, so that what a recording
//! leaves behind is seen.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
};

use anyhow::{Context, Result, bail};

use crate::wait;

/// `BPF_PROG_GET_NEXT_ID`, `BPF_MAP_GET_NEXT_ID`, `BPF_LINK_GET_NEXT_ID` of linux/bpf.h.
const TABLES: [(&str, i64); 3] = [("programs", 11), ("maps", 12), ("links", 31)];

/// The same tables, as `/proc/PID/fdinfo` names their ids.
const FIELDS: [&str; 3] = ["prog_id:", "map_id:", "link_id:"];

/// All ids at one moment, by table.
#[derive(PartialEq, Eq)]
pub struct Objects([BTreeSet<u32>; 3]);

impl Objects {
    pub fn now() -> Self {
        Self(TABLES.map(|(_, command)| ids(command)))
    }

    /// What a process has open.
    pub fn held_by(pid: u32) -> Self {
        let texts = open_files(pid);
        Self(FIELDS.map(|field| {
            let lines = texts.iter().flat_map(|text| text.lines());
            lines.filter_map(|line| line.strip_prefix(field)?.trim().parse().ok()).collect()
        }))
    }

    /// Whether there are programs among them.
    pub fn has_programs(&self) -> bool {
        !self.0[0].is_empty()
    }

    /// Waits until none of these is there any more.
    ///
    /// # Errors
    /// When something stays, with how much of what.
    pub fn await_gone(&self) -> Result<()> {
        let left = || {
            let both = Self::now().0;
            let each = self.0.iter().zip(&both).zip(TABLES);
            each.map(|((held, now), (name, _))| (held.intersection(now).count(), name)).collect::<Vec<_>>()
        };
        let gone = wait::until("its BPF objects to be gone", wait::USUAL, || {
            Ok(left().iter().all(|(count, _)| *count == 0).then_some(()))
        });
        gone.with_context(|| format!("{:?} stayed", left()))
    }

    /// Waits until all that came since then is gone: the kernel frees some of it after a grace period.
    ///
    /// # Errors
    /// When something stays, with how much of what.
    pub fn await_gone_since(&self) -> Result<()> {
        let gone = wait::until("BPF objects to be gone", wait::USUAL, || {
            Ok(Self::now().0.iter().zip(&self.0).all(|(now, then)| now.is_subset(then)).then_some(()))
        });
        let Err(error) = gone else { return Ok(()) };
        let left: Vec<String> = Self::now()
            .0
            .iter()
            .zip(&self.0)
            .zip(TABLES)
            .map(|((now, then), (name, _))| format!("{} {name}", now.difference(then).count()))
            .collect();
        bail!("{error}: {} stayed", left.join(", "))
    }
}

/// Memory of the maps that a process has open, each counted once.
pub fn map_bytes(pid: u32) -> u64 {
    let field = |text: &str, name: &str| {
        text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse::<u64>().ok())
    };
    let maps: BTreeMap<u64, u64> = open_files(pid)
        .iter()
        .filter_map(|text| Some((field(text, "map_id:")?, field(text, "memlock:")?)))
        .collect();
    maps.values().sum()
}

/// What the kernel says of each open file.
fn open_files(pid: u32) -> Vec<String> {
    let files = fs::read_dir(format!("/proc/{pid}/fdinfo")).into_iter().flatten().flatten();
    files.map(|file| fs::read_to_string(file.path()).unwrap_or_default()).collect()
}

fn ids(command: i64) -> BTreeSet<u32> {
    let mut found = BTreeSet::new();
    let mut after = 0;
    while let Some(next) = next_id(command, after) {
        found.insert(next);
        after = next;
    }
    found
}

fn next_id(command: i64, after: u32) -> Option<u32> {
    // start_id, next_id, open_flags, and zeros up to what any kernel may read.
    let mut attributes = [0_u32; 32];
    attributes[0] = after;
    // SAFETY: the kernel reads and writes at most the size that is passed, all of it ours.
    let result =
        unsafe { libc::syscall(libc::SYS_bpf, command, attributes.as_mut_ptr(), size_of_val(&attributes)) };
    (result == 0).then_some(attributes[1])
}
