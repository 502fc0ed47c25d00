//! Stdout of every command, and writers that can be told to stop.
//!
//! In: what writes. Out: bytes, buffered; a reader that has gone is no failure.

use std::io::{self, BufWriter, ErrorKind, Write};

use anyhow::Context as _;

use crate::failure::Failure;

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

/// A writer that fails as soon as it is told to stop.
pub struct Stoppable<'w> {
    /// Where to.
    pub out: &'w mut dyn Write,
    /// Whether to stop.
    pub stop: &'w dyn Fn() -> bool,
}

impl Stoppable<'_> {
    fn check(&self) -> io::Result<()> {
        if (self.stop)() { Err(io::Error::other("nobody waits for it any more")) } else { Ok(()) }
    }
}

impl Write for Stoppable<'_> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.check()?;
        self.out.write(buffer)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.check()?;
        self.out.flush()
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
