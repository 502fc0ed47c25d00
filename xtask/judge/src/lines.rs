//! What a child prints, line by line, with a deadline: a child that says nothing is an error, and holds nobody.
//!
//! In: a child's stdout. Out: its lines; `None` at its end.

use std::{
    io::{BufRead as _, BufReader, Read},
    sync::mpsc::{self, Receiver, RecvTimeoutError},
    thread,
    time::Duration,
};

use anyhow::{Result, bail};

use crate::wait;

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
    ///
    /// # Errors
    /// When none comes in time.
    pub fn take(&self) -> Result<Option<String>> {
        match self.next_within(wait::USUAL) {
            Next::Line(line) => Ok(Some(line)),
            Next::End => Ok(None),
            Next::Silence => bail!("a child was silent for {} s", wait::USUAL.as_secs()),
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
