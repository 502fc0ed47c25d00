//! `lsm`: time as `container;comm (pid);user…;kernel…_[k];security_f_[k];module_f_[k]`, in ns.
//!
//! In: rows of the security layer and the stacks that stand for a part of their time. Out: paths. Each
//! nanosecond is drawn once: what a hook's modules took stands above the hook, the rest is its own.
//! Time in interrupts stands under `interrupt`, for it is not the interrupted process's own.

use std::collections::BTreeMap;

use crate::profile::ledger::Population;
use crate::profile::measured::Measured;
use crate::profile::rows::{LsmKey, LsmRows, LsmStackKey};
use crate::profile::{LsmSite, Pid, Profile};
use crate::render::clean;
use crate::render::drawing::Drawing;
use crate::render::fold::Folder;
use crate::render::syscalls::CallClass;

/// The picture.
pub const DRAWING: Drawing = Drawing {
    unit: "ns",
    title: |_| TITLE.to_owned(),
    events,
    event: "LSM functions",
    of: &[Population::LsmReturns],
    fold,
};

/// The picture's title.
pub const TITLE: &str = "time in the security layer";

/// Hooks that returned; what their modules did is inside of them.
pub fn events(profile: &Profile) -> u64 {
    let hooks = profile.lsm.rows.iter().filter(|(key, _)| site(profile, key).is_none_or(is_hook));
    hooks.map(|(_, row)| row.time.count()).fold(0, u64::saturating_add)
}

/// The function of a row; none in a capture that names it and does not list it.
pub fn site<'p>(profile: &'p Profile, key: &LsmKey) -> Option<&'p LsmSite> {
    profile.header.lsm_sites.get(usize::from(key.site))
}

/// Whether it is the hook's own function, which calls the modules'.
pub fn is_hook(site: &LsmSite) -> bool {
    site.module.is_empty()
}

/// Pushes the stacks that stand for a part of a row, and the function.
pub fn push(profile: &Profile, key: &LsmStackKey, folder: &mut Folder<'_>) {
    // Below an interrupt there is nobody's user code.
    let missing = "[kernel stack missing]";
    folder.stack(key.user, None).stack(key.kernel, Some(missing));
    push_function(profile, &key.row, folder);
}

/// The function is at the leaf of its own stack on some kernels and not on others: once is enough.
fn push_function(profile: &Profile, key: &LsmKey, folder: &mut Folder<'_>) {
    let Some(site) = site(profile, key) else {
        folder.frame("[function not listed]");
        return;
    };
    let hook = format!("security_{}_[k]", clean::frame(&site.hook));
    let function = format!("{}_[k]", clean::frame(&site.function));
    if !is_hook(site) && !folder.ends_with(&[&hook]) && !folder.ends_with(&[&hook, &function]) {
        folder.frame(&hook);
    }
    if !folder.ends_with(&[&function]) {
        folder.frame(&function);
    }
}

/// Folds all time, each nanosecond once.
pub fn fold(measured: Measured<'_>, folder: &mut Folder<'_>) {
    let profile = folder.profile();
    let below = below(profile, measured.lsm);
    for (key, row) in &measured.lsm.rows {
        let (stacks, sampled) = stacks(measured.lsm, key);
        // What the modules of a hook took is drawn as theirs.
        let inside = if site(profile, key).is_some_and(is_hook) {
            below.get(&(key.pid, key.nr, hook_of(profile, key))).copied().unwrap_or(0)
        } else {
            0
        };
        let whole = row.time.total_ns;
        let own = whole.saturating_sub(inside);
        let scaled = |ns: u64| (u128::from(ns) * u128::from(own) / u128::from(whole.max(1))) as u64;
        let mut drawn = 0u64;
        for (stack, ns) in stacks {
            root(key.pid, folder);
            push(profile, stack, folder);
            folder.end(scaled(ns), CallClass::Work);
            drawn = drawn.saturating_add(scaled(ns));
        }
        let rest = own.saturating_sub(drawn);
        debug_assert!(sampled <= whole || rest == 0);
        root(key.pid, folder);
        folder.frame("[stack not taken]");
        push_function(profile, key, folder);
        folder.end(rest, CallClass::Work);
    }
}

fn root(pid: Pid, folder: &mut Folder<'_>) {
    match pid {
        Pid(0) => folder.frame("interrupt"),
        pid => folder.process(pid),
    };
}

fn hook_of<'p>(profile: &'p Profile, key: &LsmKey) -> &'p str {
    site(profile, key).map_or("", |site| site.hook.as_str())
}

/// What the modules took in each hook, ns.
fn below<'p>(profile: &'p Profile, lsm: &LsmRows) -> BTreeMap<(Pid, Option<u32>, &'p str), u64> {
    let mut sums: BTreeMap<_, u64> = BTreeMap::new();
    for (key, row) in &lsm.rows {
        if site(profile, key).is_some_and(|site| !is_hook(site)) {
            let sum = sums.entry((key.pid, key.nr, hook_of(profile, key))).or_default();
            *sum = sum.saturating_add(row.time.total_ns);
        }
    }
    sums
}

/// The stacks of a row, each with its part of the row's time, and their sum; never more than the whole.
pub fn stacks<'p>(lsm: &'p LsmRows, key: &LsmKey) -> (Vec<(&'p LsmStackKey, u64)>, u64) {
    let whole = lsm.rows.get(key).map_or(0, |row| row.time.total_ns);
    let first =
        LsmStackKey { row: *key, kernel: crate::profile::StackId(0), user: crate::profile::StackId(0) };
    let mut sum = 0u64;
    let range = lsm.stacks.range(first..).take_while(|(stack, _)| stack.row == *key);
    let stacks = range
        .map(|(stack, ns)| {
            // A hostile capture may say more than there is.
            let ns = (*ns).min(whole.saturating_sub(sum));
            sum = sum.saturating_add(ns);
            (stack, ns)
        })
        .collect();
    (stacks, sum)
}
