//! Captures: one versioned, compressed, checksummed, self-describing file per session.
//!
//! In: [`crate::profile::Chunk`]s, one by one while recording. Out: `capture.partial`, renamed to
//! `capture.profiler` when it is whole; and, read back, a [`crate::profile::Profile`].
//! `docs/capture.md` describes the bytes. What is read may be hostile, see `scan` and `budget`.

mod budget;
mod format;
mod publish;
mod read;
mod scan;
mod write;

pub use format::{FINISHED, PARTIAL, VERSION};
pub use publish::publish;
pub use read::{ReadError, read, read_from};
pub use write::Writer;
