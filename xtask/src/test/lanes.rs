//! In: parts of a run that disturb nothing but each other's speed. Out: all of them done, so many at a time, and counted
//! in the order in which they were given.

use std::{
    collections::VecDeque,
    sync::{Mutex, PoisonError},
    thread,
    time::Instant,
};

use super::{tally::Tally, voice::Voice};

/// Guests have 2 GB each, and a compiler takes as much.
const BYTES_EACH: u64 = 3 << 30;
/// More are no faster: the longest part takes a fourth of the time of all of them.
const MOST: usize = 4;

/// One part.
pub struct Job<'a> {
    name: String,
    work: Box<dyn FnOnce(&mut Tally) + Send + 'a>,
}

impl<'a> Job<'a> {
    pub fn new(name: &str, work: impl FnOnce(&mut Tally) + Send + 'a) -> Self {
        Self { name: name.to_owned(), work: Box::new(work) }
    }
}

/// How many parts run at a time: one for each CPU, as far as there is memory.
pub fn at_once() -> usize {
    let memory = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    lanes(cpus(), available(&memory))
}

/// CPUs that this process may use.
pub fn cpus() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

fn available(meminfo: &str) -> u64 {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemAvailable:"));
    let kilobytes = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok());
    kilobytes.map_or(u64::MAX, |kilobytes| kilobytes << 10)
}

fn lanes(cpus: usize, memory: u64) -> usize {
    let by_memory = usize::try_from(memory / BYTES_EACH).unwrap_or(MOST);
    cpus.min(by_memory).clamp(1, MOST)
}

/// Runs them all, `lanes` at a time, in the order of the list. Where there is but one lane nobody's name is said.
pub fn run(jobs: Vec<Job<'_>>, lanes: usize, tally: &mut Tally) {
    let lanes = lanes.min(jobs.len());
    let mut tallies: Vec<Tally> = jobs
        .iter()
        .map(|job| Tally::of(if lanes > 1 { Voice::named(&job.name) } else { Voice::default() }))
        .collect();
    let queue: VecDeque<_> = jobs.into_iter().zip(tallies.iter_mut()).collect();
    let queue = Mutex::new(queue);
    thread::scope(|scope| {
        for _ in 0..lanes {
            scope.spawn(|| {
                loop {
                    let next = queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
                    let Some((job, tally)) = next else { break };
                    let begin = Instant::now();
                    tally.begin();
                    (job.work)(tally);
                    tally.took(&job.name, begin.elapsed());
                }
            });
        }
    });
    tallies.into_iter().for_each(|part| tally.absorb(part));
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;

    use super::*;

    #[test]
    fn parts_run_beside_each_other_and_are_counted_in_their_order() {
        let (mut tally, met) = (Tally::default(), Barrier::new(2));
        let jobs = ["one", "two"].map(|name| {
            let met = &met;
            // Neither can pass it alone.
            Job::new(name, move |tally: &mut Tally| {
                met.wait();
                tally.outcome(name, Err(anyhow::anyhow!("no")));
            })
        });
        run(jobs.into(), 2, &mut tally);
        assert_eq!(tally.failures(), ["one: no", "two: no"]);
    }

    #[test]
    fn one_lane_runs_one_after_the_other() {
        let (mut tally, order) = (Tally::default(), Mutex::new(Vec::new()));
        let jobs = ["one", "two", "three"].map(|name| {
            let order = &order;
            Job::new(name, move |tally: &mut Tally| {
                order.lock().unwrap().push(name);
                tally.outcome(name, Ok(()));
            })
        });
        run(jobs.into(), 1, &mut tally);
        assert_eq!(*order.lock().unwrap(), ["one", "two", "three"]);
        assert_eq!(tally.line(), "3 passed, 0 failed, 0 skipped");
    }

    #[test]
    fn there_is_a_lane_for_each_cpu_that_has_memory() {
        assert_eq!(lanes(1, u64::MAX), 1);
        assert_eq!(lanes(2, 16 << 30), 2);
        assert_eq!(lanes(2, 4 << 30), 1);
        assert_eq!(lanes(64, u64::MAX), MOST);
        assert_eq!(lanes(2, 0), 1);
        assert_eq!(available("MemTotal: 9 kB\nMemAvailable:    2048 kB\n"), 2 << 20);
        assert_eq!(available(""), u64::MAX);
    }
}
