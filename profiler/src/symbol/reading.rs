//! The work of the child that reads foreign files.
//!
//! In: jobs. Out: answers to the parent: names, or that there is none; a mark after each job.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsRawFd, RawFd};
use std::path::{Path, PathBuf};

use super::build_id::read_build_id;
use super::confined::openable;
use super::debug_file;
use super::elf::ElfNames;
use super::golang::GoNames;
use super::headers::Elf;
use super::job::{Job, Source};
use super::limits::Limits;
use super::open;
use super::plain::plain;
use crate::profile::stack::Segment;

/// Offsets asked at once: an answer within the stall limit, however many there are.
const BATCH: usize = 256;

/// Answers all jobs.
pub fn serve(jobs: &[Job], limits: &Limits, line: &mut impl Write) -> io::Result<()> {
    let mut pipe = io::BufWriter::with_capacity(16 << 10, line);
    for job in jobs {
        openable(debug_file::OPEN + 1)?;
        let opened = Opened::of(job, limits);
        openable(1)?;
        match opened {
            Some(mut opened) => answer(job, &mut opened, &mut pipe)?,
            // That this machine has no debug file is no answer.
            None if matches!(job.source, Source::Host(_)) => {}
            None => (0..job.offsets.len()).try_for_each(|index| write_answer(&mut pipe, index, None))?,
        }
        pipe.write_all(&[b'.', 0, 0, 0, 0, 0])?;
        pipe.flush()?;
    }
    Ok(())
}

fn answer(job: &Job, opened: &mut Opened, pipe: &mut impl Write) -> io::Result<()> {
    let left = answer_go(job, opened, pipe)?;
    let mut names = None;
    let mut plain = !opened.dwarf;
    for batch in left.chunks(BATCH) {
        let offsets: Vec<u64> = batch.iter().filter_map(|index| job.offsets.get(*index).copied()).collect();
        let reader = names.get_or_insert_with(|| ElfNames::new(&opened.path, opened.dwarf));
        let mut found = opened.find(reader, &offsets);
        if found.is_none() && !plain {
            // Debug information that cannot be read (or links elsewhere) leaves the symbol
            // table. The first reader goes before the second comes: one file may be open.
            drop(names.take());
            plain = true;
            found = opened.find(names.insert(ElfNames::new(&opened.path, false)), &offsets);
        }
        for (at, index) in batch.iter().enumerate() {
            let functions = found.as_ref().map(|found| found.get(at).map_or(&[][..], Vec::as_slice));
            write_answer(pipe, *index, functions)?;
        }
        pipe.flush()?;
    }
    Ok(())
}

/// Answers what is Go code, by Go's own table; which offsets are left. It is told before another reader is asked, which may
/// die of the same file.
fn answer_go(job: &Job, opened: &mut Opened, pipe: &mut impl Write) -> io::Result<Vec<usize>> {
    let Some(mut golang) = opened.golang.take() else { return Ok((0..job.offsets.len()).collect()) };
    let mut left = Vec::new();
    for (index, offset) in job.offsets.iter().enumerate() {
        let address = Segment::address_of(&golang.segments, *offset);
        let functions = address.map(|address| golang.names.names(address)).unwrap_or_default();
        if functions.is_empty() {
            left.push(index);
        } else {
            write_answer(pipe, index, Some(&functions))?;
        }
        if index % BATCH == BATCH - 1 {
            pipe.flush()?;
        }
    }
    pipe.flush()?;
    Ok(left)
}

/// The Go code of a file, and where the offsets in it are linked.
struct Golang {
    names: GoNames<File>,
    segments: Vec<Segment>,
}

impl Golang {
    fn of(job: &Job, file: File, segments: Option<Vec<Segment>>) -> Option<Self> {
        if !job.golang {
            return None;
        }
        let segments = segments.or_else(|| Some(Elf::open(&file)?.code()))?;
        Some(Self { names: GoNames::open(file)?, segments })
    }
}

/// The file that names a job's offsets.
struct Opened {
    /// What is read.
    path: PathBuf,
    /// Where the offsets are linked, if this is not the file that they are in.
    segments: Option<Vec<Segment>>,
    dwarf: bool,
    /// Its Go code, if it has some.
    golang: Option<Golang>,
    /// Held open: what `path` means.
    _file: Option<File>,
}

impl Opened {
    fn of(job: &Job, limits: &Limits) -> Option<Self> {
        let own = place(job.file);
        match &job.source {
            Source::Itself(_) => {
                let file = File::open(&own).ok()?;
                let plain = plain(&file, job.dwarf);
                let path = plain.as_ref().map_or(own, |plain| place(plain.as_raw_fd()));
                let golang = Golang::of(job, file, None);
                Some(Self { path, segments: None, dwarf: job.dwarf, golang, _file: plain })
            }
            Source::Host(path) => {
                let (file, segments) = debug_file::find(&File::open(&own).ok()?, path, &limits.debug_dir)?;
                Some(Self::other(job, file, segments, limits))
            }
            Source::Given { path, build_id, segments } => {
                let file = open::inside(&open::directory(&own).ok()?, path).ok()?;
                let same = read_build_id(&file).is_some_and(|id| id == *build_id);
                same.then(|| Self::other(job, file, segments.clone(), limits))
            }
        }
    }

    /// Another file of the same build.
    fn other(job: &Job, file: File, segments: Vec<Segment>, limits: &Limits) -> Self {
        let dwarf = job.dwarf && file.metadata().is_ok_and(|metadata| metadata.len() <= limits.dwarf_bytes);
        let golang = file.try_clone().ok().and_then(|file| Golang::of(job, file, Some(segments.clone())));
        let file = plain(&file, dwarf).unwrap_or(file);
        Self { path: place(file.as_raw_fd()), segments: Some(segments), dwarf, golang, _file: Some(file) }
    }

    fn find(&self, names: &ElfNames, offsets: &[u64]) -> Option<Vec<Vec<String>>> {
        let Some(segments) = &self.segments else { return names.find(offsets) };
        let addresses: Vec<_> = offsets.iter().map(|offset| Segment::address_of(segments, *offset)).collect();
        let known: Vec<u64> = addresses.iter().flatten().copied().collect();
        let mut found = names.find_linked(&known)?.into_iter();
        let named = |address: &Option<u64>| address.and_then(|_| found.next()).unwrap_or_default();
        Some(addresses.iter().map(named).collect())
    }
}

fn place(file: RawFd) -> PathBuf {
    Path::new("/proc/self/fd").join(file.to_string())
}

fn write_answer(pipe: &mut impl Write, at: usize, functions: Option<&[String]>) -> io::Result<()> {
    let kind = match functions {
        None => b'!',
        Some([]) => b'?',
        Some(_) => b'=',
    };
    let functions = functions.unwrap_or_default();
    pipe.write_all(&[kind, functions.len() as u8])?;
    pipe.write_all(&(at as u32).to_le_bytes())?;
    for name in functions {
        pipe.write_all(&(name.len() as u16).to_le_bytes())?;
        pipe.write_all(name.as_bytes())?;
    }
    Ok(())
}
