//! In: what one part of a run says. Out: the same on the terminal: as it comes where the part runs alone, else line by
//! line, with the part's name and its seconds before each, so that parts beside each other cannot be confused.

use std::{
    io::{self, Write},
    time::Instant,
};

/// Who speaks; nobody by name where one part runs at a time.
#[derive(Clone, Default)]
pub struct Voice {
    name: String,
    /// When it began to speak, if it has a name.
    since: Option<Instant>,
}

impl Voice {
    /// Of a part that runs beside others.
    pub fn named(name: &str) -> Self {
        Self { name: name.to_owned(), since: None }
    }

    /// Its seconds count from now.
    pub fn begin(&mut self) {
        self.since = Some(Instant::now());
    }

    /// Whether others speak, too.
    pub fn is_named(&self) -> bool {
        !self.name.is_empty()
    }

    /// Says one line, or several; all of it at once.
    pub fn say(&self, text: &str) {
        self.show(self.lines(text).as_bytes());
    }

    /// Says what came of a line, when nobody else speaks.
    pub fn say_piece(&self, piece: &[u8]) {
        if !self.is_named() {
            self.show(piece);
        }
    }

    /// Says a whole line whose pieces [`Self::say_piece`] had.
    pub fn say_rest(&self, line: &str) {
        if self.is_named() {
            self.say(line);
        }
    }

    fn lines(&self, text: &str) -> String {
        let seconds = self.since.map_or(0, |since| since.elapsed().as_secs());
        let line = |line: &str| match self.is_named() {
            true => format!("{:>10} {seconds:>4} s | {line}\n", self.name),
            false => format!("{line}\n"),
        };
        if text.is_empty() { line("") } else { text.lines().map(line).collect() }
    }

    fn show(&self, bytes: &[u8]) {
        let mut terminal = io::stdout().lock();
        // A closed pipe is no reason to leave a part without its end.
        let _ = terminal.write_all(bytes).and_then(|()| terminal.flush());
    }
}

#[cfg(test)]
mod tests {
    use super::Voice;

    #[test]
    fn each_line_says_whose_it_is_beside_others() {
        assert_eq!(Voice::default().lines("one\ntwo"), "one\ntwo\n");
        assert_eq!(
            Voice::named("6.1").lines("one\ntwo\n"),
            "       6.1    0 s | one\n       6.1    0 s | two\n"
        );
        assert_eq!(Voice::named("6.1").lines(""), "       6.1    0 s | \n");
    }
}
