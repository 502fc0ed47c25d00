//! In: how many calls, and how long they take by design. Out: calls whose parts a witness knows: the
//! thread's own CPU clock and its `schedstat` before and after each, and the wall clock around it.

use std::{
    fs::File,
    hint::black_box,
    io,
    os::fd::AsRawFd,
    os::unix::fs::FileExt as _,
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use crate::{
    fifo,
    report::Report,
    system::{self, cpu_time, now},
    timed::Answerer,
};

/// What the kernel says of this thread, apart from any tracing.
pub struct Witness {
    schedstat: File,
    calls: u64,
    wall_ns: u64,
    cpu_ns: u64,
    delay_ns: u64,
    /// Time waited for a CPU that was the call's, or that of the look at the clocks after it.
    doubt_ns: u64,
    /// Time from each call's end until its CPU time was read, at most: caches are cold then.
    look_ns: u64,
    /// What looking at the clocks takes of the thread's own CPU time, with warm ones.
    own_ns: u64,
}

/// All three clocks at one moment, and how long after that the CPU time was read, at most.
struct Look {
    delay: u64,
    cpu: u64,
    time: u64,
    late: u64,
}

impl Witness {
    /// Nothing watched yet.
    ///
    /// # Errors
    /// The kernel has no `schedstat`.
    pub fn new() -> io::Result<Self> {
        let schedstat = File::open("/proc/thread-self/schedstat")?;
        let mut witness = Self {
            schedstat,
            calls: 0,
            wall_ns: 0,
            cpu_ns: 0,
            delay_ns: 0,
            doubt_ns: 0,
            look_ns: 0,
            own_ns: 0,
        };
        let mut looks: Vec<u64> = (0..65).map(|_| witness.own()).collect();
        looks.sort_unstable();
        witness.own_ns = looks[looks.len() / 2];
        Ok(witness)
    }

    /// CPU time between two looks with nothing between them.
    fn own(&self) -> u64 {
        let before = self.before();
        self.after().cpu - before.cpu
    }

    /// Time this thread has waited for a CPU: the second number.
    fn delay(&self) -> u64 {
        let mut text = [0; 80];
        let length = self.schedstat.read_at(&mut text, 0).unwrap_or(0);
        let text = std::str::from_utf8(&text[..length]).unwrap_or("");
        text.split(' ').nth(1).and_then(|word| word.parse().ok()).unwrap_or(0)
    }

    /// Watches one call, if it lasts `least_ns`.
    #[inline(always)]
    pub fn watch(&mut self, least_ns: u64, call: impl FnOnce()) {
        self.watch_if(least_ns, || {
            call();
            true
        });
    }

    /// The same, if the call says that it counts.
    #[inline(always)]
    pub fn watch_if(&mut self, least_ns: u64, call: impl FnOnce() -> bool) {
        let before = self.before();
        let counts = call();
        let after = self.after();
        let wall_ns = after.time - before.time;
        if !counts || wall_ns < least_ns {
            return;
        }
        self.calls += 1;
        self.wall_ns += wall_ns;
        self.cpu_ns += (after.cpu - before.cpu).saturating_sub(self.own_ns);
        let delay = after.delay - before.delay;
        // What kept the look at the clocks waiting kept none of the call.
        let apart = now() - after.time;
        let outside = if apart > 200_000 { apart.min(delay) } else { 0 };
        self.delay_ns += delay - outside;
        self.doubt_ns += outside;
        self.look_ns += after.late.min(200_000);
    }

    /// Before a call, without a wait for the CPU between the clocks.
    #[inline(always)]
    fn before(&self) -> Look {
        loop {
            let look = Look { delay: self.delay(), cpu: cpu_time(), time: now(), late: 0 };
            if self.delay() == look.delay {
                return look;
            }
        }
    }

    /// After a call: the dearest clock last, so that what it takes with cold caches is not in the others.
    #[inline(always)]
    fn after(&self) -> Look {
        let (time, cpu, later) = (now(), cpu_time(), now());
        Look { time, cpu, delay: self.delay(), late: later - time }
    }

    /// Calls that were long enough.
    pub fn calls(&self) -> u64 {
        self.calls
    }

    /// What was watched.
    pub fn report(&self) -> Report {
        let asleep = self.wall_ns.saturating_sub(self.cpu_ns + self.delay_ns);
        Report::new()
            .with("calls", self.calls)
            .with("wall_ns", self.wall_ns)
            .with("cpu_ns", self.cpu_ns)
            .with("delay_ns", self.delay_ns)
            .with("asleep_ns", asleep)
            .with("doubt_ns", self.doubt_ns)
            .with("look_ns", self.look_ns)
    }
}

/// Pins the calling thread to a CPU.
///
/// # Errors
/// When there is no such CPU.
pub fn pin(cpu: usize) -> io::Result<()> {
    // SAFETY: a zeroed set is an empty one; the kernel reads as many bytes as said.
    unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        libc::CPU_SET(cpu, &mut set);
        match libc::sched_setaffinity(0, size_of_val(&set), &set) {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    }
}

/// Runs `work` on CPU 0, when `crowded` beside a thread that never gives the CPU up.
fn beside(crowded: bool, work: impl FnOnce() -> io::Result<Report>) -> io::Result<Report> {
    if !crowded {
        return work();
    }
    pin(0)?;
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                black_box((0..1000_u64).fold(0, |sum, step| sum ^ black_box(step)));
            }
        });
        let report = work();
        stop.store(true, Ordering::Relaxed);
        report
    })
}

/// N reads of that many MiB of zeros: nothing but running in the kernel, and waiting for the CPU.
pub fn zero_reads(count: u64, mebibytes: u64) -> io::Result<Report> {
    let source = File::open("/dev/zero")?;
    let mut block = vec![1; (mebibytes << 20) as usize];
    let mut witness = Witness::new()?;
    for _ in 0..count {
        witness.watch(0, || zero(&source, &mut block));
    }
    Ok(witness.report())
}

/// Reads zeros into all of it.
#[inline(never)]
pub fn zero(source: &File, block: &mut [u8]) {
    black_box(system::read(source.as_raw_fd(), block));
}

/// N reads of a pipe whose other end answers late: nothing but sleep, and waiting for the CPU.
pub fn late_reads(count: u64, ms: u64, crowded: bool) -> io::Result<Report> {
    let [answers, answering] = system::pipe(0)?;
    let answerer = Answerer::start(ms, || {
        system::write(answering, b"!");
    })?;
    let report = beside(crowded, || {
        let mut witness = Witness::new()?;
        for _ in 0..count {
            answerer.ask();
            witness.watch(0, || {
                black_box(system::read(answers, &mut [0]));
            });
        }
        Ok(witness.report())
    });
    answerer.end();
    report
}

/// N rounds beside a thread that never sleeps: a read of a pipe answered after MS, then one of that many MiB of zeros.
/// Sleep, waiting for the CPU and the kernel's own work, in rows of one call.
pub fn mixed_reads(count: u64, ms: u64, mebibytes: u64) -> io::Result<Report> {
    let source = File::open("/dev/zero")?;
    let mut block = vec![1; (mebibytes << 20) as usize];
    let [answers, answering] = system::pipe(0)?;
    let answerer = Answerer::start(ms, || {
        system::write(answering, b"!");
    })?;
    let report = beside(true, || {
        let mut witness = Witness::new()?;
        for _ in 0..count {
            answerer.ask();
            witness.watch(0, || {
                black_box(system::read(answers, &mut [0]));
            });
            witness.watch(0, || zero(&source, &mut block));
        }
        Ok(witness.report())
    });
    answerer.end();
    report
}

/// N rounds of a read of that many MiB of zeros and a thousand getppid, on a CPU that a thread of SCHED_FIFO takes for
/// 2 ms every few ms, with a getppid of its own each time.
pub fn preempted_reads(count: u64, mebibytes: u64) -> io::Result<Report> {
    const SHORT: u64 = 1000;
    let source = File::open("/dev/zero")?;
    let mut block = vec![1; (mebibytes << 20) as usize];
    pin(0)?;
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let preempting = scope.spawn(|| fifo::take_turns(&stop, 2_000_000));
        let mut witness = Witness::new()?;
        for _ in 0..count {
            witness.watch(0, || zero(&source, &mut block));
            for _ in 0..SHORT {
                black_box(system::getppid());
            }
        }
        stop.store(true, Ordering::Relaxed);
        let turns = preempting.join().map_err(|_| io::Error::other("the preempting thread died"))??;
        let bursts = turns.count();
        Ok(witness.report().with("bursts", bursts).with("short_calls", count * SHORT + bursts))
    })
}
