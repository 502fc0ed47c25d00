//! `-- CMD…`: a command that starts when measuring has begun.
//!
//! In: the command line. Out: its pid before it runs, then its end. The child waits between fork
//! and exec for one byte, so the whole command is measured. The child reports a failed exec.

use std::ffi::{CString, OsString};
use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::UnixStream;

use anyhow::{Context as _, anyhow};
use rustix::process::{Pid, PidfdFlags, WaitOptions, WaitStatus, pidfd_open, waitpid};
use tokio::io::unix::AsyncFd;

use crate::failure::Failure;

/// A forked child that waits for its start.
pub struct Launched {
    pid: Pid,
    program: OsString,
    /// Carries one byte to the child, and back an errno, or nothing if the command runs.
    line: UnixStream,
}

/// A child that runs.
pub struct Running {
    pid: Pid,
    end: AsyncFd<OwnedFd>,
}

impl Launched {
    /// Forks a child that will run `command`; `None` for an empty command.
    ///
    /// # Errors
    /// A command that cannot be found; a failed fork.
    pub fn prepare(command: &[OsString]) -> Result<Option<Self>, Failure> {
        let Some(program) = command.first() else { return Ok(None) };
        if !findable(program) {
            return Err(Failure::Usage(format!(
                "{}: no such command; what follows -- is run as it is, without a shell",
                program.display()
            )));
        }
        let arguments: Vec<CString> = command
            .iter()
            .map(|argument| CString::new(argument.as_bytes()))
            .collect::<Result<_, _>>()
            .map_err(|_| Failure::Usage("the command after -- holds a NUL byte".into()))?;
        let mut pointers: Vec<*const libc::c_char> =
            arguments.iter().map(|argument| argument.as_ptr()).collect();
        pointers.push(std::ptr::null());
        let (line, childs_end) = UnixStream::pair().context("making a socket pair")?;
        // SAFETY: no thread has been started yet; the child calls async-signal-safe functions only.
        let pid = unsafe { libc::fork() };
        if pid == 0 {
            drop(line);
            // SAFETY: this is the forked child; the descriptor is open, the pointers are live.
            unsafe { wait_and_execute(childs_end.as_raw_fd(), &pointers) }
        }
        drop(childs_end);
        let pid = Pid::from_raw(pid).ok_or_else(|| anyhow!("fork: {}", io::Error::last_os_error()))?;
        Ok(Some(Self { pid, program: program.clone(), line }))
    }

    /// Its pid.
    pub fn pid(&self) -> u32 {
        self.pid.as_raw_nonzero().get() as u32
    }

    /// Lets the child run its command; returns when that has begun.
    ///
    /// # Errors
    /// The child is gone, or the kernel cannot execute the command.
    pub fn start(mut self) -> Result<Running, Failure> {
        let fd = pidfd_open(self.pid, PidfdFlags::empty()).context("watching the command")?;
        self.line.write_all(b"g").context("starting the command")?;
        let mut errno = [0; 4];
        if self.line.read_exact(&mut errno).is_ok() {
            let error = io::Error::from_raw_os_error(i32::from_ne_bytes(errno));
            return Err(Failure::Usage(format!("cannot run {}: {error}", self.program.display())));
        }
        // SAFETY: the descriptor is owned by the AsyncFd.
        let end = unsafe { AsyncFd::register(fd) }.context("watching the command")?;
        Ok(Running { pid: self.pid, end })
    }
}

/// The child's part: one byte says go, then it becomes the command or tells why it cannot.
///
/// # Safety
/// Only in a forked child; `line` is an open descriptor that exec closes, `arguments` ends with null
/// and points to strings that live until then.
unsafe fn wait_and_execute(line: libc::c_int, arguments: &[*const libc::c_char]) -> ! {
    let mut byte = 0u8;
    // SAFETY: as the caller says; only async-signal-safe functions are called.
    unsafe {
        // Rust programs ignore SIGPIPE; the command must not inherit that. Done before the wait, when
        // nothing is measured yet.
        libc::signal(libc::SIGPIPE, libc::SIG_DFL);
        if libc::read(line, (&raw mut byte).cast(), 1) == 1 {
            libc::execvp(arguments[0], arguments.as_ptr());
            let errno = (*libc::__errno_location()).to_ne_bytes();
            libc::write(line, errno.as_ptr().cast(), errno.len());
        }
        libc::_exit(127)
    }
}

/// Says that the command goes on when the recording ends before it.
pub fn tell_running(running: Option<&Running>) {
    if let Some(child) = running {
        tracing::warn!("the command goes on without being measured (pid {})", child.pid.as_raw_nonzero());
    }
}

fn findable(program: &OsString) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    let runnable = |path: &std::path::Path| {
        path.metadata().is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
    };
    if program.as_bytes().contains(&b'/') {
        return runnable(program.as_ref());
    }
    std::env::var_os("PATH")
        .is_some_and(|path| std::env::split_paths(&path).any(|dir| runnable(&dir.join(program))))
}

/// Ready when the command has ended; never without one. Its exit code, or 128 and its signal's number.
///
/// # Errors
/// The wait itself failed.
pub async fn ended(running: &mut Option<Running>) -> Result<u8, Failure> {
    let Some(child) = running else { return std::future::pending().await };
    let _ = child.end.readable().await.context("waiting for the command")?;
    let ended = waitpid(Some(child.pid), WaitOptions::empty()).context("waiting for the command")?;
    *running = None;
    Ok(ended.map_or(0, |(_, status)| {
        match status.terminating_signal() {
            Some(signal) => tracing::warn!("the command was ended by signal {signal}"),
            None => {
                let failed = status.exit_status().filter(|code| *code != 0);
                failed.iter().for_each(|code| tracing::warn!("the command ended with exit code {code}"));
            }
        }
        code(status)
    }))
}

/// The code of a command that has ended by now, also of one that ended after the recording: Ctrl-C ends both.
pub fn ended_by_now(running: Option<&Running>) -> Option<u8> {
    let (_, status) = waitpid(Some(running?.pid), WaitOptions::NOHANG).ok()??;
    Some(code(status))
}

/// As a shell tells it.
fn code(status: WaitStatus) -> u8 {
    let number = match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => code,
        (None, signal) => 128 + signal.unwrap_or(0),
    };
    u8::try_from(number).unwrap_or(u8::MAX)
}
