//! What a child prints, line by line, with a deadline: a child that says nothing fails its test instead of
//! holding the whole run.
//!
//! In: a child's stdout. Out: its lines; `None` at its end.

#![allow(dead_code, clippy::panic, reason = "as in `live`")]

use std::io::{BufRead as _, BufReader, Read};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::Duration;

/// Longer than anything that a test asks a child for; the longest workloads take 30 s when they are alone.
const PATIENCE: Duration = Duration::from_secs(150);

/// Lines as they come.
pub struct Lines {
    lines: Receiver<String>,
}

impl Lines {
    /// Starts to read.
    pub fn of(output: impl Read + Send + 'static) -> Self {
        let (sender, lines) = mpsc::channel();
        thread::spawn(move || {
            let mut output = BufReader::new(output);
            let mut line = Vec::new();
            while let Ok(1..) = output.read_until(b'\n', &mut line) {
                if sender.send(String::from_utf8_lossy(&line).trim_end().to_owned()).is_err() {
                    break;
                }
                line.clear();
            }
        });
        Self { lines }
    }

    /// The next line, without its end; `None` when there is no more.
    pub fn take(&self) -> Option<String> {
        match self.next_within(PATIENCE) {
            Next::Line(line) => Some(line),
            Next::End => None,
            Next::Silence => panic!("a child was silent for {PATIENCE:?}"),
        }
    }

    /// The next line, when it comes soon enough.
    pub fn next_within(&self, span: Duration) -> Next {
        match self.lines.recv_timeout(span) {
            Ok(line) => Next::Line(line),
            Err(RecvTimeoutError::Disconnected) => Next::End,
            Err(RecvTimeoutError::Timeout) => Next::Silence,
        }
    }
}

/// What came within a span of time.
pub enum Next {
    /// A line, without its end.
    Line(String),
    /// The child's stdout is closed.
    End,
    /// Nothing.
    Silence,
}
