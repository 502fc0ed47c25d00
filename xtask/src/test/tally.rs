//! In: the output of test runs, line by line. Out: the same lines on the terminal, and at the end how long each part
//! took, and how many passed, failed and were skipped, the latter two by name, those that failed with what they said.

use std::{
    process::Command,
    time::{Duration, Instant},
};

use super::{follow, reason::Reasons, voice::Voice};

/// What was counted so far.
#[derive(Default)]
pub struct Tally {
    passed: u64,
    failures: Vec<String>,
    skips: Vec<String>,
    /// Runs of a measurement that were off, whatever came of it.
    flakes: Vec<String>,
    /// Tests that skipped themselves, which libtest counts as passed.
    returned_early: u64,
    /// Tests that test binaries found and did not filter out, whatever came of them.
    selected: u64,
    /// Failures named since the last result line.
    named: u64,
    reasons: Reasons,
    /// Parts and how long they took.
    parts: Vec<(String, Duration)>,
    voice: Voice,
}

impl Tally {
    /// Of a part that speaks so.
    pub fn of(voice: Voice) -> Self {
        Self { voice, ..Self::default() }
    }

    pub fn voice(&self) -> &Voice {
        &self.voice
    }

    /// Its part begins now.
    pub fn begin(&mut self) {
        self.voice.begin();
    }

    /// Notes how long a part took.
    pub fn took(&mut self, part: &str, time: Duration) {
        self.parts.push((part.to_owned(), time));
    }

    /// Adds what another part counted. Each field is named: one that is new is added too, or this does not compile.
    pub fn absorb(&mut self, part: Self) {
        let Self {
            passed,
            failures,
            skips,
            flakes,
            returned_early,
            selected,
            named,
            reasons,
            parts,
            voice: _,
        } = part;
        self.passed += passed;
        self.failures.extend(failures);
        self.skips.extend(skips);
        self.flakes.extend(flakes);
        self.returned_early += returned_early;
        self.selected += selected;
        self.named += named;
        self.reasons.absorb(reasons);
        self.parts.extend(parts);
    }

    /// A step that passes or fails as a whole.
    pub fn run_step(&mut self, name: &str, step: &mut Command) {
        self.voice.say(&format!("\n== {name}"));
        let begin = Instant::now();
        let outcome = follow::run(step, &self.voice, |_| ());
        self.took(name, begin.elapsed());
        match outcome {
            Ok(true) => self.passed += 1,
            Ok(false) => self.failures.push(format!("{name}: failed")),
            Err(error) => self.failures.push(format!("{name}: {error:#}")),
        }
    }

    /// Something that was tested elsewhere.
    pub fn outcome(&mut self, name: &str, outcome: anyhow::Result<()>) {
        match outcome {
            Ok(()) => self.passed += 1,
            Err(error) => self.failures.push(format!("{name}: {error:#}")),
        }
    }

    /// A `cargo test` run, counted test by test.
    pub fn run_tests(&mut self, name: &str, tests: &mut Command) {
        self.voice.say(&format!("\n== {name}"));
        let (before, begin, voice) = (self.failures.len(), Instant::now(), self.voice.clone());
        let outcome = follow::run(tests, &voice, |line| self.count(line));
        self.took(name, begin.elapsed());
        match outcome {
            Ok(true) => {}
            // A run can end without naming a test: it did not compile.
            Ok(false) if self.failures.len() > before => {}
            Ok(false) => self.failures.push(format!("{name}: did not run to the end")),
            Err(error) => self.failures.push(format!("{name}: {error:#}")),
        }
    }

    fn count(&mut self, line: &str) {
        self.reasons.read(line.trim_end());
        let line = line.trim();
        if line.starts_with("FLAKED") {
            self.flakes.push(line.to_owned());
        } else if line.starts_with("SKIPPED") {
            self.skips.push(line.to_owned());
            self.returned_early += 1;
        } else if let Some(result) = line.strip_prefix("test result: ") {
            self.count_result(result);
        } else if let Some((test, outcome)) =
            line.strip_prefix("test ").and_then(|rest| rest.split_once(" ... "))
        {
            if outcome.ends_with("FAILED") {
                self.failures.push(test.to_owned());
                self.named += 1;
            } else if outcome.starts_with("ignored, run by ") {
                // Another test runs it, as another user or in another place: that one counts.
            } else if outcome.contains("ignored") {
                self.skips.push(format!("{test}: {outcome}"));
            }
        }
    }

    /// The sums of one test binary are counted, not its lines: what a child of a test prints can
    /// fall into the middle of those.
    fn count_result(&mut self, result: &str) {
        let number = |what: &str| {
            let field = result.split([';', '.']).find_map(|field| field.trim().strip_suffix(what));
            field.and_then(|number| number.trim().parse::<u64>().ok()).unwrap_or(0)
        };
        self.passed += number("passed");
        self.selected += number("passed") + number("failed") + number("ignored");
        let unnamed = number("failed").saturating_sub(std::mem::take(&mut self.named));
        for _ in 0..unnamed {
            self.failures.push("a test whose name its output hides".to_owned());
        }
    }

    pub fn failed(&self) -> bool {
        !self.failures.is_empty()
    }

    /// How many tests there were, of those that no name filtered out.
    pub fn selected(&self) -> u64 {
        self.selected
    }

    /// What failed, and why.
    #[cfg(test)]
    pub fn failures(&self) -> &[String] {
        &self.failures
    }

    /// The summary; its last line is the count.
    pub fn print(&self) {
        println!();
        for (part, time) in &self.parts {
            println!("TOOK     {:>4} s  {part}", time.as_secs());
        }
        for flake in &self.flakes {
            println!("{flake}");
        }
        for skip in &self.skips {
            println!("SKIPPED  {}", skip.trim_start_matches("SKIPPED").trim_start_matches([':', ' ']));
        }
        for failure in &self.failures {
            println!("FAILED   {failure}");
            for line in self.reasons.of(failure) {
                println!("         {line}");
            }
        }
        println!("{}", self.line());
    }

    pub fn line(&self) -> String {
        let passed = self.passed.saturating_sub(self.returned_early);
        format!("{passed} passed, {} failed, {} skipped", self.failures.len(), self.skips.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outcomes_are_counted() {
        let mut tally = Tally::default();
        for line in [
            "running 4 tests",
            "test a::works ... ok",
            "test b ... FAILED",
            "test c ... ignored, needs a cluster",
            "test child ... ignored, run by live",
            "test live ... ok",
            "SKIPPED: live: no docker here",
            "FLAKED a::works: off by 5 ns",
            "test result: FAILED. 2 passed; 2 failed; 2 ignored; 0 measured; 0 filtered out",
        ] {
            tally.count(line);
        }
        assert_eq!(tally.line(), "1 passed, 2 failed, 2 skipped");
        assert!(tally.failed());
        assert_eq!(tally.flakes, ["FLAKED a::works: off by 5 ns"]);
        assert_eq!(tally.selected(), 6);
    }

    #[test]
    fn parts_are_added_up_with_their_reasons() {
        let (mut tally, mut part) = (Tally::default(), Tally::default());
        tally.outcome("one", Ok(()));
        part.outcome("two", Ok(()));
        for line in [
            "test bad ... FAILED",
            "SKIPPED: live: no docker here",
            "FLAKED bad: off by 5 ns",
            "---- bad stdout ----",
            "thread 'bad' (12) panicked at tests/a.rs:3:5:",
            "3, not 4",
            "failures:",
            "test result: FAILED. 2 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out",
        ] {
            part.count(line);
        }
        tally.absorb(part);
        assert_eq!(tally.line(), "3 passed, 1 failed, 1 skipped");
        assert_eq!(tally.reasons.of("bad").collect::<Vec<_>>(), ["tests/a.rs:3:5:", "3, not 4"]);
        assert_eq!((tally.flakes.len(), tally.selected()), (1, 3));
    }

    #[test]
    fn a_run_that_does_not_start_fails() {
        let mut tally = Tally::default();
        tally.run_tests("none", &mut Command::new("/nonexistent/cargo"));
        tally.run_tests("false", &mut Command::new("false"));
        assert_eq!(tally.line(), "0 passed, 2 failed, 0 skipped");
    }
}
