//! A file system whose server stops answering.
//!
//! In: files by name. Out: a FUSE file system that shows them, answers until it is told to be silent, and is
//! gone when the value drops. A request that the server read but does not answer holds the process that made
//! it, and no signal ends that wait.

#![allow(dead_code, clippy::unwrap_used, reason = "as in `live`")]

use std::ffi::CString;
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::AsRawFd as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

/// Requests by their numbers in include/uapi/linux/fuse.h.
const LOOKUP: u32 = 1;
const FORGET: u32 = 2;
const GETATTR: u32 = 3;
const OPEN: u32 = 14;
const READ: u32 = 15;
const STATFS: u32 = 17;
const RELEASE: u32 = 18;
const FLUSH: u32 = 25;
const INIT: u32 = 26;
const OPENDIR: u32 = 27;
const RELEASEDIR: u32 = 29;
const INTERRUPT: u32 = 36;
const BATCH_FORGET: u32 = 42;

/// The root's number; files follow.
const ROOT: u64 = 1;

/// A mounted file system with its server.
pub struct Fuse {
    device: Option<File>,
    state: Arc<State>,
    server: Option<JoinHandle<()>>,
    mounted: Option<PathBuf>,
}

/// What the server is told.
#[derive(Default)]
struct State {
    silent: AtomicBool,
    ended: AtomicBool,
}

impl Fuse {
    /// Serves files, for whom it is mounted; `None` where this kernel has no FUSE.
    pub fn serve(files: Vec<(&'static str, Vec<u8>)>) -> Option<Self> {
        let device = File::options().read(true).write(true).open("/dev/fuse").ok()?;
        let state = Arc::new(State::default());
        let (own, told) = (device.try_clone().unwrap(), Arc::clone(&state));
        let server = std::thread::spawn(move || answer_all(&own, &files, &told));
        Some(Self { device: Some(device), state, server: Some(server), mounted: None })
    }

    /// The options of its mount.
    pub fn options(&self) -> CString {
        let fd = self.device.as_ref().unwrap().as_raw_fd();
        CString::new(format!("fd={fd},rootmode=40000,user_id=0,group_id=0,allow_other")).unwrap()
    }

    /// Mounts it here.
    pub fn mount(&mut self, at: &Path) -> bool {
        let done = mount(at, &self.options());
        self.mounted = done.then(|| at.to_owned());
        done
    }

    /// From now on nothing is answered.
    pub fn be_silent(&self) {
        self.state.silent.store(true, Ordering::SeqCst);
    }
}

/// Mounts a FUSE file system; calls the kernel only.
pub fn mount(at: &Path, options: &CString) -> bool {
    let mut target = [0_u8; 256];
    let at = at.as_os_str().as_bytes();
    target[..at.len()].copy_from_slice(at);
    // SAFETY: strings that end with NUL and live for the call.
    unsafe {
        let kind = c"fuse".as_ptr();
        libc::mount(kind, target.as_ptr().cast(), kind, 0, options.as_ptr().cast()) == 0
    }
}

impl Drop for Fuse {
    fn drop(&mut self) {
        if let Some(at) = &self.mounted {
            let at = CString::new(at.as_os_str().as_bytes()).unwrap();
            // SAFETY: a string that ends with NUL and lives for the call.
            unsafe { libc::umount2(at.as_ptr(), libc::MNT_DETACH) };
        }
        // Whoever waits for an answer gets an error: the connection ends with its last descriptor.
        self.state.ended.store(true, Ordering::SeqCst);
        drop(self.device.take());
        if let Some(server) = self.server.take() {
            let _ = server.join();
        }
    }
}

/// The next request; none at the end.
fn next<'r>(mut device: &File, request: &'r mut [u8], state: &State) -> Option<&'r [u8]> {
    loop {
        let mut poll = libc::pollfd { fd: device.as_raw_fd(), events: libc::POLLIN, revents: 0 };
        // SAFETY: one valid `pollfd`, alive for the call.
        let ready = unsafe { libc::poll(&raw mut poll, 1, 20) };
        if state.ended.load(Ordering::SeqCst) {
            return None;
        }
        if ready > 0 {
            match device.read(request) {
                Ok(length) => return Some(&request[..length]),
                // It was taken back, or there is no mount yet.
                Err(error)
                    if matches!(error.raw_os_error(), Some(libc::ENOENT | libc::EPERM | libc::EINTR)) =>
                {
                    std::thread::sleep(std::time::Duration::from_millis(1));
                }
                Err(_) => return None,
            }
        } else if ready == 0 && poll.revents & libc::POLLERR != 0 {
            return None;
        }
    }
}

fn answer_all(mut device: &File, files: &[(&'static str, Vec<u8>)], state: &State) {
    let mut space = vec![0; 1 << 18];
    while let Some(request) = next(device, &mut space, state) {
        let word = |at: usize| u32::from_le_bytes(request[at..at + 4].try_into().unwrap());
        let long = |at: usize| u64::from_le_bytes(request[at..at + 8].try_into().unwrap());
        let (code, unique, node) = (word(4), long(8), long(16));
        if state.silent.load(Ordering::SeqCst) || [FORGET, BATCH_FORGET, INTERRUPT].contains(&code) {
            continue;
        }
        let file = |node: u64| files.get(usize::try_from(node).ok()?.checked_sub(ROOT as usize + 1)?);
        let body = &request[40..];
        let reply: Result<Vec<u8>, i32> = match code {
            INIT => Ok(init()),
            LOOKUP => {
                let name = body.strip_suffix(b"\0").unwrap_or(body);
                let found = files.iter().position(|(own, _)| own.as_bytes() == name);
                found.map_or(Err(libc::ENOENT), |at| {
                    let node = ROOT + 1 + at as u64;
                    let head = [node.to_le_bytes(), [0; 8], [0; 8], [0; 8], [0; 8]].concat();
                    Ok([head, attributes(node, Some(files[at].1.len()))].concat())
                })
            }
            GETATTR => {
                let length = file(node).map(|(_, bytes)| bytes.len());
                Ok([vec![0; 16], attributes(node, length)].concat())
            }
            OPEN | OPENDIR => Ok(vec![0; 16]),
            READ => {
                let (from, size) = (long(48) as usize, word(56) as usize);
                let bytes = file(node).map_or(&[][..], |(_, bytes)| bytes.get(from..).unwrap_or_default());
                Ok(bytes[..size.min(bytes.len())].to_vec())
            }
            STATFS => Ok(vec![0; 80]),
            RELEASE | RELEASEDIR | FLUSH => Ok(Vec::new()),
            _ => Err(libc::ENOSYS),
        };
        let (error, body) = match reply {
            Ok(body) => (0, body),
            Err(errno) => (-errno, Vec::new()),
        };
        let length = 16 + body.len() as u32;
        let head = [length.to_le_bytes(), error.to_le_bytes()].concat();
        // Who asked may be gone by now.
        let _ = device.write(&[head, unique.to_le_bytes().to_vec(), body].concat());
    }
}

/// Version 7.31, without anything that one may choose.
fn init() -> Vec<u8> {
    let mut out = vec![0; 64];
    for (at, value) in [(0, 7_u32), (4, 31), (8, 1 << 17), (20, 1 << 17), (24, 1)] {
        out[at..at + 4].copy_from_slice(&value.to_le_bytes());
    }
    out
}

/// Of a file of that length, or of the root; nothing of it may be remembered.
fn attributes(node: u64, length: Option<usize>) -> Vec<u8> {
    let mode = if length.is_some() { libc::S_IFREG | 0o755 } else { libc::S_IFDIR | 0o755 };
    let length = length.unwrap_or(0) as u64;
    let longs = [node, length, length.div_ceil(512), 0, 0, 0];
    let words = [0, 0, 0, mode, 1, 0, 0, 0, 4096, 0];
    let longs = longs.iter().flat_map(|value| value.to_le_bytes());
    longs.chain(words.iter().flat_map(|value| value.to_le_bytes())).collect()
}
