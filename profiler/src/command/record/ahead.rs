//! Processes of the target that are there when recording begins: whose mappings are read ahead, and for how
//! long.
//!
//! In: their pids. Out: one pid after the other, the highest first, because the process that started last is
//! the most likely to die soon. There may be thousands, so the number of processes and the time for all of
//! them are bounded. The time is spent in slices; between two slices the recorder takes events.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::profile::Pid;
use crate::symbol::Foreseen;

/// Of so few, the first slice comes before the recording says that it has begun: nobody waits for a whole machine's.
const FEW: usize = 64;
/// That slice. One process takes about a millisecond; where others want all CPUs, four took more than 20 ms.
pub const AT_BEGIN: Duration = Duration::from_millis(200);
/// Each later slice.
pub const SLICE: Duration = Duration::from_millis(5);
/// Processes that are kept, at most.
const PROCESSES: usize = 512;
/// All slices together.
const TIME: Duration = Duration::from_millis(400);

/// Processes that are still to be looked at.
#[derive(Debug, Default)]
pub struct Ahead {
    left: VecDeque<Pid>,
    kept: usize,
    spent: Duration,
}

impl Ahead {
    /// All of them.
    pub fn new(members: &[u32]) -> Self {
        let mut left: Vec<Pid> = members.iter().copied().map(Pid).collect();
        left.sort_unstable();
        Self { left: left.into(), ..Self::default() }
    }

    /// Whether so few are left that a recording may wait for them to begin.
    pub fn are_few(&self) -> bool {
        self.left.len() <= FEW
    }

    /// Whether nobody is looked at any more.
    pub fn is_over(&self) -> bool {
        self.left.is_empty()
    }

    /// Looks at some, until there are no more or time is over. Who needs more time than there was is looked at again, last.
    pub fn look(
        &mut self,
        within: Duration,
        mut now: impl FnMut() -> Instant,
        mut at: impl FnMut(Pid, Instant) -> Foreseen,
    ) {
        let begun = now();
        let until = begun + within.min(TIME.saturating_sub(self.spent));
        let mut time = begun;
        while time < until && self.kept < PROCESSES {
            let Some(pid) = self.left.pop_back() else { break };
            match at(pid, until) {
                Foreseen::Kept => self.kept += 1,
                Foreseen::Not => {}
                Foreseen::Late => self.left.push_front(pid),
            }
            time = now();
        }
        self.spent += time.saturating_duration_since(begun);
        if self.kept >= PROCESSES || self.spent >= TIME {
            self.left.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    /// Looks for so long where each look takes so long; who was looked at.
    fn looked(ahead: &mut Ahead, within_ms: u64, each_ms: u64, of: impl Fn(Pid) -> Foreseen) -> Vec<u32> {
        let (begun, passed, mut seen) = (Instant::now(), Cell::new(0), Vec::new());
        let now = || begun + Duration::from_millis(passed.get());
        ahead.look(Duration::from_millis(within_ms), now, |pid, _| {
            passed.set(passed.get() + each_ms);
            seen.push(pid.0);
            of(pid)
        });
        seen
    }

    #[test]
    fn the_last_come_first_and_a_slice_ends() {
        let mut ahead = Ahead::new(&[7, 3, 9]);
        assert!(ahead.are_few() && !Ahead::new(&[1; FEW + 1]).are_few());
        assert_eq!(looked(&mut ahead, 10, 5, |_| Foreseen::Kept), [9, 7]);
        assert!(!ahead.is_over());
        assert_eq!(looked(&mut ahead, 10, 5, |_| Foreseen::Not), [3]);
        assert!(ahead.is_over());
    }

    #[test]
    fn who_takes_long_is_looked_at_again_after_all_others_until_time_is_over() {
        let mut ahead = Ahead::new(&[1, 2]);
        let slow = |pid| if pid == Pid(2) { Foreseen::Late } else { Foreseen::Kept };
        assert_eq!(looked(&mut ahead, 10, 10, slow), [2]);
        assert_eq!(looked(&mut ahead, 20, 10, slow), [1, 2]);
        let most = TIME.as_millis() as u64 / 10;
        let mut looks = 3;
        while !ahead.is_over() {
            looks += looked(&mut ahead, 10, 10, slow).len() as u64;
        }
        assert_eq!(looks, most);
    }

    #[test]
    fn no_more_are_kept_than_there_is_room_for() {
        let mut ahead = Ahead::new(&(1..=2 * PROCESSES as u32).collect::<Vec<_>>());
        let odd = |pid: Pid| if pid.0 % 2 == 1 { Foreseen::Kept } else { Foreseen::Not };
        assert_eq!(looked(&mut ahead, 10, 0, odd).len(), 2 * PROCESSES);
        let mut ahead = Ahead::new(&(0..PROCESSES as u32 + 5).collect::<Vec<_>>());
        assert_eq!(looked(&mut ahead, 10, 0, |_| Foreseen::Kept).len(), PROCESSES);
        assert!(ahead.is_over());
    }
}
