//! Limits of this machine that change a recording.
//!
//! In: what was asked for, and the kernel's settings. Out: what is used instead, and one sentence for each limit
//! that binds, with what to change.

use profiler_common::stack::FRAMES;

use crate::cli::settings::RecordSettings;
use crate::failure::Failure;
use crate::machine::{self, Told};
use crate::plan::facts::{MAX_SAMPLE_RATE, MAX_STACK};
use crate::symbol::Interner;

/// What the kernel grants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Samples a second on each CPU.
    pub frequency_hz: u64,
    /// Frames after which a stack is cut.
    pub stack_frames: u32,
    /// One sentence for each limit that binds.
    pub told: Vec<String>,
}

impl Limits {
    /// Reads the kernel's settings and says which of them bind.
    pub fn read(settings: &RecordSettings) -> Self {
        let limits =
            Self::of(settings.frequency_hz, &machine::number(MAX_SAMPLE_RATE), &machine::number(MAX_STACK));
        for told in &limits.told {
            tracing::warn!("{told}");
        }
        // Where memory runs out, the kernel ends this process and nobody is told anything more.
        for limit in machine::limit::memory() {
            tracing::warn!(
                "{limit}: a recording may need more, and the kernel then kills it without a message; fix: raise it"
            );
        }
        limits
    }

    /// A setting that is unknown binds nothing here: the kernel itself will refuse.
    fn of(frequency_hz: u64, rate: &Told<i64>, frames: &Told<i64>) -> Self {
        let most = |told: &Told<i64>| told.known().and_then(|most| u64::try_from(*most).ok());
        let record = FRAMES as u64;
        let mut limits = Self { frequency_hz, stack_frames: FRAMES as u32, told: Vec::new() };
        if let Some(most) = most(rate).filter(|most| *most < frequency_hz) {
            limits.frequency_hz = most.max(1);
            limits.told.push(format!(
                "CPUs are sampled at {} Hz, not at {frequency_hz}: kernel.perf_event_max_sample_rate is {most}; \
                 fix: sysctl kernel.perf_event_max_sample_rate={frequency_hz}",
                limits.frequency_hz
            ));
        }
        if let Some(most) = most(frames).filter(|most| *most < record) {
            limits.stack_frames = most as u32;
            limits.told.push(format!(
                "Stacks are cut at {most} frames, so stacks that differ only above are counted as one: \
                 kernel.perf_event_max_stack is {most}; fix: sysctl kernel.perf_event_max_stack={record}"
            ));
        }
        limits
    }
}

/// Names the limit where one is behind a failure.
pub fn explain(failure: Failure) -> Failure {
    match failure {
        Failure::Runtime(error) => match machine::limit::of(error.as_ref()) {
            Some(limit) => Failure::Runtime(anyhow::anyhow!("{error:#}: {limit}")),
            None => Failure::Runtime(error),
        },
        told => told,
    }
}

/// Sentences about files that could not be read because of a limit, or because their file systems do not answer.
pub fn unread(interner: &Interner) -> Vec<String> {
    let mut told = Vec::new();
    let files = interner.without_room();
    if files > 0 {
        let limit = machine::limit::open_files();
        told.push(format!(
            "{files} files of processes were not pinned, and their functions have no names: {limit}"
        ));
    }
    told.extend(silent(&interner.silent().collect::<Vec<_>>(), &machine::child::left_behind()));
    told
}

/// Paths and pids spelled out in a sentence, at most.
const SPELLED: usize = 5;

fn silent(paths: &[&str], left: &[u32]) -> Vec<String> {
    let mut told = Vec::new();
    if let Some(first) = paths.first() {
        told.push(format!(
            "{} files were not read, and their functions have no names: their file systems do not answer (such as {})",
            paths.len(),
            machine::line(first, 256)
        ));
    }
    if !left.is_empty() {
        let pids: Vec<String> = left.iter().take(SPELLED).map(u32::to_string).collect();
        let more = left.len().saturating_sub(SPELLED);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        told.push(format!(
            "children of the profiler are left behind, because no signal ends them: pid {}{more}; they wait for a file system \
             that does not answer, and end when it does or is gone",
            pids.join(", ")
        ));
    }
    told
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_binds_is_lowered_and_told_with_its_mend() {
        let free = Limits::of(99, &Told::Is(100_000), &Told::Is(127));
        assert_eq!(free, Limits { frequency_hz: 99, stack_frames: 127, told: Vec::new() });
        assert_eq!(Limits::of(99, &Told::Not("gone".into()), &Told::Not("gone".into())), free);
        assert_eq!(Limits::of(99, &Told::Is(99), &Told::Is(512)), free);
        let bound = Limits::of(99, &Told::Is(50), &Told::Is(16));
        assert_eq!((bound.frequency_hz, bound.stack_frames, bound.told.len()), (50, 16, 2));
        assert!(bound.told[0].contains("kernel.perf_event_max_sample_rate is 50"), "{bound:?}");
        assert!(bound.told[1].contains("kernel.perf_event_max_stack is 16"), "{bound:?}");
    }

    #[test]
    fn files_that_do_not_answer_and_who_hangs_on_them_are_named() {
        assert!(silent(&[], &[]).is_empty());
        let told = silent(&["/mnt/\u{1b}[2Ja", "/mnt/b"], &[1, 2, 3, 4, 5, 6, 7]);
        assert!(told[0].starts_with("2 files were not read") && told[0].contains("/mnt/?[2Ja"), "{told:?}");
        assert!(told[1].contains("pid 1, 2, 3, 4, 5 and 2 more"), "{told:?}");
    }
}
