//! `-- CMD…`: a command that starts when measuring has begun.
//!
//! In: the command line. Out: its pid before it runs, then its end. The child waits between fork
//! and exec for one byte, so nothing of the command itself goes unmeasured.

use std::ffi::{CString, OsString};
use std::fs::File;
use std::io::Write as _;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;

use anyhow::{Context as _, anyhow};
use rustix::process::{Pid, PidfdFlags, WaitOptions, pidfd_open, waitpid};
use tokio::io::unix::AsyncFd;

use crate::failure::Failure;

/// A forked child that waits for its start.
pub struct Launched {
    pid: Pid,
    go: File,
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
        let (wait, go) =
            rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).context("making a pipe")?;
        // SAFETY: no thread has been started yet; the child calls async-signal-safe functions only.
        let pid = unsafe { libc::fork() };
        if pid == 0 {
            drop(go);
            let mut byte = 0u8;
            // SAFETY: `byte` and the argument pointers live until exec replaces them.
            unsafe {
                if libc::read(wait.as_raw_fd(), (&raw mut byte).cast(), 1) == 1 {
                    libc::execvp(pointers[0], pointers.as_ptr());
                }
                libc::_exit(127);
            }
        }
        let pid = Pid::from_raw(pid).ok_or_else(|| anyhow!("fork: {}", std::io::Error::last_os_error()))?;
        Ok(Some(Self { pid, go: File::from(go) }))
    }

    /// Its pid.
    pub fn pid(&self) -> u32 {
        self.pid.as_raw_nonzero().get() as u32
    }

    /// Lets the child run its command.
    ///
    /// # Errors
    /// The child is gone.
    pub fn start(mut self) -> Result<Running, Failure> {
        let fd = pidfd_open(self.pid, PidfdFlags::empty()).context("watching the command")?;
        self.go.write_all(b"g").context("starting the command")?;
        // SAFETY: the descriptor is owned by the AsyncFd.
        let end = unsafe { AsyncFd::register(fd) }.context("watching the command")?;
        Ok(Running { pid: self.pid, end })
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

/// Ready when the command has ended; never without one.
///
/// # Errors
/// The wait itself failed.
pub async fn ended(running: &mut Option<Running>) -> Result<(), Failure> {
    let Some(child) = running else { return std::future::pending().await };
    let _ = child.end.readable().await.context("waiting for the command")?;
    let _ = waitpid(Some(child.pid), WaitOptions::empty()).context("waiting for the command")?;
    *running = None;
    Ok(())
}
