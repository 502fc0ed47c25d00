//! In: command lines of programs and their load. Out: they run, in process groups of their own; they are gone when dropped,
//! the load before what it loads.

use std::{
    fs::{self, File},
    net::{TcpListener, TcpStream},
    os::unix::process::CommandExt as _,
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};

const PATIENCE: Duration = Duration::from_secs(30);
/// How long one may take to end by a signal before it is killed.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// A child with all that it starts.
pub struct Group {
    child: Child,
    /// What asks it to end.
    signal: libc::c_int,
}

impl Group {
    /// Starts it; what it says goes to a file, and where that is, it runs.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(command: &mut Command, log: &Path) -> Result<Self> {
        if let Some(directory) = log.parent() {
            command.current_dir(directory);
        }
        let log = File::create(log).with_context(|| format!("creating {}", log.display()))?;
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).process_group(0);
        // SAFETY: prctl may be called between fork and exec, and takes no pointer.
        unsafe {
            command.pre_exec(|| {
                libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGTERM);
                Ok(())
            });
        }
        let name = command.get_program().to_string_lossy().into_owned();
        let child = command.spawn().with_context(|| format!("starting {name}"))?;
        Ok(Self { child, signal: libc::SIGTERM })
    }

    /// The same, ended by SIGINT.
    pub fn ended_by_interrupt(mut self) -> Self {
        self.signal = libc::SIGINT;
        self
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Whether it has ended; its id stays its own until it is dropped.
    fn has_ended(&self) -> bool {
        // SAFETY: all zero is a valid `siginfo_t`.
        let mut found: libc::siginfo_t = unsafe { std::mem::zeroed() };
        let how = libc::WEXITED | libc::WNOHANG | libc::WNOWAIT;
        // SAFETY: the kernel writes one `siginfo_t`.
        let result = unsafe { libc::waitid(libc::P_PID, self.child.id(), &mut found, how) };
        // SAFETY: what waitid wrote has a pid, which is 0 while the child runs.
        result != 0 || unsafe { found.si_pid() } != 0
    }

    fn tell(&self, signal: libc::c_int) {
        // SAFETY: a signal to the group of our own child, whose id is not free before it is waited for.
        unsafe { libc::kill(-(self.child.id() as libc::pid_t), signal) };
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.tell(self.signal);
        let begin = Instant::now();
        while begin.elapsed() < LAST_WORDS && !self.has_ended() {
            thread::sleep(Duration::from_millis(20));
        }
        self.tell(libc::SIGKILL);
        let _ = self.child.wait();
    }
}

/// A program under load.
pub struct Running {
    /// Dropped first.
    load: Option<Group>,
    program: Group,
    /// Who is measured.
    pub pids: Vec<u32>,
    /// What the runtime is told before its names are read.
    pub told: Option<Vec<String>>,
}

impl Running {
    /// A program that loads itself.
    pub fn alone(program: Group) -> Self {
        Self { load: None, pids: vec![program.pid()], program, told: None }
    }

    pub fn loaded(program: Group, load: Group) -> Self {
        Self { load: Some(load), pids: vec![program.pid()], program, told: None }
    }

    /// Measures its children, once they are there, and not itself.
    ///
    /// # Errors
    /// When there are none.
    pub fn by_children(mut self) -> Result<Self> {
        self.pids =
            wait_for("children", || Some(children(self.program.pid())).filter(|pids| !pids.is_empty()))?;
        Ok(self)
    }

    /// # Errors
    /// When the program or its load have ended.
    pub fn check(&self) -> Result<()> {
        if self.program.has_ended() || self.load.as_ref().is_some_and(Group::has_ended) {
            bail!("the program or its load ended: see its log");
        }
        Ok(())
    }

    pub fn list(&self) -> String {
        self.pids.iter().map(u32::to_string).collect::<Vec<_>>().join(",")
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.load.take());
        for pid in &self.pids {
            // Only runtimes that tell their names leave one.
            let _ = fs::remove_file(format!("/tmp/perf-{pid}.map"));
        }
    }
}

fn children(pid: u32) -> Vec<u32> {
    let text = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    text.split_whitespace().filter_map(|child| child.parse().ok()).collect()
}

/// # Errors
/// When it does not happen in time.
pub fn wait_for<T>(what: &str, mut seen: impl FnMut() -> Option<T>) -> Result<T> {
    let begin = Instant::now();
    while begin.elapsed() < PATIENCE {
        if let Some(found) = seen() {
            return Ok(found);
        }
        thread::sleep(Duration::from_millis(50));
    }
    bail!("no {what} after {} s", PATIENCE.as_secs())
}

/// A port of loopback that nobody listens on.
///
/// # Errors
/// When there is none.
pub fn free_port() -> Result<u16> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).context("binding a port of loopback")?;
    Ok(listener.local_addr()?.port())
}

/// # Errors
/// When nobody listens there in time.
pub fn wait_for_port(port: u16) -> Result<()> {
    wait_for("answer on its port", || TcpStream::connect(("127.0.0.1", port)).ok()).map(drop)
}
