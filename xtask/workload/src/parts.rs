//! In: how many calls, and how long they take by design. Out: calls whose parts a witness knows: the
//! thread's own CPU clock and its `schedstat` before and after each, and the wall clock around it.

use std::{
    fs::File,
    hint::black_box,
    io,
    os::unix::fs::FileExt as _,
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use crate::{
    fifo,
    long_read::LongRead,
    report::Report,
    steady,
    system::{self, cpu_time, losses_of_cpu, now, pin},
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
    /// What looking at the clocks takes of the thread's own CPU time, and of the wall clock's, with warm caches: a look
    /// before a call makes sure of itself by one more after its clock was read.
    own_ns: u64,
    own_wall_ns: u64,
    /// The shortest call.
    min_ns: u64,
    /// Waits for a CPU that may lie between a call's end and the clock after it: kernels that preempt lazily (since Linux
    /// 6.13) do so where a call returns. At most one of a call's preemptions, of their mean length.
    edge_ns: u64,
}

/// All three clocks at one moment, and how long after that the CPU time was read, at most.
struct Look {
    delay: u64,
    cpu: u64,
    time: u64,
    late: u64,
    preemptions: u64,
}

/// Looks with nothing between them, of which the middle counts.
const LOOKS: usize = 65;

fn middle(values: impl Iterator<Item = u64>) -> u64 {
    let mut values: Vec<u64> = values.collect();
    values.sort_unstable();
    values.get(values.len() / 2).copied().unwrap_or(0)
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
            own_wall_ns: 0,
            min_ns: u64::MAX,
            edge_ns: 0,
        };
        let looks: Vec<(u64, u64)> = (0..LOOKS).map(|_| witness.own()).collect();
        witness.own_ns = middle(looks.iter().map(|(cpu, _)| *cpu));
        witness.own_wall_ns = middle(looks.iter().map(|(_, wall)| *wall));
        Ok(witness)
    }

    /// CPU and wall time between two looks with nothing between them.
    fn own(&self) -> (u64, u64) {
        let before = self.before();
        let after = self.after();
        (after.cpu - before.cpu, after.time - before.time)
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
        let wall_ns = (after.time - before.time).saturating_sub(self.own_wall_ns);
        if !counts || wall_ns < least_ns {
            return;
        }
        self.calls += 1;
        self.wall_ns += wall_ns;
        self.min_ns = self.min_ns.min(wall_ns);
        self.cpu_ns += (after.cpu - before.cpu).saturating_sub(self.own_ns);
        let delay = after.delay - before.delay;
        // What kept the look at the clocks waiting kept none of the call.
        let apart = now() - after.time;
        let outside = if apart > self.long_look_ns() { apart.min(delay) } else { 0 };
        self.delay_ns += delay - outside;
        self.doubt_ns += outside;
        self.look_ns += after.late.min(self.long_look_ns());
        self.edge_ns += (delay - outside).checked_div(after.preemptions - before.preemptions).unwrap_or(0);
    }

    /// A look that takes longer lost its CPU, whatever the caches had.
    fn long_look_ns(&self) -> u64 {
        256 * self.own_wall_ns
    }

    /// Before a call, without a wait for the CPU between the clocks.
    #[inline(always)]
    fn before(&self) -> Look {
        loop {
            let preemptions = losses_of_cpu();
            let look = Look { delay: self.delay(), cpu: cpu_time(), time: now(), late: 0, preemptions };
            if self.delay() == look.delay {
                return look;
            }
        }
    }

    /// After a call: the dearest clock last, so that what it takes with cold caches is not in the others.
    #[inline(always)]
    fn after(&self) -> Look {
        let (time, cpu, later) = (now(), cpu_time(), now());
        Look { time, cpu, delay: self.delay(), late: later - time, preemptions: losses_of_cpu() }
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
            .with("edge_ns", self.edge_ns)
            .with("look_ns", self.look_ns)
            .with("own_wall_ns", self.own_wall_ns)
            .with("min_ns", self.min_ns)
    }
}

/// Runs `work` on the first CPU, when `crowded` beside a thread that never gives the CPU up.
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

/// N long reads: nothing but running in the kernel, and waiting for the CPU.
pub fn long_reads(count: u64, ms: u64, mut read: LongRead) -> io::Result<Report> {
    let mut witness = Witness::new()?;
    read.make_some((count, ms), |read| {
        witness.watch(0, || read.make());
        Ok(())
    })?;
    Ok(witness.report())
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

/// N rounds beside a thread that never sleeps: a read of a pipe answered after MS, then a long one.
/// Sleep, waiting for the CPU and the kernel's own work, in rows of one call.
pub fn mixed_reads(count: u64, ms: u64, mut read: LongRead) -> io::Result<Report> {
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
            witness.watch(0, || read.make());
        }
        Ok(witness.report())
    });
    answerer.end();
    report
}

/// N rounds of a long read and a thousand getppid, on a CPU that a thread of SCHED_FIFO takes for 2 ms every few ms, with a
/// getppid of its own each time.
pub fn preempted_reads(count: u64, ms: u64, mut read: LongRead) -> io::Result<Report> {
    const SHORT: u64 = 1000;
    pin(0)?;
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let preempting = scope.spawn(|| fifo::take_turns(&stop, 2_000_000));
        let mut witness = Witness::new()?;
        read.make_some((count, ms), |read| {
            witness.watch(0, || read.make());
            for _ in 0..SHORT {
                black_box(system::getppid());
            }
            Ok(())
        })?;
        stop.store(true, Ordering::Relaxed);
        let turns = preempting.join().map_err(|_| io::Error::other("the preempting thread died"))??;
        let short = witness.calls() * SHORT + turns.count() + steady::SWITCH_CALLS;
        let report = witness.report().with("bursts", turns.count()).with("short_calls", short);
        // As it is here and now, with whatever hooks wakeups and switches.
        Ok(report.with("switch_ns", steady::switch_ns()?))
    })
}
