//! What names are asked for.
//!
//! In: nothing. Out: [`Job`].

use std::os::fd::RawFd;
use std::path::PathBuf;

use crate::profile::stack::Segment;

/// One file to read.
#[derive(Clone, Debug)]
pub struct Job {
    /// The file that the offsets are in; for [`Source::Given`] the directory to search.
    pub file: RawFd,
    /// Offsets to name.
    pub offsets: Vec<u64>,
    /// Its debug information may be used.
    pub dwarf: bool,
    /// Go's own table in it may be used.
    pub golang: bool,
    /// Which file names them.
    pub source: Source,
}

/// Which file names the offsets of a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// The file itself, which was mapped from this path; an empty one: it has no other file beside it.
    Itself(String),
    /// The debug file that this machine has of the file that was mapped from this path.
    Host(String),
    /// A file below a directory that the user gave.
    Given {
        /// Its path there.
        path: PathBuf,
        /// The build-id that it must have.
        build_id: String,
        /// The segments of code that the offsets are in.
        segments: Vec<Segment>,
    },
}
