//! The same call, made by all processes of one name.
//!
//! In: ranked calls. Out: its slow calls as one row, who made them, and how long before the recording the
//! oldest of them began.

use super::lines::{self, SyscallLine};
use crate::profile::{Profile, SlowRow};
use crate::render::group::Group;
use crate::render::humane;
use crate::render::who::who;

/// One call of all processes of one name.
pub type Calls<'r, 'p> = Group<'r, SyscallLine<'p>>;

/// The slow calls of a group, as one row.
pub fn slow_sum(group: &Calls<'_, '_>) -> SlowRow {
    let mut sum = SlowRow::default();
    group.lines().iter().for_each(|line| lines::add(&mut sum, &line.slow));
    sum
}

/// `, begun 61.0 s before the recording at least`: the longest time that is known of calls that began before it.
pub fn before(profile: &Profile, group: &Calls<'_, '_>) -> String {
    let of = |pid, nr| group.lines().iter().any(|line| (line.pid, line.nr) == (pid, nr));
    let kept = profile.slowest.iter().filter(|call| of(call.pid, call.nr));
    match kept.map(|call| call.before_ns).max().unwrap_or(0) {
        0 => String::new(),
        ns => format!(", begun {} before the recording at least", humane::duration(ns)),
    }
}

/// Who made the calls.
pub fn callers(profile: &Profile, group: &Calls<'_, '_>) -> String {
    who(profile, group, |line| (line.pid, line.lost_ns))
}
