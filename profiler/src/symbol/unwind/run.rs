//! Unwinding in a confined child.
//!
//! In: a batch of copies. Out: one [`Unwound`] for each. A file whose tables kill or stall the child is not read again; the
//! copies after it are unwound by another child.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use rustix::mm::{MapFlags, ProtFlags, mmap, mmap_anonymous, munmap};

use super::image::Image;
use super::walk::{Code, Go, Place, Unwound, walk};
use crate::profile::Pid;
use crate::profile::stack::{Cut, ModuleId, StackId};
use crate::profile::stack_copy::StackCopy;
use crate::symbol::limits::Limits;
use crate::symbol::pin::Executables;
use crate::symbol::process::{AddressSpace, Backing};
use crate::symbol::vdso;
use crate::symbol::worker::Child;

/// A batch may take this long; it is a second's worth of copies.
const TOTAL: Duration = Duration::from_secs(4);
/// Without an answer for this long, the file being read is given up.
const STALL: Duration = Duration::from_secs(2);
/// Memory that the child may take: rows of tables, which are dropped when they are many.
const MEMORY: u64 = 256 << 20;
/// Bytes of a file that are mapped.
const FILE_BYTES: u64 = 4 << 30;
/// The vDSO among the files.
const VDSO: u32 = u32::MAX - 1;
/// No file.
const NONE: u32 = u32::MAX;
/// Answers that are sent together.
const TOGETHER: usize = 64;
/// Positions of one answer.
const POSITIONS: usize = 512;

/// Copies and what it takes to unwind them.
pub struct Batch<'a> {
    /// The copies.
    pub copies: &'a [StackCopy],
    /// The kernel's walks by frame pointers.
    pub lists: &'a HashMap<StackId, Box<[u64]>>,
    /// Where the code of each process is.
    pub spaces: &'a HashMap<Pid, AddressSpace>,
    /// The files with that code.
    pub executables: &'a Executables,
}

/// What is known from one batch to the next.
#[derive(Debug)]
pub struct Unwinder {
    /// Files that broke their reader.
    broken: HashSet<u32>,
    /// What all files together may still be silent: a file system may not answer.
    silence: Duration,
    vdso: Option<File>,
    mark: Option<Mark>,
}

impl Unwinder {
    /// No file is known to be broken.
    pub fn new() -> Self {
        let silence = Limits::default().silence;
        Self { broken: HashSet::new(), silence, vdso: vdso::image().ok(), mark: Mark::new().ok() }
    }

    /// Unwinds a batch.
    pub fn run(&mut self, batch: &Batch<'_>) -> Vec<Unwound> {
        let mut answers = Vec::with_capacity(batch.copies.len());
        let deadline = Instant::now() + TOTAL;
        while answers.len() < batch.copies.len() && Instant::now() < deadline {
            let done = self.pass(batch, &mut answers, deadline);
            if !done && answers.len() < batch.copies.len() && Instant::now() < deadline {
                self.give_up(batch, &mut answers);
            }
        }
        while let Some(copy) = batch.copies.get(answers.len()) {
            answers.push(only_leaf(copy, Cut::NotReached));
        }
        answers
    }

    /// One child; whether it came to the end.
    fn pass(&mut self, batch: &Batch<'_>, answers: &mut Vec<Unwound>, deadline: Instant) -> bool {
        let limits = Limits { memory_bytes: MEMORY, stall: STALL, ..Limits::default() };
        let first = answers.len();
        if let Some(mark) = &self.mark {
            mark.set(NONE);
        }
        let work = |line: &mut UnixStream| self.serve(batch, first, line);
        let started = Child::start(&self.files(batch, first), &limits, (deadline, self.silence), work);
        let Ok(mut child) = started else { return false };
        while answers.len() < batch.copies.len()
            && let Some(answer) = read(&mut child)
        {
            answers.push(answer);
        }
        let left = child.silence;
        drop(child);
        self.silence = left;
        answers.len() == batch.copies.len()
    }

    /// The child died or fell silent: the file that it read is not read again; without one, the copy is given up.
    fn give_up(&mut self, batch: &Batch<'_>, answers: &mut Vec<Unwound>) {
        let file = self.mark.as_ref().map_or(NONE, Mark::get);
        if file == NONE || !self.broken.insert(file) {
            answers.extend(batch.copies.get(answers.len()).map(|copy| only_leaf(copy, Cut::NotReached)));
        }
    }

    /// What the child does.
    fn serve(&self, batch: &Batch<'_>, first: usize, line: &mut UnixStream) -> io::Result<()> {
        let mut pipe = BufWriter::with_capacity(32 << 10, line);
        let mut images = Images { unwinder: self, batch, open: HashMap::new() };
        for (index, copy) in batch.copies.get(first..).unwrap_or_default().iter().enumerate() {
            let list = batch.lists.get(&copy.list).map_or(&[][..], |list| list);
            let unwound = match batch.spaces.get(&copy.pid) {
                Some(space) if !space.is_missing() => {
                    walk(&mut ProcessCode { space, images: &mut images }, copy, list)
                }
                _ => only_leaf(copy, Cut::ProcessGone),
            };
            if let Some(mark) = &self.mark {
                mark.set(NONE);
            }
            write(&mut pipe, &unwound)?;
            if index % TOGETHER == 0 {
                pipe.flush()?;
            }
        }
        pipe.flush()
    }

    /// The places of all files that the copies' processes map.
    fn files(&self, batch: &Batch<'_>, first: usize) -> Vec<RawFd> {
        let pids: HashSet<Pid> = batch.copies.iter().skip(first).map(|copy| copy.pid).collect();
        let spaces = pids.iter().filter_map(|pid| batch.spaces.get(pid));
        let modules: HashSet<ModuleId> = spaces.flat_map(AddressSpace::modules).collect();
        let files = modules.iter().filter_map(|module| batch.executables.file(*module).ok());
        files.map(|(file, _)| file).chain(self.vdso.as_ref().map(AsRawFd::as_raw_fd)).collect()
    }

    fn file(&self, batch: &Batch<'_>, key: u32) -> Option<RawFd> {
        match key {
            VDSO => self.vdso.as_ref().map(AsRawFd::as_raw_fd),
            module => batch.executables.file(ModuleId(module)).ok().map(|(file, _)| file),
        }
    }
}

fn only_leaf(copy: &StackCopy, cut: Cut) -> Unwound {
    Unwound {
        positions: vec![copy.ip().wrapping_sub(u64::from(copy.in_call))],
        cut: Some(cut),
        top: 0,
        words: Vec::new(),
    }
}

fn write(pipe: &mut impl Write, unwound: &Unwound) -> io::Result<()> {
    let positions = unwound.positions.get(..POSITIONS).unwrap_or(&unwound.positions);
    let cut = unwound.cut.and_then(|cut| Cut::ALL.iter().position(|known| *known == cut));
    pipe.write_all(&(positions.len() as u16).to_le_bytes())?;
    pipe.write_all(&[cut.map_or(u8::MAX, |cut| cut as u8)])?;
    pipe.write_all(&unwound.top.to_le_bytes())?;
    pipe.write_all(&(unwound.words.len() as u16).to_le_bytes())?;
    positions.iter().try_for_each(|position| pipe.write_all(&position.to_le_bytes()))?;
    unwound.words.iter().try_for_each(|word| pipe.write_all(&word.to_le_bytes()))
}

fn read(child: &mut Child) -> Option<Unwound> {
    let count = usize::from(u16::from_le_bytes(child.bytes()?));
    let [cut] = child.bytes()?;
    let top = u64::from_le_bytes(child.bytes()?);
    let cut = Cut::ALL.get(usize::from(cut)).copied();
    let words = usize::from(u16::from_le_bytes(child.bytes()?));
    let positions =
        (0..count.min(POSITIONS)).map(|_| child.bytes().map(u64::from_le_bytes)).collect::<Option<_>>()?;
    let words =
        (0..words.min(POSITIONS)).map(|_| child.bytes().map(u16::from_le_bytes)).collect::<Option<_>>()?;
    Some(Unwound { positions, cut, top, words })
}

/// The files that the child has open.
struct Images<'a> {
    unwinder: &'a Unwinder,
    batch: &'a Batch<'a>,
    open: HashMap<u32, Option<Image<'static>>>,
}

impl Images<'_> {
    /// The image of a file; the parent is told which one is read.
    fn get(&mut self, key: u32) -> Option<&mut Image<'static>> {
        if let Some(mark) = &self.unwinder.mark {
            mark.set(key);
        }
        let (unwinder, batch) = (self.unwinder, self.batch);
        let open = || {
            let file = unwinder.file(batch, key).filter(|_| !unwinder.broken.contains(&key))?;
            Image::parse(map(file)?)
        };
        self.open.entry(key).or_insert_with(open).as_mut()
    }
}

/// Maps a file for good: the child that does so ends soon. If the file shrinks, the child dies, which is seen.
fn map(place: RawFd) -> Option<&'static [u8]> {
    let file = &File::open(format!("/proc/self/fd/{place}")).ok()?;
    let length = rustix::fs::fstat(file).ok().map(|stat| stat.st_size as u64)?;
    let length = usize::try_from(length.min(FILE_BYTES)).ok().filter(|length| *length > 0)?;
    // SAFETY: a new private mapping of that length, which is never unmapped.
    unsafe {
        let address = mmap(std::ptr::null_mut(), length, ProtFlags::READ, MapFlags::PRIVATE, file, 0).ok()?;
        Some(std::slice::from_raw_parts(address.cast(), length))
    }
}

/// The code of one process.
struct ProcessCode<'a, 'b> {
    space: &'a AddressSpace,
    images: &'a mut Images<'b>,
}

impl ProcessCode<'_, '_> {
    /// The file at an address, and the offset in it.
    fn find(&self, address: u64) -> Option<(Option<u32>, u64)> {
        let region = self.space.find(address)?;
        let key = match region.backing {
            Backing::Module(module) => Some(module.0),
            Backing::Vdso => Some(VDSO),
            Backing::Anonymous => None,
        };
        Some((key, region.place(address)))
    }
}

impl Code for ProcessCode<'_, '_> {
    fn place(&mut self, address: u64) -> Place {
        let Some((key, offset)) = self.find(address) else { return Place::Nowhere };
        let Some(key) = key else { return Place::Uncovered };
        let Some(image) = self.images.get(key) else { return Place::Unreadable };
        image.row(offset).map_or(Place::Uncovered, Place::Covered)
    }

    fn bytes(&mut self, address: u64, length: usize) -> Option<&[u8]> {
        let (key, offset) = self.find(address)?;
        self.images.get(key?)?.bytes(offset, length)
    }

    fn go(&mut self, address: u64) -> Option<Go> {
        let (key, offset) = self.find(address)?;
        self.images.get(key?)?.go(offset)
    }
}

/// A word that the child writes and its parent reads, also when the child is dead: which file it reads.
#[derive(Debug)]
struct Mark(*mut AtomicU32);

// SAFETY: the word is shared memory, and accessed atomically.
unsafe impl Send for Mark {}

impl Mark {
    fn new() -> io::Result<Self> {
        let access = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: a new mapping, zeroed and as aligned as a page.
        let address = unsafe {
            mmap_anonymous(std::ptr::null_mut(), size_of::<AtomicU32>(), access, MapFlags::SHARED)?
        };
        Ok(Self(address.cast()))
    }

    fn set(&self, file: u32) {
        // SAFETY: mapped as long as `self` lives.
        unsafe { &*self.0 }.store(file, Ordering::Relaxed);
    }

    fn get(&self) -> u32 {
        // SAFETY: as above.
        unsafe { &*self.0 }.load(Ordering::Relaxed)
    }
}

impl Drop for Mark {
    fn drop(&mut self) {
        // SAFETY: made by `new`; nothing refers to it any more. A failure leaves it mapped.
        let _ = unsafe { munmap(self.0.cast(), size_of::<AtomicU32>()) };
    }
}
