//! The few calls that matter most.
//!
//! In: the time axis, slow calls. Out: numbers of calls, the worst first.

use std::cmp::Reverse;

use crate::profile::Profile;
use crate::profile::rows::CallNumber;
use crate::render::syscalls::{self, CallClass};

/// At most `most` calls with the longest slow total, then the longest total: work, else user locks, else idle.
pub fn calls(profile: &Profile, most: usize) -> Vec<CallNumber> {
    let axis = &profile.axis;
    let slow = |nr: CallNumber| {
        let rows = profile.syscall.slow.iter().filter(|(key, _)| key.nr == nr);
        rows.map(|(_, row)| row.total_ns).fold(0, u64::saturating_add)
    };
    let mut calls: Vec<_> = axis.calls().map(|nr| (slow(nr), axis.call(nr).total_ns, nr)).collect();
    calls.sort_by_key(|(slow, total, nr)| (Reverse((*slow, *total)), *nr));
    let classes = [CallClass::Work, CallClass::UserLock, CallClass::Idle];
    let of = |class| calls.iter().map(|(.., nr)| *nr).filter(move |nr| syscalls::class(*nr) == class);
    let chosen = classes.into_iter().find(|class| of(*class).next().is_some());
    chosen.map(|class| of(class).take(most).collect()).unwrap_or_default()
}
