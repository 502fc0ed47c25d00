//! Writes a capture while the session runs.
//!
//! In: a directory, then chunks. Out: `capture.partial`, which holds whole chunks at any time, and
//! at the end `capture.profiler`. Each chunk is handed to the kernel in one write: a killed
//! profiler loses what it had not yet appended, never more.

use std::fs::File;
use std::io::{self, BufWriter, Seek, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use flate2::Compression;
use flate2::write::DeflateEncoder;
use rustix::fs::{AtFlags, Mode, OFlags, RenameFlags};
use rustix::io::Errno;

use super::Directory;
use super::format::{self, ChunkHead, FINISHED, HEAD_LEN, PARTIAL, RAW_MAX};
use crate::failure::Failure;
use crate::profile::Chunk;

/// A capture in the making.
#[derive(Debug)]
pub struct Writer {
    directory: Directory,
    file: File,
    /// End of the last whole chunk, bytes.
    whole: u64,
    /// A chunk could not be written: ids of what follows go on from it, so nothing may follow.
    broken: bool,
}

impl Writer {
    /// As [`Self::create_in`], in a directory that is made (mode 0700) if it is missing.
    ///
    /// # Errors
    /// Also the errors of [`Directory::open`].
    pub fn create(directory: &Path) -> Result<Self, Failure> {
        Self::create_in(&Directory::open(directory)?)
    }

    /// Creates `capture.partial` (mode 0600).
    ///
    /// # Errors
    /// `Usage` when the directory already holds a capture, `Runtime` when it cannot be written.
    pub fn create_in(directory: &Directory) -> Result<Self, Failure> {
        let (opened, path) = (directory.file(), directory.path());
        refuse_if_taken(opened, path)?;
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::RDWR | OFlags::CLOEXEC;
        let file = match rustix::fs::openat(opened, PARTIAL, flags, Mode::RUSR | Mode::WUSR) {
            Err(Errno::EXIST) => return Err(taken(path, PARTIAL)),
            other => other.with_context(|| format!("cannot write {}", path.join(PARTIAL).display()))?,
        };
        let directory = directory.try_clone()?;
        let mut writer = Self { directory, file: File::from(file), whole: 0, broken: false };
        writer.put(format!("{}{}\n", format::MAGIC, format::VERSION).as_bytes())?;
        Ok(writer)
    }

    /// Appends one chunk and hands it to the kernel.
    ///
    /// # Errors
    /// The disk is full, or the chunk is larger than a reader accepts; the capture stays as it was, and partial:
    /// from now on nothing is appended.
    pub fn append(&mut self, chunk: &Chunk) -> anyhow::Result<()> {
        self.refuse_if_broken()?;
        let written = pack(chunk).and_then(|bytes| self.put(&bytes));
        self.broken = written.is_err();
        written
    }

    fn refuse_if_broken(&self) -> anyhow::Result<()> {
        if self.broken {
            bail!("{}: an earlier write failed, so it stays partial", self.partial().display());
        }
        Ok(())
    }

    fn partial(&self) -> PathBuf {
        self.directory.path().join(PARTIAL)
    }

    /// Bytes written so far.
    pub fn bytes(&self) -> u64 {
        self.whole
    }

    /// Makes the capture durable and gives it its final name, which is returned.
    ///
    /// # Errors
    /// The disk failed, now or before; `capture.partial` stays, and can be read.
    pub fn finish(self) -> anyhow::Result<PathBuf> {
        self.refuse_if_broken()?;
        let finished = self.directory.path().join(FINISHED);
        let attempt = || -> io::Result<()> {
            self.file.sync_all()?;
            let dir = self.directory.file();
            match rustix::fs::renameat_with(dir, PARTIAL, dir, FINISHED, RenameFlags::NOREPLACE) {
                // File systems without the flag; nobody else can have made a capture here meanwhile.
                Err(Errno::INVAL | Errno::NOSYS) => rustix::fs::renameat(dir, PARTIAL, dir, FINISHED)?,
                other => other?,
            }
            // Some file systems cannot sync a directory; the file itself is safe already.
            let _ = dir.sync_all();
            Ok(())
        };
        attempt().with_context(|| format!("cannot finish {}", finished.display()))?;
        Ok(finished)
    }

    /// Removes the capture: for a session that failed before it measured anything, so that the
    /// next one finds the directory free.
    ///
    /// # Errors
    /// The file cannot be removed.
    pub fn discard(self) -> anyhow::Result<()> {
        rustix::fs::unlinkat(self.directory.file(), PARTIAL, AtFlags::empty())
            .with_context(|| format!("cannot remove {}", self.partial().display()))
    }

    fn put(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        let written = self.file.write_all(bytes);
        if written.is_err() {
            // Take the cut chunk back. Should that fail too, a reader still stops before it.
            let _ = self.file.set_len(self.whole);
            let _ = self.file.seek(io::SeekFrom::Start(self.whole));
        }
        written.with_context(|| format!("cannot write {}", self.partial().display()))?;
        self.whole += bytes.len() as u64;
        Ok(())
    }
}

fn refuse_if_taken(directory: &File, path: &Path) -> Result<(), Failure> {
    for name in [FINISHED, PARTIAL] {
        match rustix::fs::statat(directory, name, AtFlags::SYMLINK_NOFOLLOW) {
            Err(Errno::NOENT) => {}
            Ok(_) => return Err(taken(path, name)),
            Err(error) => {
                return Err(anyhow::Error::new(error)
                    .context(format!("cannot read {}", path.display()))
                    .into());
            }
        }
    }
    Ok(())
}

fn taken(directory: &Path, name: &str) -> Failure {
    let whose = if name == PARTIAL {
        "of a recording that still runs or was killed"
    } else {
        "of an earlier recording"
    };
    Failure::Usage(format!(
        "--output {0}: it already holds {name}, {whose}; choose another directory, or read that one \
         with `profiler report {0}` and remove it",
        directory.display()
    ))
}

/// Head and payload of a chunk, ready to be written in one go.
fn pack(chunk: &Chunk) -> anyhow::Result<Vec<u8>> {
    // A drain happens once a second beside the workload being measured: fast beats small.
    let deflate = DeflateEncoder::new(vec![0; HEAD_LEN], Compression::fast());
    let mut counted = BufWriter::with_capacity(1 << 16, Counting { inner: deflate, bytes: 0 });
    ciborium::into_writer(chunk, &mut counted).context("cannot encode a chunk of the capture")?;
    let counted = counted.into_inner().map_err(|error| error.into_error())?;
    let raw = counted.bytes;
    let mut packed = counted.inner.finish()?;
    let payload = packed.get(HEAD_LEN..).unwrap_or_default();
    let (Ok(raw_len), Ok(packed_len)) = (u32::try_from(raw), u32::try_from(payload.len())) else {
        bail!("a chunk of the capture takes {raw} bytes, more than a capture can hold");
    };
    if raw_len > RAW_MAX || packed_len > format::PACKED_MAX {
        bail!("a chunk of the capture takes {raw_len} bytes, over the limit of {RAW_MAX}");
    }
    let head = ChunkHead { tag: format::tag(chunk), raw_len, packed_len, crc: crc32fast::hash(payload) };
    packed[..HEAD_LEN].copy_from_slice(&head.to_bytes());
    Ok(packed)
}

/// Counts what passes through.
struct Counting<W> {
    inner: W,
    bytes: u64,
}

impl<W: Write> Write for Counting<W> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(buffer)?;
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}
