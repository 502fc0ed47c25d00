//! In: the output of test runs, line by line. Out: the same lines on the terminal, and at the end how
//! many passed, failed and were skipped, the latter two by name, those that failed with what they said.

use std::process::Command;

use super::{follow, reason::Reasons};
use crate::command;

/// What was counted so far.
#[derive(Default)]
pub struct Tally {
    passed: u64,
    failures: Vec<String>,
    skips: Vec<String>,
    /// Tests that skipped themselves, which libtest counts as passed.
    returned_early: u64,
    /// Failures named since the last result line.
    named: u64,
    reasons: Reasons,
}

impl Tally {
    /// A step that passes or fails as a whole.
    pub fn run_step(&mut self, name: &str, step: &mut Command) {
        println!("\n== {name}");
        self.outcome(name, command::run(step));
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
        println!("\n== {name}");
        let before = self.failures.len();
        match follow::run(tests, |line| self.count(line)) {
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
        if line.starts_with("SKIPPED") {
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
        let unnamed = number("failed").saturating_sub(std::mem::take(&mut self.named));
        for _ in 0..unnamed {
            self.failures.push("a test whose name its output hides".to_owned());
        }
    }

    pub fn failed(&self) -> bool {
        !self.failures.is_empty()
    }

    /// What failed, and why.
    #[cfg(test)]
    pub fn failures(&self) -> &[String] {
        &self.failures
    }

    /// The summary; its last line is the count.
    pub fn print(&self) {
        println!();
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
            "test live ... ok",
            "SKIPPED: live: no docker here",
            "test result: FAILED. 2 passed; 2 failed; 1 ignored; 0 measured; 0 filtered out",
        ] {
            tally.count(line);
        }
        assert_eq!(tally.line(), "1 passed, 2 failed, 2 skipped");
        assert!(tally.failed());
    }

    #[test]
    fn a_run_that_does_not_start_fails() {
        let mut tally = Tally::default();
        tally.run_tests("none", &mut Command::new("/nonexistent/cargo"));
        tally.run_tests("false", &mut Command::new("false"));
        assert_eq!(tally.line(), "0 passed, 2 failed, 0 skipped");
    }
}
