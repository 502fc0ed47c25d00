//! The commands: each puts the stages together, in its own file.
//!
//! In: validated settings. Out: data on stdout or in files, everything else on stderr.

mod bench_floor;
pub mod check;
pub mod record;
pub mod report;
pub mod targets;

use std::io::{self, BufWriter, ErrorKind, Write};

use anyhow::Context as _;

use crate::cli::Settings;
use crate::failure::Failure;

/// Runs one command.
///
/// # Errors
/// As the command says.
pub fn run(settings: Settings) -> Result<(), Failure> {
    match settings {
        Settings::Record(settings) => record::run(&settings),
        Settings::Report(settings) => report::run(&settings),
        Settings::Check(settings) => {
            check::run(settings.json, settings.verbosity > 0, &mut io::stdout().lock())
        }
        Settings::Targets(settings) => targets::run(&settings),
        Settings::BenchFloor(kind) => bench_floor::run(&kind),
    }
}

/// Lets `write` write to stdout, buffered. A reader that has gone (`| head`) is no failure.
///
/// # Errors
/// What `write` returns, or what stdout does (a full disk behind a redirection).
pub fn to_stdout(write: impl FnOnce(&mut dyn Write) -> anyhow::Result<()>) -> Result<(), Failure> {
    let mut out = BufWriter::with_capacity(1 << 16, Pipe { inner: io::stdout().lock(), failed: None });
    let written = write(&mut out).and_then(|()| Ok(out.flush()?));
    // Whatever became of the error on its way through `write`: here it is known why it came.
    match &out.get_ref().failed {
        Some(ErrorKind::BrokenPipe) => Ok(()),
        Some(_) => written.context("cannot write to stdout").map_err(Failure::Runtime),
        None => written.map_err(Failure::Runtime),
    }
}

/// Stdout, remembering how it failed.
struct Pipe<W> {
    inner: W,
    failed: Option<ErrorKind>,
}

impl<W: Write> Pipe<W> {
    fn note<T>(&mut self, result: io::Result<T>) -> io::Result<T> {
        if let Err(error) = &result
            && error.kind() != ErrorKind::Interrupted
        {
            self.failed = Some(error.kind());
        }
        result
    }
}

impl<W: Write> Write for Pipe<W> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(buffer);
        self.note(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        let flushed = self.inner.flush();
        self.note(flushed)
    }
}
