//! The recorder: joins what `collect` drains with what `symbol` knows, into chunks.
//!
//! In: attached probes. Out: chunks, each written to the capture and applied to the profile that
//! is rendered at the end: what a replay sees is what the recording showed.

mod in_flight;

use std::collections::HashMap;
use std::time::Instant;

use anyhow::Context as _;
use aya::maps::{MapData, PerCpuArray, RingBuf};
use profiler_common::syscall::Slot;
use tokio::io::unix::AsyncFd;

use super::context::context;
use super::header::{Plan, header};
use super::identity::{self, Identities};
use super::losses;
use super::nameless::Nameless;
use super::output::Output;
use super::scope::Scope;
use crate::cli::settings::RecordSettings;
use crate::collect::{Drained, Event, Meter, Outcomes, Rows, parse_event, wait_for_programs};
use crate::environment::Watch;
use crate::failure::Failure;
use crate::probe::{Lsm, Probes};
use crate::profile::ledger::Population;
use crate::profile::rows::LockContext;
use crate::profile::{Chunk, Class, End, Interval, Pid, Process, Profile, StackId};
use crate::symbol::{Interner, KernelSymbols, Limits, name_objects};
use crate::target::Owners;

/// A lock row as the kernel wrote it.
type LockEntry = (profiler_common::lock::LockKey, profiler_common::lock::LockRow);

/// Lock rows that wait for their stack; what is over goes without.
const LATE_LOCKS: usize = 16_384;

/// The machine's counters are read in one interval of so many, the target's in each.
const ALL_COUNTERS_EVERY: u64 = 10;

/// One session being recorded.
pub struct Recorder {
    probes: Probes,
    rows: Rows,
    slots: PerCpuArray<MapData, Slot>,
    outcomes: Outcomes,
    events: AsyncFd<RingBuf<MapData>>,
    meter: Meter,
    window_open: bool,
    interner: Interner,
    kernel: KernelSymbols,
    contexts: HashMap<StackId, LockContext>,
    /// Lock rows whose kernel stack has not arrived yet: until then nobody knows whether an interrupt waited.
    late_locks: Vec<LockEntry>,
    owners: Owners,
    identities: Identities,
    watch: Watch,
    intervals: u64,
    nameless: Nameless,
    pending: Interval,
    output: Output,
    profile: Profile,
    /// The programs are detached: no more stacks come.
    stopped: bool,
}

impl Recorder {
    /// Takes over attached probes and writes the capture's header.
    ///
    /// # Errors
    /// An object without its maps; a capture that cannot be written.
    pub fn new(
        settings: &RecordSettings,
        mut scope: Scope,
        (mut probes, plan): (Probes, Plan),
        meter: Meter,
        output: Output,
    ) -> Result<Self, Failure> {
        let mut rows = Rows::new(&mut probes.ebpf)?;
        if probes.follows_switches() {
            rows.use_slots()?;
        }
        let slots = probes.ebpf.take_map("SLOTS").context("the object has no SLOTS map")?;
        let outcomes = Outcomes::new(&mut probes.ebpf)?;
        let ring = probes.ebpf.take_map("EVENTS").context("the object has no EVENTS map")?;
        let ring = RingBuf::try_from(ring).context("EVENTS")?;
        let notes = plan.notes(&probes);
        let header = header(settings, &mut scope, &probes, notes);
        let mut meter = meter;
        for (name, program) in probes.lsm.iter().flat_map(Lsm::programs) {
            meter.watch(name, program);
        }
        let mut recorder = Self {
            rows,
            slots: PerCpuArray::try_from(slots).context("SLOTS")?,
            outcomes,
            // SAFETY: the ring buffer keeps its descriptor open for as long as it lives, inside the AsyncFd.
            events: unsafe { AsyncFd::register(ring) }.context("watching the ring buffer")?,
            meter,
            window_open: false,
            interner: Interner::new(),
            // Read after attaching: our own programs have symbols, too.
            kernel: KernelSymbols::read().unwrap_or_else(|_| KernelSymbols::parse(b"")),
            contexts: HashMap::new(),
            late_locks: Vec::new(),
            owners: scope.owners,
            identities: Identities::default(),
            watch: scope.watch,
            intervals: 0,
            nameless: Nameless::default(),
            pending: Interval::default(),
            output,
            profile: Profile::default(),
            stopped: false,
            probes,
        };
        recorder.keep(Chunk::Header(Box::new(header)))?;
        Ok(recorder)
    }

    /// What was recorded so far.
    pub fn profile(&self) -> &Profile {
        &self.profile
    }

    /// Whether a run-time window is open.
    pub fn window_open(&self) -> bool {
        self.window_open
    }

    /// Begins a run-time window; returns when it shall end.
    pub fn open_window(&mut self) -> Instant {
        self.meter.open_window(&self.probes.ebpf);
        self.window_open = true;
        Instant::now() + super::WINDOW
    }

    /// Ends the run-time window.
    pub fn close_window(&mut self) {
        self.meter.close_window(&self.probes.ebpf);
        self.window_open = false;
    }

    /// Waits for events and takes them.
    ///
    /// # Errors
    /// The ring buffer cannot be watched.
    pub async fn events(&mut self) -> Result<(), Failure> {
        let mut ready = self.events.readable().await.context("watching the ring buffer")?;
        ready.clear_ready();
        drop(ready);
        self.take_events();
        // The first event is taken at once, its process may be gone soon; a burst behind it shares a wake-up.
        tokio::time::sleep(super::COALESCE).await;
        Ok(())
    }

    fn take_events(&mut self) {
        while let Some(event) = self.events.get_mut().next().map(|record| parse_event(&record)) {
            match event {
                Some(Event::Stack { id, pid: Some(pid), addresses, truncated }) => {
                    self.interner.user_stack(id, pid, &addresses, truncated);
                }
                Some(Event::Stack { id, pid: None, addresses, truncated }) => {
                    self.contexts.insert(id, context(&self.kernel, &addresses));
                    self.interner.kernel_stack(id, &addresses, truncated);
                }
                Some(Event::Process { pid, time_ns, comm, cgroup }) => {
                    if self.identities.announce(pid, time_ns) {
                        self.pending.ledger.count(Class::PidReused, 1);
                    }
                    self.see(pid, comm, cgroup);
                }
                None => self.pending.ledger.count(Class::Implausible, 1),
            }
        }
    }

    /// A process came into view, or became another program.
    fn see(&mut self, pid: Pid, comm: String, cgroup: u64) {
        if self.profile.processes.get(pid).is_some() {
            self.interner.forget(pid);
        }
        let owner = self.owners.owner(pid.0, cgroup);
        // Without a certain name it may be a container that its runtime has not described yet: asked once more.
        let nameless = owner.as_ref().is_none_or(|owner| owner.container.is_empty() || !owner.certain);
        self.nameless.note(pid, nameless.then_some(cgroup));
        let (container, cgroup) = owner.map(|owner| (owner.container, owner.cgroup)).unwrap_or_default();
        let label =
            if self.probes.lsm.is_some() { crate::environment::security_label(pid.0) } else { String::new() };
        self.pending.processes.push(Process { pid, comm, container, cgroup, label });
    }

    /// Names holders of locks and neighbours on a CPU, most of them outside the target, and processes that only
    /// waited: nobody announced those.
    fn see_others(&mut self, drained: &Drained) {
        for (pid, comm) in drained.others() {
            if !self.knows(pid) {
                self.see(pid, comm, 0);
            }
        }
        for pid in drained.waiters() {
            if !self.knows(pid)
                && let Some(comm) = identity::name(pid)
            {
                self.see(pid, comm, 0);
            }
        }
    }

    fn knows(&self, pid: Pid) -> bool {
        self.profile.processes.get(pid).is_some()
            || self.pending.processes.iter().any(|process| process.pid == pid)
    }

    /// Whether asking again for those without a name may help.
    pub fn awaits_names(&self) -> bool {
        self.nameless.is_hopeful()
    }

    /// Asks again for those without a name.
    pub fn ask_again(&mut self) {
        let named = self.nameless.ask(&mut self.owners);
        self.pending.processes.extend(named);
    }

    /// Ends an interval: drains, names the new kernel frames, keeps the chunk.
    ///
    /// # Errors
    /// A map that cannot be drained; a capture that cannot be written.
    pub async fn interval(&mut self) -> Result<(), Failure> {
        let finished = self.rows.flip()?;
        self.wait_for_programs().await?;
        let mut drained = self.rows.take_epoch(finished)?;
        self.outcomes.add_to(&mut self.pending.ledger)?;
        // After the rows: the stacks they refer to are in the ring buffer by now, if it had room for them.
        self.take_events();
        let found = self.nameless.give_up(&mut self.owners);
        self.pending.processes.extend(found);
        self.see_others(&drained);
        self.hold_back(&mut drained.locks);
        let mut interval = std::mem::take(&mut self.pending);
        interval.start_ns = self.profile.duration_ns;
        interval.end_ns = self.elapsed_ns();
        self.intervals += 1;
        interval.counters = self.watch.changed(self.intervals.is_multiple_of(ALL_COUNTERS_EVERY));
        let contexts = &self.contexts;
        drained.add_to(&mut interval, |stack| contexts.get(&stack).copied().unwrap_or(LockContext::Task));
        interval.slowest = drained.slowest(self.probes.start_ns);
        let kept = &self.profile.slowest;
        name_objects(interval.slowest.iter_mut().filter(|call| call.is_among(kept)));
        (interval.modules, interval.frames, interval.stacks) = self.interner.take_new();
        interval.ledger.grow(Population::Frames, interval.frames.len() as u64);
        let mut symbols = self.interner.symbolize_kernel_new(&self.kernel);
        symbols.locks =
            self.kernel.locks(interval.lock.rows.keys().map(|key| key.lock).filter(|lock| *lock != 0));
        self.keep(Chunk::Interval(Box::new(interval)))?;
        self.keep(Chunk::Symbols(symbols))
    }

    /// Goes on taking events meanwhile: the processes they tell of may be gone soon.
    async fn wait_for_programs(&mut self) -> Result<(), Failure> {
        let mut wait = tokio::task::spawn_blocking(wait_for_programs);
        loop {
            tokio::select! {
                waited = &mut wait => return Ok(waited.context("waiting for the programs")?),
                result = self.events() => result?,
            }
        }
    }

    /// Keeps the rows back whose stack is still to come: behind a record that another CPU is writing, or
    /// sent again when the ring buffer was full.
    fn hold_back(&mut self, rows: &mut Vec<LockEntry>) {
        rows.append(&mut self.late_locks);
        if self.stopped {
            return;
        }
        let known = |(key, _): &LockEntry| {
            let stack = StackId(key.kernel);
            stack == StackId::NONE || self.contexts.contains_key(&stack)
        };
        let (known, mut late): (Vec<_>, Vec<_>) = std::mem::take(rows).into_iter().partition(known);
        *rows = known;
        rows.extend(late.drain(late.len().min(LATE_LOCKS)..));
        self.late_locks = late;
    }

    fn elapsed_ns(&self) -> u64 {
        crate::probe::now_ns().saturating_sub(self.probes.start_ns)
    }

    fn keep(&mut self, chunk: Chunk) -> Result<(), Failure> {
        self.output.append(&chunk)?;
        self.profile.apply(chunk);
        Ok(())
    }

    /// Detaches, takes what is left, and writes capture, pictures and summary.
    ///
    /// # Errors
    /// As [`Self::interval`]; a file that cannot be written.
    pub async fn finish(mut self, settings: &RecordSettings) -> Result<(), Failure> {
        let in_flight = self.in_flight();
        let mut end = End { in_flight, cost: self.meter.finish(&self.probes.ebpf), ..End::default() };
        self.probes.stop();
        self.stopped = true;
        end.duration_ns = self.elapsed_ns();
        // Announcements first: a name that is read now is newer.
        self.take_events();
        let renamed = self.identities.renamed(&self.profile.processes, &self.pending.processes);
        self.pending.processes.extend(renamed);
        self.interval().await?;
        end.counters = self.watch.all();
        let symbols = self.interner.symbolize(&self.kernel, &Limits::default());
        self.keep(Chunk::Symbols(symbols))?;
        losses::count(&self.profile, &mut end);
        self.keep(Chunk::End(Box::new(end)))?;
        let Self { output, profile, .. } = self;
        super::output::publish(&profile, &output.finish()?, settings)
    }
}
