//! The futex word that a thread waits on: is it the word of a lock, or of a condition that a pool waits for?
//!
//! In: the longest futex waits one by one, with their arguments. Out: for a user stack, contended or parked.
//! A mutex of glibc, musl or Rust holds 2 while threads wait for it; a robust one holds its owner, with the
//! top bit set. `FUTEX_LOCK_PI` waits only for locks. Many threads on one word that is neither are a pool
//! that waits for one condition.

use std::collections::{BTreeMap, BTreeSet};

use profiler_common::user_lock::{COMMAND, CONTENDED, LOCK_PI, LOCK_PI2, WAIT, WAIT_BITSET, WAITERS};

use super::user_lock::UserLock;
use crate::profile::slowest::SlowestCall;
use crate::profile::{Pid, Profile, StackId, Tid};

/// Threads on one word that are a pool.
const POOL: usize = 2;

/// What words say, by process and user stack of the wait.
#[derive(Default)]
pub struct Words(BTreeMap<(Pid, StackId), UserLock>);

impl Words {
    /// Of the longest futex waits of a profile.
    pub fn new(profile: &Profile) -> Self {
        let waits = || profile.slowest.iter().filter(|call| call.is_user_lock());
        let mut waiters: BTreeMap<(Pid, u64), BTreeSet<Tid>> = BTreeMap::new();
        for call in waits() {
            waiters.entry((call.pid, call.arguments[0])).or_default().insert(call.tid);
        }
        let mut words = BTreeMap::new();
        for call in waits().filter(|call| call.user != StackId::NONE) {
            let many = waiters.get(&(call.pid, call.arguments[0])).is_some_and(|tids| tids.len() >= POOL);
            let told = of(call, many);
            // Where two words say different things of one stack, it may be either.
            let kept = words.entry((call.pid, call.user)).or_insert(told);
            if *kept != told {
                *kept = UserLock::Untold;
            }
        }
        Self(words)
    }

    /// What the words say of waits with this stack.
    pub fn of(&self, pid: Pid, user: StackId) -> UserLock {
        self.0.get(&(pid, user)).copied().unwrap_or(UserLock::Untold)
    }
}

fn of(call: &SlowestCall, many: bool) -> UserLock {
    let [_, operation, value] = call.arguments;
    let value = value as u32;
    match operation as u32 & COMMAND {
        LOCK_PI | LOCK_PI2 => UserLock::Contended,
        WAIT | WAIT_BITSET if value == CONTENDED || value & WAITERS != 0 => UserLock::Contended,
        WAIT | WAIT_BITSET if many => UserLock::Parked,
        _ => UserLock::Untold,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FUTEX: u32 = 202;
    const PRIVATE: u64 = 128;
    const BITSET: u64 = WAIT_BITSET as u64;

    fn wait(tid: u32, (word, operation, value): (u64, u64, u64), user: u64) -> SlowestCall {
        let arguments = [word, operation, value];
        SlowestCall {
            pid: Pid(7),
            tid: Tid(tid),
            nr: FUTEX,
            arguments,
            user: StackId(user),
            ..SlowestCall::default()
        }
    }

    #[test]
    fn a_locks_word_is_told_from_a_pools() {
        let slowest = vec![
            wait(1, (0x10, PRIVATE, 2), 1),
            wait(2, (0x10, PRIVATE, 2), 1),
            wait(3, (0x20, PRIVATE | BITSET | 256, 0), 2),
            wait(4, (0x20, PRIVATE | BITSET | 256, 0), 2),
            wait(5, (0x30, PRIVATE | BITSET | 256, 0), 3),
            wait(6, (0x40, PRIVATE, u64::from(WAITERS | 99)), 4),
            wait(7, (0x50, PRIVATE | u64::from(LOCK_PI), 0), 5),
            // One stack, both kinds of words.
            wait(8, (0x60, PRIVATE, 2), 6),
            wait(9, (0x20, PRIVATE, 0), 6),
        ];
        let words = Words::new(&Profile { slowest, ..Profile::default() });
        let told: Vec<_> = (1..=7).map(|user| words.of(Pid(7), StackId(user))).collect();
        use UserLock::{Contended, Parked, Untold};
        assert_eq!(told, [Contended, Parked, Untold, Contended, Contended, Untold, Untold]);
    }
}
