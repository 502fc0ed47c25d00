//! In: a kernel while nobody records. Out: whether it is the same again after a recording: BPF objects, hooked
//! functions, open files, the kernel's log.

use std::{collections::BTreeSet, fs};

use anyhow::{Context, Result, ensure};

use judge::{bpf::Objects, wait};

use crate::kernel;

/// The kernel counts open files on each CPU apart, in batches of 32: what it tells is off by up to that for each of two
/// CPUs, at the beginning and at the end.
const FILES: u64 = 4 * 32;

/// What the kernel had before.
pub struct Clean {
    objects: Objects,
    hooks: BTreeSet<String>,
    files: u64,
    complaints: usize,
    shared: bool,
}

impl Clean {
    /// Of now; `shared` is a machine where others use BPF as well, and where only our own objects can be told.
    ///
    /// # Errors
    /// When procfs does not tell.
    pub fn now(shared: bool) -> Result<Self> {
        let complaints = kernel::complaints().len();
        Ok(Self { objects: Objects::now(), hooks: hooks(), files: files()?, complaints, shared })
    }

    /// That it is so again after a recording that held these.
    ///
    /// # Errors
    /// When something stayed, with how much of what.
    pub fn require(&self, held: &Objects) -> Result<()> {
        held.await_gone()?;
        if !self.shared {
            self.objects.await_gone_since()?;
            let hooks = wait::until("hooked functions to be released", wait::USUAL, || {
                Ok(hooks().is_subset(&self.hooks).then_some(()))
            });
            hooks.with_context(|| format!("still hooked: {:?}", hooks_since(&self.hooks)))?;
        }
        let logged = kernel::complaints();
        ensure!(logged.len() <= self.complaints, "the kernel complained: {}", logged[self.complaints]);
        Ok(())
    }

    /// That no more files are open, once the load is gone, too.
    ///
    /// # Errors
    /// When there are more.
    pub fn require_files(&self) -> Result<()> {
        if self.shared {
            return Ok(());
        }
        wait::until("open files to be as many as before", wait::USUAL, || {
            Ok((files()? <= self.files + FILES).then_some(()))
        })
    }
}

fn hooks_since(before: &BTreeSet<String>) -> Vec<String> {
    hooks().difference(before).take(5).cloned().collect()
}

/// Functions that something is attached to: by kprobes, and by ftrace (fentry among them).
fn hooks() -> BTreeSet<String> {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let (kprobes, traced) =
        (read("/sys/kernel/debug/kprobes/list"), read("/sys/kernel/tracing/enabled_functions"));
    kprobes.lines().chain(traced.lines()).map(|line| line.trim().to_owned()).collect()
}

/// Files that are open in the whole guest.
fn files() -> Result<u64> {
    let text = fs::read_to_string("/proc/sys/fs/file-nr")?;
    text.split_whitespace().next().and_then(|number| number.parse().ok()).context("reading file-nr")
}
