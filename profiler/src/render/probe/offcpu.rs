//! `offcpu`: waits that block, as `container;comm (pid);user…;call();kernel…_[k];state`, in ns.
//!
//! In: rows of waits, and stacks of the long ones. Out: paths whose total is all blocked time: what is too short
//! for a stack stands as such. Idle waits and waits on user locks stand under roots of their own, as in `syscall`.

use std::borrow::Cow;

use super::super::fold::Folder;
use super::super::syscalls::{self, CallClass};
use super::super::{humane, waits};
use super::syscall::root;
use crate::profile::waits::{WaitKey, WaitStackKey};
use crate::profile::{Header, Histogram, Profile, Wait};

/// The probe's name.
pub const NAME: &str = "offcpu";

/// The frame of waits outside of calls.
pub const NO_CALL: &str = "(no call)";

/// A part of the slow-call threshold: waits from there on have stacks.
const STACK_PART: u64 = 16;

/// Blocked waits from this length on have stacks, ns; 0: all.
pub const fn stacks_from_ns(header: &Header) -> u64 {
    header.slow_ns / STACK_PART
}

/// The picture's title.
pub fn title(header: &Header) -> String {
    format!("waits off the CPU{}", of_stacks(header))
}

/// What a title says of stacks.
pub fn of_stacks(header: &Header) -> String {
    match stacks_from_ns(header) {
        0 => String::new(),
        from => format!(", stacks of those ≥ {}", humane::setting(from)),
    }
}

/// Waits that ended.
pub fn events(profile: &Profile) -> u64 {
    let blocked = profile.waits.rows.iter().filter(|(key, _)| !key.wait.is_runnable());
    blocked.map(|(_, row)| row.count()).fold(0, u64::saturating_add)
}

/// The frame of the call that waits were in.
pub fn call(key: &WaitKey) -> Cow<'static, str> {
    key.nr.map_or(Cow::Borrowed(NO_CALL), |nr| Cow::Owned(format!("{}()", syscalls::name(nr))))
}

/// Pushes the stacks of waits, with the call between them and their state where it is not plain sleep.
pub fn push(key: &WaitStackKey, folder: &mut Folder<'_>) {
    let in_call = key.row.nr.is_some();
    folder.stack(key.user, in_call.then_some("[user stack missing]")).frame(&call(&key.row));
    folder.stack(key.kernel, Some("[kernel stack missing]"));
    state(key.row.wait, folder);
}

fn state(wait: Wait, folder: &mut Folder<'_>) {
    if wait != Wait::Sleep {
        folder.frame(wait.name());
    }
}

/// Folds all waits.
pub fn fold(profile: &Profile, folder: &mut Folder<'_>) {
    fold_with(profile, folder, |_, _| {});
}

/// Folds all waits; `above` pushes what stands above a long wait.
pub fn fold_with(profile: &Profile, folder: &mut Folder<'_>, above: impl Fn(&WaitStackKey, &mut Folder<'_>)) {
    let mut classes = waits::Classes::new(profile);
    for (key, row) in profile.waits.rows.iter().filter(|(key, _)| !key.wait.is_runnable()) {
        let (stacks, rest) = waits::stacks(profile, key, row.total_ns);
        let mut with_stacks = 0u64;
        for (stack, ns) in stacks {
            with_stacks =
                with_stacks.saturating_add(profile.waits.stacks.get(stack).map_or(0, |row| row.waits));
            let class = classes.of_stack(stack);
            begin(key, class, folder);
            push(stack, folder);
            above(stack, folder);
            folder.end(ns, class);
        }
        let class = classes.of_row(key);
        begin(key, class, folder);
        folder.frame(&call(key)).frame(&without_stack(profile, row, with_stacks));
        state(key.wait, folder);
        folder.end(rest, class);
    }
}

fn begin(key: &WaitKey, class: CallClass, folder: &mut Folder<'_>) {
    if let Some(root) = root(class) {
        folder.frame(root);
    }
    folder.process(key.pid);
}

/// The frame of what has no stacks; `waits` have them.
fn without_stack(profile: &Profile, row: &Histogram, waits: u64) -> String {
    let from = stacks_from_ns(&profile.header);
    let long = row.buckets().filter(|(low, ..)| *low >= from).map(|(.., waits)| waits);
    // A call's waits get their stacks when it ends: what is in flight at the end has none.
    let why = match long.fold(0, u64::saturating_add) > waits {
        true => "call in flight, or lost",
        false => "",
    };
    match (from, why) {
        (0, why) => format!("[no stacks: {why}]"),
        (from, "") => format!("[shorter than {}: no stacks]", humane::setting(from)),
        (from, why) => format!("[no stacks: shorter than {}, {why}]", humane::setting(from)),
    }
}
