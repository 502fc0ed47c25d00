//! Child processes that may be lost: they do the work that may hang, crash or eat memory.
//!
//! In: what a child shall do, with which descriptors. Out: its answers, until it is silent for too long. A
//! child that reads a file whose server does not answer may not even obey SIGKILL. Such a child is named and
//! left behind; it holds nothing of ours. Waiting for silent children takes a bounded share of this process's
//! time.

use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::net::UnixStream;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use rustix::process::{
    Pid, Resource, Rlimit, Signal, WaitOptions, getrlimit, kill_process, setrlimit, waitpid,
};

/// Without an answer and without a sign of work, a child is given up after this.
pub const PATIENCE: Duration = Duration::from_millis(200);
/// What all silence together may cost: this much at once, and then one part in so many of the time that passes.
const PURSE: Duration = Duration::from_millis(250);
const PURSE_SHARE: u32 = 4;
/// How long a child that was killed is waited for.
const LAST_WORDS: Duration = Duration::from_millis(30);
/// So many may be left behind; then nothing more is asked that could hang.
const MOST_LEFT: usize = 16;
/// Bytes of an answer to [`ask`], at most.
const ANSWER_BYTES: u64 = 1 << 20;
/// Between two looks at a child that says nothing.
const LOOK: Duration = Duration::from_millis(10);

/// Children, and what silence may still cost.
struct Losses {
    /// Those that work.
    living: Vec<Pid>,
    /// Those that were killed and did not go.
    left: Vec<u32>,
    /// CPU time of those that are gone, ns: user, system.
    spent: (u64, u64),
    purse: Duration,
    since: Option<Instant>,
}

static LOSSES: Mutex<Losses> =
    Mutex::new(Losses { living: Vec::new(), left: Vec::new(), spent: (0, 0), purse: PURSE, since: None });

fn with_losses<T>(what: impl FnOnce(&mut Losses) -> T) -> T {
    what(&mut LOSSES.lock().unwrap_or_else(std::sync::PoisonError::into_inner))
}

impl Losses {
    fn refill(&mut self) {
        let now = Instant::now();
        let passed = self.since.map_or(Duration::ZERO, |since| now.saturating_duration_since(since));
        self.purse = (self.purse + passed / PURSE_SHARE).min(PURSE);
        self.since = Some(now);
    }

    fn reap(&mut self) {
        self.left.retain(|pid| {
            let pid = Pid::from_raw(i32::try_from(*pid).unwrap_or(0));
            pid.is_some_and(|pid| matches!(waitpid(Some(pid), WaitOptions::NOHANG), Ok(None)))
        });
    }
}

/// Pids of children that were killed and are still there: they hang in the kernel.
pub fn left_behind() -> Vec<u32> {
    with_losses(|losses| {
        losses.reap();
        losses.left.clone()
    })
}

/// CPU time of all children so far, ns: user, system.
pub fn cpu_ns() -> (u64, u64) {
    with_losses(|losses| {
        let living = losses.living.iter().map(|pid| ran_ns(*pid));
        living.fold(losses.spent, |sum, own| (sum.0 + own.0, sum.1 + own.1))
    })
}

fn of(pid: Pid, name: &str) -> Option<String> {
    super::read(&format!("/proc/{}/{name}", pid.as_raw_nonzero()), 1024).ok()
}

/// The scheduler's account of a process, ns; its clock ticks tell user and system apart.
fn ran_ns(pid: Pid) -> (u64, u64) {
    let first = |text: String| text.split(' ').next()?.parse::<u64>().ok();
    let total = of(pid, "schedstat").and_then(first).unwrap_or(0);
    let ticks = of(pid, "stat").and_then(|stat| {
        let mut fields = stat.rsplit_once(") ")?.1.split(' ').skip(11);
        Some((fields.next()?.parse::<u64>().ok()?, fields.next()?.parse::<u64>().ok()?))
    });
    let (user, system) = ticks.unwrap_or((0, 0));
    let user = (u128::from(total) * u128::from(user) / u128::from((user + system).max(1))) as u64;
    (user, total.saturating_sub(user))
}

/// What waiting for a child came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waited {
    /// There is something to read, or the end.
    Ready,
    /// It neither answers nor works.
    Silent,
    /// The time is over.
    Late,
}

/// A child of this process; killed when dropped.
#[derive(Debug)]
pub struct Child {
    pid: Pid,
    /// To and from the child.
    pub line: UnixStream,
    worked_ns: u64,
}

impl Child {
    /// Forks. The child has its end of the line and the descriptors of `keep`, and no others; it ends with what `life` says.
    ///
    /// # Errors
    /// No fork, or too many children hang already.
    pub fn start(keep: &[RawFd], life: impl FnOnce(&mut UnixStream) -> io::Result<()>) -> io::Result<Self> {
        let hanging = with_losses(|losses| {
            losses.reap();
            losses.left.len()
        });
        if hanging >= MOST_LEFT {
            return Err(io::ErrorKind::TimedOut.into());
        }
        let (line, mut childs) = UnixStream::pair()?;
        keep_maps_to_ourselves();
        // SAFETY: the child runs `life` only and leaves by `_exit`. Other threads may hold locks that stay locked in it; it
        // takes none of ours, and the C library's allocator is made ready for a fork by the library itself.
        match unsafe { libc::fork() } {
            -1 => Err(io::Error::last_os_error()),
            0 => {
                let lived = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                    let mut kept = vec![childs.as_raw_fd()];
                    kept.extend(keep);
                    bare(&mut kept)?;
                    life(&mut childs)
                }));
                // SAFETY: `_exit` ends this process without running anything of the parent's.
                unsafe { libc::_exit(i32::from(!matches!(lived, Ok(Ok(()))))) }
            }
            pid => {
                let pid = Pid::from_raw(pid).ok_or_else(|| io::Error::other("fork gave no process"))?;
                with_losses(|losses| losses.living.push(pid));
                Ok(Self { pid, line, worked_ns: 0 })
            }
        }
    }

    /// Waits until there is something to read. Silence is paid from what this process may spend on it.
    pub fn wait(&mut self, patience: Duration, until: Instant) -> Waited {
        self.wait_paying(patience, until, &mut |silent| {
            with_losses(|losses| {
                losses.refill();
                losses.purse = losses.purse.saturating_sub(silent);
                losses.purse > Duration::ZERO
            })
        })
    }

    /// The same; `pay` takes what silence cost and says whether there may be more.
    pub fn wait_paying(
        &mut self,
        patience: Duration,
        until: Instant,
        pay: &mut dyn FnMut(Duration) -> bool,
    ) -> Waited {
        let mut silent = Duration::ZERO;
        loop {
            let begin = Instant::now();
            let left = until.saturating_duration_since(begin);
            if left == Duration::ZERO {
                return Waited::Late;
            }
            if readable(&self.line, left.min(LOOK)) {
                return Waited::Ready;
            }
            if self.works() {
                silent = Duration::ZERO;
                continue;
            }
            silent += begin.elapsed();
            if !pay(begin.elapsed()) || silent >= patience {
                return Waited::Silent;
            }
        }
    }

    /// Whether it has had CPU time since it was last looked at, or wants some.
    fn works(&mut self) -> bool {
        let Some(stat) = of(self.pid, "stat") else { return false };
        let runs = stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('R'));
        let (user, system) = ran_ns(self.pid);
        let ns = user + system;
        let worked = ns > std::mem::replace(&mut self.worked_ns, ns);
        runs || worked
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        with_losses(|losses| {
            losses.living.retain(|pid| *pid != self.pid);
            let (user, system) = ran_ns(self.pid);
            losses.spent = (losses.spent.0 + user, losses.spent.1 + system);
        });
        let _ = kill_process(self.pid, Signal::KILL);
        let begin = Instant::now();
        loop {
            match waitpid(Some(self.pid), WaitOptions::NOHANG) {
                Ok(None) if begin.elapsed() < LAST_WORDS => std::thread::sleep(Duration::from_millis(1)),
                Err(rustix::io::Errno::INTR) => {}
                Ok(None) => {
                    let pid = self.pid.as_raw_nonzero().get().unsigned_abs();
                    return with_losses(|losses| losses.left.push(pid));
                }
                _ => return,
            }
        }
    }
}

/// What `tell` says, told by a child; `None` if it crashed or was silent for too long.
pub fn ask(patience: Duration, tell: impl FnOnce() -> Vec<u8>) -> Option<Vec<u8>> {
    let tell = |line: &mut UnixStream| line.write_all(&tell()).and_then(|()| line.write_all(b"."));
    let mut child = Child::start(&[], tell).ok()?;
    let until = Instant::now() + patience * 10;
    let mut answer = Vec::new();
    loop {
        if child.wait(patience, until) != Waited::Ready {
            return None;
        }
        let mut chunk = [0; 16 << 10];
        match child.line.read(&mut chunk) {
            Ok(0) => break,
            Ok(count) => answer.extend(chunk.get(..count)?),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return None,
        }
        if answer.len() as u64 > ANSWER_BYTES {
            return None;
        }
    }
    // Without its last byte it is the beginning of an answer.
    (answer.pop() == Some(b'.')).then_some(answer)
}

/// Waits until something can be read, or the other end is closed.
fn readable(line: &UnixStream, most: Duration) -> bool {
    let mut poll = libc::pollfd { fd: line.as_raw_fd(), events: libc::POLLIN, revents: 0 };
    let millis = i32::try_from(most.as_millis()).unwrap_or(i32::MAX).max(1);
    // SAFETY: one valid `pollfd`, alive for the call.
    unsafe { libc::poll(&raw mut poll, 1, millis) > 0 }
}

/// Takes from a child what is the parent's: signals, terminal, descriptors. What hangs may hang for days, and nobody shall wait
/// for a pipe or a BPF program that it holds.
fn bare(keep: &mut [RawFd]) -> io::Result<()> {
    let quiet = std::fs::OpenOptions::new().read(true).write(true).open("/dev/null")?;
    // SAFETY: plain calls on this process alone, with valid arguments; the descriptors are open.
    unsafe {
        libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
        for signal in [libc::SIGINT, libc::SIGTERM, libc::SIGHUP] {
            libc::signal(signal, libc::SIG_IGN);
        }
        for standard in 0..=2 {
            if !keep.contains(&standard) {
                libc::dup2(quiet.as_raw_fd(), standard);
            }
        }
    }
    drop(quiet);
    keep.sort_unstable();
    let mut first = 3;
    for kept in keep.iter().filter(|fd| **fd >= 3) {
        close(first, kept - 1);
        first = kept + 1;
    }
    close(first, RawFd::MAX);
    let core = getrlimit(Resource::Core).maximum;
    Ok(setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: core })?)
}

fn close(first: RawFd, last: RawFd) {
    if first <= last {
        // SAFETY: closes descriptors of this child, which uses none of them; their numbers are not negative.
        unsafe { libc::syscall(libc::SYS_close_range, first as libc::c_uint, last as libc::c_uint, 0) };
    }
}

/// Memory of BPF maps is not for children: one that hangs would keep the maps.
fn keep_maps_to_ourselves() {
    let own = super::read("/proc/self/maps", 4 << 20).unwrap_or_default();
    for line in own.lines().filter(|line| line.contains("anon_inode:")) {
        let range = line.split_once(' ').and_then(|(range, _)| range.split_once('-'));
        let address = |text: &str| usize::from_str_radix(text, 16).ok();
        let Some((Some(start), Some(end))) = range.map(|(start, end)| (address(start), address(end))) else {
            continue;
        };
        // SAFETY: a mapping of this process, which stays as it is here; only a fork does not copy it, and what runs in the
        // child touches no map.
        unsafe { libc::madvise(start as *mut libc::c_void, end.saturating_sub(start), libc::MADV_DONTFORK) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_comes_whole_or_not_at_all() {
        let long = vec![7; 300_000];
        assert_eq!(ask(PATIENCE, || vec![7; 300_000]), Some(long));
        assert_eq!(ask(PATIENCE, Vec::new), Some(Vec::new()));
        assert_eq!(ask(PATIENCE, || std::process::abort()), None);
    }

    #[test]
    fn who_is_silent_is_given_up_and_who_works_is_waited_for() {
        let begin = Instant::now();
        assert_eq!(
            ask(Duration::from_millis(50), || {
                loop {
                    std::thread::park();
                }
            }),
            None
        );
        assert!(begin.elapsed() < Duration::from_secs(5), "{:?}", begin.elapsed());
        let works = || {
            let begin = Instant::now();
            while begin.elapsed() < Duration::from_millis(150) {
                std::hint::spin_loop();
            }
            vec![1]
        };
        let before = cpu_ns();
        assert_eq!(ask(Duration::from_millis(50), works), Some(vec![1]));
        let after = cpu_ns();
        assert!(after.0 + after.1 > before.0 + before.1, "its CPU time is not counted");
        assert!(left_behind().is_empty());
    }

    #[test]
    fn a_child_has_nothing_of_its_parents_but_what_it_is_given() {
        let (kept, _other) =
            (std::fs::File::open("/dev/zero").unwrap(), std::fs::File::open("/dev/full").unwrap());
        let tell = |line: &mut UnixStream| {
            let mut open: Vec<String> = std::fs::read_dir("/proc/self/fd")?
                .filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok())
                .map(|link| link.to_string_lossy().into_owned())
                .filter(|link| !link.starts_with("socket:") && !link.starts_with("/proc/"))
                .collect();
            open.sort();
            open.dedup();
            line.write_all(open.join(" ").as_bytes())
        };
        let mut child = Child::start(&[kept.as_raw_fd()], tell).unwrap();
        let mut told = String::new();
        child.line.read_to_string(&mut told).unwrap();
        assert_eq!(told, "/dev/null /dev/zero");
    }
}
