//! Captures: one versioned, compressed, checksummed, self-describing file per session.
//!
//! In: [`crate::profile::Chunk`]s, one by one while recording. Out: `capture.partial`, renamed to
//! `capture.profiler` when it is whole; and, read back, a [`crate::profile::Profile`].
//! `docs/capture.md` describes the bytes. What is read may be hostile, see `scan` and `budget`.

mod budget;
mod directory;
mod format;
mod read;
mod scan;
mod write;

pub use directory::{Directory, Room};
pub use format::{FINISHED, PARTIAL, VERSION};
pub use read::{Look, ReadError, read, read_from, read_from_with, read_with};
pub use write::Writer;
