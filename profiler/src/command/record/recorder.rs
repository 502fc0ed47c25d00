//! The recorder: joins what `collect` drains with what `symbol` knows, into chunks.
//!
//! In: attached probes. Out: chunks, each written to the capture and applied to the profile that is rendered at the end.

mod bounds;
mod crash;
mod finish;
mod in_flight;
mod others;
mod sleepers;
mod subjects;
mod unwound;

use std::time::{Duration, Instant};

use anyhow::Context as _;
use aya::maps::{MapData, PerCpuArray, RingBuf};
use profiler_common::syscall::Slot;
use tokio::io::unix::AsyncFd;

use super::context::{context, kernel_symbols};
use super::copied::Unwound;
use super::death;
use super::disks;
use super::ended::Ended;
use super::follow::Follower;
use super::header::{Plan, header, refresh};
use super::identity::{self, Identities};
use super::nameless::Nameless;
use super::output::Output;
use super::overrun::{self, Work};
use super::scope::Scope;
use crate::attach::{Attached, Lsm};
use crate::cli::settings::RecordSettings;
use crate::collect::{Contexts, Drained, Event, Meter, Outcomes, Rows, parse_event, wait_for_programs};
use crate::environment::Watch;
use crate::failure::Failure;
use crate::profile::ledger::Population;
use crate::profile::{Chunk, Class, Header, Interval, Pid, Process, Profile};
use crate::symbol::{Interner, KernelSymbols, Roles, name_objects};
use crate::target::Owners;

/// Events that come within this time of others share a wake-up.
const COALESCE: Duration = Duration::from_millis(2);

/// The machine's counters are read in one interval of so many, the target's in each.
const ALL_COUNTERS_EVERY: u64 = 10;

/// One session being recorded.
pub struct Recorder {
    probes: Attached,
    rows: Rows,
    slots: PerCpuArray<MapData, Slot>,
    outcomes: Outcomes,
    events: AsyncFd<RingBuf<MapData>>,
    unwound: Unwound,
    meter: Meter,
    interner: Interner,
    kernel: KernelSymbols,
    contexts: Contexts,
    /// Rows whose stack has not arrived yet.
    late: Drained,
    owners: Owners,
    identities: Identities,
    ended: Ended,
    watch: Watch,
    follower: Follower,
    /// The capture's header until it is written: recording begins when there is something to record.
    header: Option<Box<Header>>,
    intervals: u64,
    /// How long the machine had been suspended since it booted, when recording began, ns.
    asleep_ns: u64,
    nameless: Nameless,
    roles: Roles,
    pending: Interval,
    output: Output,
    profile: Profile,
    /// Frames after which a stack is cut.
    stack_frames: u32,
    /// The programs are detached: no more stacks come.
    stopped: bool,
    /// What the profiler was busy with, for a recording that takes too long.
    work: Work,
    begun: Instant,
    /// Sentences about this recording that are known before its end.
    told: Vec<String>,
    /// When recording was told to end, ns since its start: what ends after that is no death of the target's.
    end_ns: Option<u64>,
}

impl Recorder {
    /// Takes over attached probes; [`Self::begin`] begins.
    ///
    /// # Errors
    /// An object without its maps.
    pub fn new(
        settings: &RecordSettings,
        mut scope: Scope,
        (mut probes, plan): (Attached, Plan),
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
        let unwound = Unwound::new(&mut probes.ebpf, settings, &scope.members)?;
        let header = header(settings, &mut scope, &probes, &plan);
        let mut meter = meter;
        for (name, program) in probes.lsm.iter().flat_map(Lsm::programs) {
            meter.watch(name, program);
        }
        let follower = Follower::new(&mut probes.ebpf, scope.seeks, scope.finder)?;
        meter.release_maps(&mut probes.ebpf);
        Ok(Self {
            rows,
            slots: PerCpuArray::try_from(slots).context("SLOTS")?,
            outcomes,
            // SAFETY: the ring buffer keeps its descriptor open for as long as it lives, inside the AsyncFd.
            events: unsafe { AsyncFd::register(ring) }.context("watching the ring buffer")?,
            unwound,
            meter,
            interner: Interner::new(),
            // Read after attaching: our own programs have symbols, too.
            kernel: kernel_symbols(),
            contexts: Contexts::new(),
            late: Drained::default(),
            owners: scope.owners,
            identities: Identities::default(),
            ended: Ended::new(),
            watch: scope.watch,
            follower,
            header: Some(Box::new(header)),
            intervals: 0,
            asleep_ns: identity::asleep_ns(),
            nameless: Nameless::default(),
            roles: Roles::default(),
            pending: Interval::default(),
            output,
            profile: Profile::default(),
            stack_frames: plan.limits.stack_frames,
            stopped: false,
            work: Work::default(),
            begun: Instant::now(),
            told: Vec::new(),
            end_ns: None,
            probes,
        })
    }

    /// Whether there is anything to record.
    pub fn has_target(&self) -> bool {
        self.follower.has_any()
    }

    /// What of the target is waited for, in words.
    pub fn awaited(&self) -> String {
        self.follower.awaited()
    }

    /// Writes the capture's header. With `anew`, the session starts now and not with the first program attached: nothing
    /// was there before.
    ///
    /// # Errors
    /// A capture that cannot be written.
    pub fn begin(&mut self, anew: bool) -> Result<(), Failure> {
        let mut header = self.header.take().context("the recording has begun")?;
        if anew {
            let begun_ns = self.pending.presence.iter().map(|change| change.at_ns).max().unwrap_or(0);
            self.probes.start_ns = self.probes.start_ns.saturating_add(begun_ns);
            self.pending.presence.iter_mut().for_each(|change| change.at_ns = 0);
            refresh(&mut header, &mut self.watch);
        }
        self.begun = Instant::now();
        self.work.queued = overrun::queued();
        self.follower.begin(&mut self.pending);
        if self.follower.is_needed() {
            self.owners.prime();
        }
        self.look_at_few();
        self.keep(Chunk::Header(header))
    }

    /// What was recorded so far.
    pub fn profile(&self) -> &Profile {
        &self.profile
    }

    /// Whether a run-time window is open.
    pub const fn window_open(&self) -> bool {
        self.meter.window_open()
    }

    /// Begins a run-time window, when an interval has just ended; returns when it shall end.
    pub fn open_window(&mut self) -> Instant {
        self.meter.open_window(&self.probes.ebpf)
    }

    /// Ends the run-time window, and the interval with it: the interval's events are those that it timed.
    ///
    /// # Errors
    /// As [`Self::interval`].
    pub async fn close_window(&mut self) -> Result<(), Failure> {
        self.meter.close_window(&self.probes.ebpf);
        self.interval().await
    }

    /// Lets samples follow the CPUs; `thorough`: also those that were away only for a moment.
    pub fn follow_cpus(&mut self, thorough: bool) {
        let unsampled_ns = self.probes.follow_cpus(thorough);
        self.pending.ledger.count(Class::CpuUnsampledNs, unsampled_ns);
    }

    /// Some times a second: samples follow the CPUs, and files that nobody maps any more are let go.
    pub fn look(&mut self) {
        self.follow_cpus(false);
        self.take_copies();
        self.interner.let_go();
        self.look_again();
    }

    /// Waits for events and takes them.
    ///
    /// # Errors
    /// The ring buffer cannot be watched.
    pub async fn events(&mut self) -> Result<(), Failure> {
        tokio::select! {
            ready = self.events.readable() => ready.context("watching the ring buffer")?.clear_ready(),
            many = self.unwound.many() => many.context("watching the rings of copies")?,
        }
        self.take_events();
        self.take_copies();
        // The first event is taken at once, its process may be gone soon; a burst behind it shares a wake-up.
        tokio::time::sleep(COALESCE).await;
        Ok(())
    }

    fn take_events(&mut self) {
        while let Some(event) =
            self.events.get_mut().next().map(|record| parse_event(&record, self.stack_frames))
        {
            match event {
                Some(Event::Stack { id, pid: Some(pid), addresses, truncated }) => {
                    self.unwound.list(&mut self.interner, (id, pid), &addresses, truncated);
                }
                Some(Event::Stack { id, pid: None, addresses, truncated }) => {
                    self.contexts.insert(id, context(&self.kernel, &addresses));
                    self.interner.kernel_stack(id, &addresses, truncated);
                }
                Some(Event::Process { pid, time_ns, comm, cgroup }) => {
                    if self.identities.announce(pid, time_ns) {
                        self.pending.ledger.count(Class::PidReused, 1);
                    }
                    self.unwind_before(pid, time_ns);
                    self.see(pid, comm, cgroup);
                }
                Some(Event::Cgroup { event, path }) => {
                    self.follower.note(event, path, (self.probes.start_ns, &mut self.pending));
                }
                Some(Event::Death(event)) => {
                    let of = |cgroup| self.owners.owner_of_cgroup(cgroup).unwrap_or_default().container;
                    let row =
                        death::row(&event, [event.cgroup, event.sender_cgroup].map(of), self.probes.start_ns);
                    death::keep(row, (&self.profile, &mut self.pending), self.end_ns);
                }
                None => self.pending.ledger.count(Class::Implausible, 1),
            }
        }
    }

    /// A process came into view, or became another program.
    fn see(&mut self, pid: Pid, comm: String, cgroup: u64) {
        self.ended.seen(pid);
        if self.profile.processes.get(pid).is_some() {
            self.interner.forget(pid);
        }
        self.foresee(pid);
        let owner = self.owners.owner(pid.0, cgroup);
        // Without a certain name it may be a container that its runtime has not described yet: asked once more.
        let nameless = owner.as_ref().is_none_or(|owner| owner.container.is_empty() || !owner.certain);
        self.nameless.note(pid, nameless.then_some(cgroup));
        let (container, cgroup) = owner.map(|owner| (owner.container, owner.cgroup)).unwrap_or_default();
        let label =
            if self.probes.lsm.is_some() { crate::environment::security_label(pid.0) } else { String::new() };
        // Who belongs to a container belongs together, whoever started it.
        let parent = if container.is_empty() { identity::parent(pid) } else { Pid(0) };
        let known = Process { pid, comm, container, cgroup, label, parent, ..Process::default() };
        self.pending.processes.push(known);
    }

    /// Whether asking again for those without a name may help.
    pub fn awaits_names(&self) -> bool {
        self.nameless.is_hopeful() || self.follower.is_hopeful()
    }

    /// Asks again for those without a name.
    pub fn ask_again(&mut self) {
        self.follower.ask(self.probes.start_ns, &mut self.pending);
        let named = self.nameless.ask(&mut self.owners);
        self.pending.processes.extend(named);
    }

    /// Ends an interval: drains, names the new kernel frames, keeps the chunk.
    ///
    /// # Errors
    /// A map that cannot be drained; a capture that cannot be written.
    pub async fn interval(&mut self) -> Result<(), Failure> {
        let start = Instant::now();
        self.follow_cpus(true);
        let finished = self.rows.flip()?;
        let waiting = Instant::now();
        self.wait_for_programs().await?;
        let programs = waiting.elapsed();
        let mut drained = self.rows.take_epoch(finished)?;
        self.outcomes.add_to(&mut self.pending.ledger)?;
        // After the rows: the stacks they refer to are in the ring buffer by now, if it had room for them.
        self.take_events();
        self.take_copies();
        self.unwind();
        self.unwound.rename(&mut self.interner, &mut drained);
        let found = self.nameless.give_up(&mut self.owners);
        self.pending.processes.extend(found);
        self.see_others(&drained);
        drained.hold_back(&mut self.late, &self.contexts, self.stopped);
        let mut interval = std::mem::take(&mut self.pending);
        interval.start_ns = self.profile.duration_ns;
        interval.end_ns = self.elapsed_ns();
        self.intervals += 1;
        interval.counters = self.watch.changed(self.intervals.is_multiple_of(ALL_COUNTERS_EVERY));
        drained.add_to(&mut interval, &self.contexts);
        self.meter.note_events(interval.ledger.own_events());
        self.drop_stacks(&mut interval);
        let waited = interval.waits.stacks.keys().filter(|key| key.row.nr.is_some()).map(|key| key.row.pid);
        let told = self.roles.look(waited);
        let told = told.into_iter().map(|(pid, role)| Process { pid, role, ..Process::default() });
        interval.processes.extend(told);
        disks::complete(&mut interval, &drained, (&mut self.owners, self.probes.start_ns));
        interval.slowest = drained.syscall.slowest(self.probes.start_ns);
        let kept = &self.profile.slowest;
        name_objects(interval.slowest.iter_mut().filter(|call| call.is_among(kept)));
        self.interner.settle(self.stopped);
        interval.ended = self.ended.due();
        (interval.modules, interval.frames, interval.stacks) = self.interner.take_new();
        interval.cuts = self.interner.take_cuts();
        interval.ledger.grow(Population::Frames, interval.frames.len() as u64);
        let mut symbols = self.interner.symbolize_kernel_new(&self.kernel);
        symbols.locks =
            self.kernel.locks(interval.lock.rows.keys().map(|key| key.lock).filter(|lock| *lock != 0));
        self.keep(Chunk::Interval(Box::new(interval)))?;
        self.keep(Chunk::Symbols(symbols))?;
        self.forget_ended()?;
        self.work.note(programs, start.elapsed());
        Ok(())
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

    fn elapsed_ns(&self) -> u64 {
        crate::attach::now_ns().saturating_sub(self.probes.start_ns)
    }

    fn keep(&mut self, chunk: Chunk) -> Result<(), Failure> {
        self.output.append(&chunk, self.profile.duration_ns)?;
        self.profile.apply(chunk);
        Ok(())
    }
}
