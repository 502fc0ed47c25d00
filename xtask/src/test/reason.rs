//! In: the lines of a test run. Out: why each test that panicked did, in its own words, shortened.

/// The most lines of one reason: a message may hold a whole log.
const LINES: usize = 40;
/// The most characters of one line.
const WIDTH: usize = 400;
/// How the lines behind a message begin.
const ENDS: [&str; 3] = ["note: run with `RUST_BACKTRACE", "stack backtrace:", "failures:"];

/// What the tests of a run said as they panicked.
#[derive(Default)]
pub struct Reasons {
    /// Test and what it said.
    said: Vec<(String, Vec<String>)>,
    /// Whether the lines that come are of the last one's message.
    open: bool,
    /// The test whose output is being printed.
    test: String,
}

impl Reasons {
    /// Looks at the next line of the output.
    pub fn read(&mut self, line: &str) {
        if let Some(test) = line.strip_prefix("---- ").and_then(|rest| rest.strip_suffix(" stdout ----")) {
            (self.test, self.open) = (test.to_owned(), false);
        } else if let Some((_, place)) =
            line.split_once(" panicked at ").filter(|_| line.starts_with("thread '"))
        {
            self.said.push((self.test.clone(), vec![shortened(place)]));
            self.open = true;
        } else if ENDS.iter().any(|end| line.starts_with(end)) {
            self.open = false;
        } else if self.open
            && let Some((_, lines)) = self.said.last_mut()
            && lines.len() < LINES
        {
            lines.push(shortened(line));
        }
    }

    /// Adds those of another run.
    pub fn absorb(&mut self, mut other: Self) {
        self.said.append(&mut other.said);
        self.open = false;
    }

    /// What a test said, a line each; nothing when it did not panic.
    pub fn of(&self, test: &str) -> impl Iterator<Item = &str> {
        let of_it = self.said.iter().filter(move |(name, _)| name == test);
        of_it.flat_map(|(_, lines)| lines).map(String::as_str)
    }
}

fn shortened(line: &str) -> String {
    match line.char_indices().nth(WIDTH) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_told_with_its_place_and_message_and_no_more() {
        let mut reasons = Reasons::default();
        let long = "x".repeat(2 * WIDTH);
        for line in [
            "---- good stdout ----",
            "Measured something",
            "---- bad stdout ----",
            "Measured 3 of 4",
            "thread 'bad' (12) panicked at tests/a.rs:3:5:",
            "3, not 4",
            &long,
            "stack backtrace:",
            "   0: core::panicking::panic_fmt",
            "note: run with `RUST_BACKTRACE=1` environment variable to display a backtrace",
            "later",
        ] {
            reasons.read(line);
        }
        let said: Vec<&str> = reasons.of("bad").collect();
        assert_eq!(said[..2], ["tests/a.rs:3:5:", "3, not 4"]);
        assert_eq!((said.len(), said[2].chars().count()), (3, WIDTH + 1));
        assert_eq!(reasons.of("good").count(), 0);
    }

    #[test]
    fn a_whole_log_is_cut() {
        let mut reasons = Reasons::default();
        reasons.read("---- bad stdout ----");
        reasons.read("thread 'bad' panicked at tests/a.rs:3:5:");
        for number in 0..1000 {
            reasons.read(&number.to_string());
        }
        assert_eq!(reasons.of("bad").count(), LINES);
    }
}
