//! A recording that took longer than `-d` says.
//!
//! In: what was asked for, how long it took, what the profiler did meanwhile. Out: a sentence, if it took over a tenth more.

use std::fs;
use std::time::Duration;

use crate::render::humane;

/// Reading what is left may take this much more than a tenth before it is told.
const READING: Duration = Duration::from_secs(1);

/// What the profiler was busy with, or kept from.
#[derive(Clone, Copy, Debug, Default)]
pub struct Work {
    /// The longest wait for the kernel's programs to leave rows.
    pub programs: Duration,
    /// The longest reading of rows and writing of a chunk, without that wait.
    pub rows: Duration,
    /// This thread could run and had no CPU, in all.
    pub queued: Duration,
}

impl Work {
    /// Notes an interval.
    pub fn note(&mut self, programs: Duration, whole: Duration) {
        self.programs = self.programs.max(programs);
        self.rows = self.rows.max(whole.saturating_sub(programs));
    }
}

/// How long this thread has waited for a CPU since it began; zero where the kernel does not tell.
pub fn queued() -> Duration {
    let text = fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let ns = text.split_whitespace().nth(1).and_then(|ns| ns.parse().ok());
    Duration::from_nanos(ns.unwrap_or(0))
}

/// What to say of a recording that took `recorded`, and `whole` with the reading of what was left.
pub fn sentence(asked: Duration, (recorded, whole): (Duration, Duration), work: Work) -> Option<String> {
    let most = asked + asked / 10;
    if recorded <= most && whole <= most + READING {
        return None;
    }
    let text = |time: Duration| humane::duration(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX));
    Some(format!(
        "Recording took {} and reading the rest {}, with -d {}: the longest wait for the kernel to leave the programs was {}, the \
         longest reading of rows {}, and the profiler waited {} for a CPU; fix: nothing if one of these explains it, else \
         the profiler was stopped",
        text(recorded),
        text(whole.saturating_sub(recorded)),
        text(asked),
        text(work.programs),
        text(work.rows),
        text(work.queued),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenth_more_is_told_with_what_took_the_time() {
        let ms = Duration::from_millis;
        let mut work = Work { queued: ms(70), ..Work::default() };
        work.note(ms(900), ms(1_000));
        work.note(ms(20), ms(400));
        assert_eq!(sentence(ms(5_000), (ms(5_500), ms(6_500)), work), None);
        let told = sentence(ms(5_000), (ms(6_200), ms(6_300)), work).unwrap();
        for part in [
            "took 6.20 s",
            "rest 100 ms",
            "-d 5.00 s",
            "programs was 900 ms",
            "rows 380 ms",
            "waited 70.0 ms",
        ] {
            assert!(told.contains(part), "{part}: {told}");
        }
        assert!(sentence(ms(5_000), (ms(5_100), ms(6_600)), work).is_some(), "the end took long");
    }

    #[test]
    fn the_kernel_tells_waits_for_a_cpu() {
        assert!(queued() <= queued());
    }
}
