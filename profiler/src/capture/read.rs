//! Reads a capture back, however it ended.
//!
//! In: a path (file or directory) or any reader. Out: a [`Profile`]; what is missing at its end
//! stands in `Profile::missing_tail`. Nothing in the file is believed before it is checked.
//! Ids continue from chunk to chunk, so reading stops at the first damage: behind it, ids would
//! mean wrong names.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};

use flate2::read::DeflateDecoder;
use rustix::fs::{Mode, OFlags};

use super::budget::{Budget, CHUNK_MEMORY_MAX, HEADER_MAX};
use super::format::{self, ChunkHead, FINISHED, HEAD_LEN, MAGIC, PARTIAL, VERSION, VERSION_LINE_MAX};
use super::scan;
use crate::failure::Failure;
use crate::profile::{Chunk, Profile};

/// Why a file gives no profile at all.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// It has no byte.
    #[error("is empty: no recording was ever written to it")]
    Empty,
    /// It does not begin like one.
    #[error("is not a capture of this tool")]
    NotACapture,
    /// Its version is newer than [`VERSION`].
    #[error(
        "has format version {0}, this build reads up to {VERSION}: use the profiler that recorded it, or a newer one"
    )]
    Newer(u64),
    /// Not even its first chunk is whole.
    #[error("holds nothing whole: {0}")]
    NothingWhole(String),
    /// It cannot be read.
    #[error("cannot be read: {0}")]
    Io(#[from] io::Error),
}

/// Reads the capture at `path`, or the one in the directory `path`: the finished one if there is one, else
/// the partial one.
///
/// # Errors
/// `Usage` when the path names no regular file, `Runtime` when the file gives no profile.
pub fn read(path: &Path) -> Result<Profile, Failure> {
    read_with(path, &mut Some)
}

/// As [`read`], but `look` sees each chunk first, in order, and gives what of it becomes part of the profile.
///
/// # Errors
/// As [`read`].
pub fn read_with(path: &Path, look: Look<'_>) -> Result<Profile, Failure> {
    let (file, path) = open(path)?;
    let length = file.metadata().map_err(|error| anyhow::anyhow!("{}: {error}", path.display()))?.len();
    chunks(BufReader::with_capacity(1 << 16, file), length, look)
        .map_err(|error| anyhow::anyhow!("{} {error}", path.display()).into())
}

/// Reads a capture of `length` bytes.
///
/// # Errors
/// When it gives no profile at all; a damaged or missing tail is no error.
pub fn read_from(reader: impl Read, length: u64) -> Result<Profile, ReadError> {
    chunks(reader, length, &mut Some)
}

/// As [`read_from`], but `look` sees each chunk first, in order, and gives what of it becomes part of the profile.
///
/// # Errors
/// As [`read_from`].
pub fn read_from_with(reader: impl Read, length: u64, look: Look<'_>) -> Result<Profile, ReadError> {
    chunks(reader, length, look)
}

/// What sees each chunk before it is applied.
pub type Look<'l> = &'l mut dyn FnMut(Chunk) -> Option<Chunk>;

fn chunks(reader: impl Read, length: u64, look: Look<'_>) -> Result<Profile, ReadError> {
    // A recorder may be appending right now: what it adds from here on is not ours.
    let mut reader = reader.take(length);
    let mut whole = version_line(&mut reader)?;
    let mut profile = Profile::default();
    let mut budget = Budget::default();
    let (mut begun, mut unknown) = (false, Unknown::default());
    let stopped = loop {
        let (chunk, bytes) = match next(&mut reader, &mut budget, &mut unknown) {
            Ok(Some(found)) => found,
            Ok(None) => break None,
            Err(why) => break Some(why),
        };
        let last = match order(chunk.as_ref(), begun) {
            Ok(last) => last,
            Err(why) => break Some(why),
        };
        whole += bytes;
        begun = true;
        if let Some(chunk) = chunk.and_then(&mut *look) {
            profile.apply(chunk);
        }
        if last {
            return Ok(profile);
        }
        if let Err(why) = budget.check(&profile) {
            break Some(why.to_owned());
        }
    };
    let unread = length.saturating_sub(whole);
    if !begun {
        let why = stopped.unwrap_or_else(|| "the recorder was killed before its first record".to_owned());
        return Err(ReadError::NothingWhole(why));
    }
    profile.missing_tail = Some(tail(stopped, unread, profile.duration_ns));
    Ok(profile)
}

/// The sentence about what is missing.
fn tail(stopped: Option<String>, unread: u64, duration_ns: u64) -> String {
    let second = duration_ns as f64 / 1e9;
    let lost = "calls in flight, own cost and whatever came later are missing";
    match stopped {
        None => format!("the recording was not finished: it ends at second {second:.1}; {lost}"),
        Some(why) => format!(
            "the last {unread} bytes of the capture are unreadable ({why}): it ends at second {second:.1}; {lost}"
        ),
    }
}

/// The version line; gives its length.
fn version_line(reader: &mut impl Read) -> Result<u64, ReadError> {
    let mut line = Vec::with_capacity(VERSION_LINE_MAX);
    let mut byte = [0];
    while line.len() < VERSION_LINE_MAX && line.last() != Some(&b'\n') && fill(reader, &mut byte)? == 1 {
        line.push(byte[0]);
    }
    if line.is_empty() {
        return Err(ReadError::Empty);
    }
    let text = std::str::from_utf8(&line).map_err(|_| ReadError::NotACapture)?;
    let Some(version) = text.strip_prefix(MAGIC) else {
        return Err(if MAGIC.starts_with(text) {
            ReadError::NothingWhole("it is cut inside its first line".to_owned())
        } else {
            ReadError::NotACapture
        });
    };
    let Some(digits) = version.strip_suffix('\n') else {
        return Err(ReadError::NothingWhole("it is cut inside its first line".to_owned()));
    };
    match digits.parse::<u64>() {
        Ok(found) if found > u64::from(VERSION) => Err(ReadError::Newer(found)),
        // Older ones lack fields that have a default.
        Ok(found) if found >= 1 => Ok(line.len() as u64),
        _ => Err(ReadError::NotACapture),
    }
}

/// Whether a chunk may come here, and whether it is the last.
fn order(chunk: Option<&Chunk>, begun: bool) -> Result<bool, String> {
    match chunk {
        Some(Chunk::Header(_)) if begun => Err("a second header".to_owned()),
        Some(Chunk::Header(_)) => Ok(false),
        _ if !begun => Err("it does not begin with a header".to_owned()),
        other => Ok(matches!(other, Some(Chunk::End(_)))),
    }
}

/// Chunks of types that this version does not know; told once, when reading ends.
#[derive(Default)]
struct Unknown {
    chunks: u64,
    first: Option<[u8; 4]>,
}

impl Unknown {
    fn note(&mut self, tag: [u8; 4]) {
        self.chunks += 1;
        self.first.get_or_insert(tag);
    }
}

impl Drop for Unknown {
    fn drop(&mut self) {
        if let Some(tag) = self.first {
            tracing::warn!(
                "the capture holds {} chunks of types that this version does not know, the first of type \"{}\"; they are skipped",
                self.chunks,
                tag.escape_ascii()
            );
        }
    }
}

/// The next chunk with its length in the file; no chunk for types this version does not know;
/// `Ok(None)` at the end of the file.
fn next(
    reader: &mut impl Read,
    budget: &mut Budget,
    unknown: &mut Unknown,
) -> Result<Option<(Option<Chunk>, u64)>, String> {
    let mut bytes = [0; HEAD_LEN];
    match fill(reader, &mut bytes).map_err(|error| error.to_string())? {
        0 => return Ok(None),
        HEAD_LEN => {}
        _ => return Err("cut inside the head of a chunk".to_owned()),
    }
    let head = ChunkHead::from_bytes(&bytes).ok_or("the head of a chunk is damaged")?;
    let mut packed = Vec::new();
    reader.take(u64::from(head.packed_len)).read_to_end(&mut packed).map_err(|error| error.to_string())?;
    if packed.len() < head.packed_len as usize {
        return Err("cut inside a chunk".to_owned());
    }
    if crc32fast::hash(&packed) != head.crc {
        return Err("the checksum of a chunk is wrong".to_owned());
    }
    let length = (HEAD_LEN + packed.len()) as u64;
    if !format::known(head.tag) {
        unknown.note(head.tag);
        return Ok(Some((None, length)));
    }
    let chunk = unpack(head, packed)?;
    budget.spend(&chunk, head.raw_len)?;
    Ok(Some((Some(chunk), length)))
}

/// Inflates and decodes a payload, which is dropped as soon as it is inflated.
fn unpack(head: ChunkHead, packed: Vec<u8>) -> Result<Chunk, String> {
    let mut raw = Vec::new();
    let limit = u64::from(head.raw_len) + 1;
    DeflateDecoder::new(packed.as_slice())
        .take(limit)
        .read_to_end(&mut raw)
        .map_err(|error| format!("a chunk does not inflate: {error}"))?;
    drop(packed);
    if raw.len() != head.raw_len as usize {
        return Err("a chunk is not as long as it says".to_owned());
    }
    let weight = scan::weigh(&raw).map_err(|why| format!("a chunk is malformed: {why}"))?;
    if weight > CHUNK_MEMORY_MAX || (head.tag == *b"HEAD" && raw.len() > HEADER_MAX) {
        return Err("a chunk needs more memory than any this version reads".to_owned());
    }
    let chunk: Chunk =
        ciborium::from_reader(raw.as_slice()).map_err(|error| format!("a chunk does not decode: {error}"))?;
    if format::tag(&chunk) != head.tag {
        return Err("a chunk is not of the type it says".to_owned());
    }
    Ok(chunk)
}

/// Reads until `buffer` is full or the end is reached; gives the bytes read.
fn fill(reader: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match reader.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(bytes) => filled += bytes,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

/// Opens a regular file, never waiting on a FIFO or touching a device.
fn open(path: &Path) -> Result<(File, PathBuf), Failure> {
    let missing = |path: &Path, error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => {
            Failure::Usage(format!("{}: there is no such file or directory", path.display()))
        }
        _ => Failure::Runtime(anyhow::anyhow!("cannot read {}: {error}", path.display())),
    };
    let kind = std::fs::metadata(path).map_err(|error| missing(path, error))?;
    let path = if kind.is_dir() { inside(path)? } else { path.to_path_buf() };
    let odd = || {
        Failure::Usage(format!(
            "{}: not a regular file; give a capture, or the directory that holds one",
            path.display()
        ))
    };
    if !std::fs::metadata(&path).map_err(|error| missing(&path, error))?.is_file() {
        return Err(odd());
    }
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file = File::from(
        rustix::fs::open(&path, flags, Mode::empty()).map_err(|error| missing(&path, error.into()))?,
    );
    // Once more on what was really opened: the path may have changed in between.
    let regular = file.metadata().map_err(|error| missing(&path, error))?.is_file();
    if regular { Ok((file, path)) } else { Err(odd()) }
}

/// The capture in a directory.
fn inside(directory: &Path) -> Result<PathBuf, Failure> {
    for path in [FINISHED, PARTIAL].map(|name| directory.join(name)) {
        match path.symlink_metadata() {
            Ok(_) => return Ok(path),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => {
                return Err(anyhow::anyhow!("cannot look into {}: {error}", directory.display()).into());
            }
        }
    }
    Err(Failure::Usage(format!(
        "{}: this directory holds no {FINISHED} or {PARTIAL}; give the directory of `profiler record -o`",
        directory.display()
    )))
}
