//! Looks at processes' mappings and files, through a child that may hang on them.
//!
//! In: a process; a mapping of it. Out: its mappings; a file's place and what names need to know of it; names of a perf map.
//! The process that drains opens, stats and reads none of these itself. It holds files by their place only (`O_PATH`): to let
//! go of an open file may ask the file's server, too.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::{self, IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::fs::{OFlags, major, minor};
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, recvmsg, sendmsg,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::build_id::read_build_id;
use super::headers::{Elf, is_elf};
use super::maps::{self, Mapping};
use super::open;
use super::perf_map::PerfMapPlace;
use crate::machine::child::{self, Child, Waited};
use crate::profile::Pid;
use crate::profile::stack::Segment;

/// An answer takes no longer than this, however much the child works on it.
const LONGEST: Duration = Duration::from_secs(2);
/// The same where a perf map is parsed, which may be long.
const LONGEST_NAMES: Duration = Duration::from_secs(10);
/// Bytes of an answer at most; the mappings of a process are the longest.
const ANSWER_BYTES: usize = 64 << 20;

/// What is asked.
#[derive(Debug, Serialize, Deserialize)]
enum Ask {
    /// The mappings of a process.
    Maps(u32),
    /// The file behind a mapping of it.
    Open(u32, Mapping),
    /// Where its perf map is or will be, to be held.
    Hold(u32),
    /// The names of addresses in the perf map of a process that is held.
    Names(u32, Vec<u64>),
    /// No more of it.
    Release(u32),
}

/// A file as it was seen when it was opened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// Device of its file system, (major, minor).
    pub device: (u32, u32),
    /// Its length.
    pub bytes: u64,
    /// It begins as an ELF image does.
    pub elf: bool,
    /// Its build-id in hex; empty: none.
    pub build_id: String,
    /// Its segments of code.
    pub segments: Vec<Segment>,
    /// Go made it.
    pub of_go: bool,
}

/// Asks the child, which is started when it is needed, and anew when it is lost.
#[derive(Debug, Default)]
pub struct Looker {
    child: Option<Child>,
    /// Perf maps that the child holds, with the device of their processes' roots.
    held: HashMap<Pid, (u32, u32)>,
    /// Processes whose perf maps did not answer: they are not asked for again.
    silent: HashSet<Pid>,
}

impl Looker {
    /// The executable mappings of a process.
    ///
    /// # Errors
    /// The process is gone, not ours to look at, or does not answer (`TimedOut`).
    pub fn maps(&mut self, pid: Pid) -> io::Result<Vec<Mapping>> {
        Ok(self.ask::<Vec<Mapping>>(&Ask::Maps(pid.0))?.0)
    }

    /// The file behind a mapping, held by its place.
    ///
    /// # Errors
    /// It cannot be opened, or does not answer (`TimedOut`).
    pub fn open(&mut self, pid: Pid, mapping: &Mapping) -> io::Result<(OwnedFd, Seen)> {
        let (seen, place) = self.ask(&Ask::Open(pid.0, mapping.clone()))?;
        // The descriptor did not fit into this process's limit.
        let place = place.ok_or_else(|| io::Error::from_raw_os_error(libc::EMFILE))?;
        Ok((place, seen))
    }

    /// Holds the place of a process's perf map, which may be written later; the device of the process's root, or none.
    pub fn hold(&mut self, pid: Pid) -> Option<(u32, u32)> {
        if !self.held.contains_key(&pid) && !self.silent.contains(&pid) {
            let device = self.ask_of(pid, &Ask::Hold(pid.0))?;
            self.held.insert(pid, device);
        }
        self.held.get(&pid).copied()
    }

    /// What the perf map of a process says of addresses now.
    pub fn names(&mut self, pid: Pid, addresses: &[u64]) -> Vec<Option<String>> {
        // Held once more if the child that held it was lost.
        let held = !addresses.is_empty() && self.hold(pid).is_some();
        let told = if held { self.ask_of(pid, &Ask::Names(pid.0, addresses.to_vec())) } else { None };
        told.unwrap_or_else(|| vec![None; addresses.len()])
    }

    /// Lets go of a perf map.
    pub fn release(&mut self, pid: Pid) {
        if self.held.remove(&pid).is_some() {
            let _: Option<()> = self.ask_of(pid, &Ask::Release(pid.0));
        }
    }

    /// Asks about a perf map; a process whose does not answer is not asked about again.
    fn ask_of<T: DeserializeOwned>(&mut self, pid: Pid, ask: &Ask) -> Option<T> {
        match self.ask(ask) {
            Ok((told, _)) => Some(told),
            Err(error) => {
                if error.kind() == io::ErrorKind::TimedOut {
                    self.silent.insert(pid);
                }
                None
            }
        }
    }

    fn ask<T: DeserializeOwned>(&mut self, ask: &Ask) -> io::Result<(T, Option<OwnedFd>)> {
        if self.child.is_none() {
            self.child = Some(Child::start(&[], serve)?);
        }
        let told = self.exchange(ask);
        if told.is_err() {
            // Whatever it does now, its next answer would not be to the next question.
            self.child = None;
            self.held.clear();
        }
        let (bytes, place) = told?;
        let told: Result<T, i32> = ciborium::from_reader(bytes.as_slice()).map_err(io::Error::other)?;
        told.map(|told| (told, place)).map_err(io::Error::from_raw_os_error)
    }

    fn exchange(&mut self, ask: &Ask) -> io::Result<(Vec<u8>, Option<OwnedFd>)> {
        let lost = || io::Error::from(io::ErrorKind::TimedOut);
        let child = self.child.as_mut().ok_or_else(lost)?;
        child.line.write_all(&framed(ask)?)?;
        let longest = if matches!(ask, Ask::Names(..)) { LONGEST_NAMES } else { LONGEST };
        let until = Instant::now() + longest;
        let (mut read, mut place) = (Vec::new(), None);
        loop {
            if let Some(length) = read.first_chunk::<4>().map(|length| u32::from_le_bytes(*length) as usize) {
                if length > ANSWER_BYTES {
                    return Err(lost());
                }
                if read.len() >= 4 + length {
                    read.drain(..4);
                    return Ok((read, place));
                }
            }
            if child.wait(child::PATIENCE, until) != Waited::Ready
                || !receive(&child.line, &mut read, &mut place)?
            {
                return Err(lost());
            }
        }
    }
}

fn framed(what: &impl Serialize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; 4];
    ciborium::into_writer(what, &mut bytes).map_err(io::Error::other)?;
    let length = (bytes.len() - 4) as u32;
    bytes.splice(..4, length.to_le_bytes());
    Ok(bytes)
}

/// Takes what has come, with a descriptor if one came along; false at the end.
fn receive(line: &UnixStream, read: &mut Vec<u8>, place: &mut Option<OwnedFd>) -> io::Result<bool> {
    let (mut chunk, mut space) = ([0; 64 << 10], [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))]);
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let flags = RecvFlags::CMSG_CLOEXEC;
    let message = recvmsg(line.as_fd(), &mut [IoSliceMut::new(&mut chunk)], &mut ancillary, flags)?;
    for came in ancillary.drain() {
        if let RecvAncillaryMessage::ScmRights(descriptors) = came {
            *place = descriptors.into_iter().next();
        }
    }
    read.extend(chunk.get(..message.bytes).unwrap_or_default());
    Ok(message.bytes > 0)
}

/// The child's whole life: question, answer, until there are no more questions.
fn serve(line: &mut UnixStream) -> io::Result<()> {
    let mut held: HashMap<u32, PerfMapPlace> = HashMap::new();
    loop {
        let mut length = [0; 4];
        if line.read_exact(&mut length).is_err() {
            return Ok(());
        }
        let mut bytes = vec![0; u32::from_le_bytes(length) as usize];
        line.read_exact(&mut bytes)?;
        let ask: Ask = ciborium::from_reader(bytes.as_slice()).map_err(io::Error::other)?;
        match ask {
            Ask::Maps(pid) => tell(line, maps::read(Pid(pid)))?,
            Ask::Open(pid, mapping) => match look(Pid(pid), &mapping) {
                Ok((place, seen)) => send(line, &framed(&Ok::<_, i32>(seen))?, &place)?,
                Err(error) => tell::<Seen>(line, Err(error))?,
            },
            Ask::Hold(pid) => {
                let found = PerfMapPlace::of(Pid(pid)).and_then(|place| {
                    let device = place.device()?;
                    held.insert(pid, place);
                    Ok(device)
                });
                tell(line, found)?;
            }
            Ask::Names(pid, addresses) => {
                let map = held.get(&pid).and_then(|place| place.read().ok()).unwrap_or_default();
                let names = addresses.iter().map(|address| map.name(*address).map(str::to_owned));
                tell(line, Ok(names.collect::<Vec<_>>()))?;
            }
            Ask::Release(pid) => {
                held.remove(&pid);
                tell(line, Ok(()))?;
            }
        }
    }
}

fn tell<T: Serialize>(line: &mut UnixStream, what: io::Result<T>) -> io::Result<()> {
    line.write_all(&framed(&what.map_err(|error| error.raw_os_error().unwrap_or(libc::EINVAL)))?)
}

fn send(line: &mut UnixStream, bytes: &[u8], place: &File) -> io::Result<()> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    let places = [place.as_fd()];
    ancillary.push(SendAncillaryMessage::ScmRights(&places));
    let sent = sendmsg(line.as_fd(), &[io::IoSlice::new(bytes)], &mut ancillary, SendFlags::empty())?;
    line.write_all(bytes.get(sent..).unwrap_or_default())
}

/// Opens the file behind a mapping, and looks at it.
fn look(pid: Pid, mapping: &Mapping) -> io::Result<(File, Seen)> {
    let mapped =
        open::mapped(pid, mapping.start, mapping.end).and_then(|place| Ok((open::regular(&place)?, place)));
    let (file, place) =
        mapped.or_else(|error| if open::is_full(&error) { Err(error) } else { by_path(pid, mapping) })?;
    let metadata = file.metadata()?;
    let elf = Elf::open(&file);
    let seen = Seen {
        device: (major(metadata.dev()), minor(metadata.dev())),
        bytes: metadata.len(),
        elf: is_elf(&file),
        build_id: read_build_id(&file).unwrap_or_default(),
        segments: elf.as_ref().map(Elf::code).unwrap_or_default(),
        of_go: elf.is_some_and(|elf| elf.is_of_go()),
    };
    Ok((place, seen))
}

/// The same file by its path, for users who may not look into `map_files`.
fn by_path(pid: Pid, mapping: &Mapping) -> io::Result<(File, File)> {
    let root = open::root(pid)?;
    let place = open::below(&root, Path::new(&mapping.path), OFlags::empty())?;
    let file = open::regular(&place)?;
    let metadata = file.metadata()?;
    let device = (major(metadata.dev()), minor(metadata.dev()));
    // Overlay and btrfs show another (anonymous, major 0) device in maps than in stat.
    let same = metadata.ino() == mapping.inode && (device == mapping.device || mapping.device.0 == 0);
    if same { Ok((file, place)) } else { Err(io::ErrorKind::NotFound.into()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_child_tells_what_this_process_sees_itself() {
        let own = Pid(std::process::id());
        let mut looker = Looker::default();
        let mapping = looker.maps(own).unwrap().into_iter().find(Mapping::has_file).unwrap();
        let (place, seen) = looker.open(own, &mapping).unwrap();
        let file = File::open(format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&place))).unwrap();
        assert_eq!((file.metadata().unwrap().ino(), seen.elf), (mapping.inode, true));
        assert_eq!(Some(seen.build_id), read_build_id(&file));
        assert!(looker.open(own, &Mapping { start: 1, end: 2, inode: 1, ..mapping }).is_err());
        let gone = looker.maps(Pid(u32::MAX >> 1)).unwrap_err();
        assert_eq!(gone.kind(), io::ErrorKind::NotFound);
        assert!(looker.hold(own).is_some(), "also where there is no perf map yet");
        assert_eq!(looker.names(own, &[1, 2]), [None, None]);
        assert_eq!(looker.hold(Pid(u32::MAX >> 1)), None);
    }

    #[test]
    fn a_child_that_is_lost_is_replaced() {
        let own = Pid(std::process::id());
        let mut looker = Looker::default();
        looker.maps(own).unwrap();
        drop(looker.child.take());
        assert!(!looker.maps(own).unwrap().is_empty());
    }
}
