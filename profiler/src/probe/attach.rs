//! Loading and attaching, in the order that lets counting start early and sees no call by half.
//!
//! In: a request. Out: [`Probes`]: switches first, so that what a call sleeps is seen of every call that is seen
//! beginning; then system calls. The kernel's BTF is parsed meanwhile. Other BTF tracepoints, samples and the seeding
//! of in-flight calls follow.

use std::borrow::Cow;
use std::fs::File;
use std::thread::{self, JoinHandle};

use anyhow::{Context as _, anyhow};
use aya::programs::perf_event::{PerfEventConfig, PerfEventScope, SamplePolicy, SoftwareEvent};
use aya::programs::{BtfTracePoint, Iter, PerfEvent, RawTracePoint};
use aya::util::online_cpus;
use aya::{Btf, BtfError, Ebpf, EbpfLoader, VerifierLogLevel};

use super::backend::{one_line, unload};
use super::globals::Globals;
use super::lsm::{self, Lsm, LsmRequest};
use super::{Request, log, object};
use crate::failure::Failure;
use crate::plan::backends::{Backend, SYSCALL};
use crate::plan::hooks::INTERRUPTS;
use crate::plan::{self, Assessment};

/// The attached kernel side. Dropping it detaches everything.
pub struct Probes {
    /// Maps and programs.
    pub ebpf: Ebpf,
    /// Monotonic time of the load, ns.
    pub start_ns: u64,
    pub(super) btf: Option<Btf>,
    request: Request,
    /// The `lsm` probe, when it attached.
    pub lsm: Option<Lsm>,
    task_storage: bool,
    follows_children: bool,
    /// The backends that run.
    pub attached: Vec<&'static Backend>,
    /// What the backends that were tried could not do, one sentence each.
    pub fallen: Vec<(plan::Probe, String)>,
    /// What did not attach, with the reason.
    pub refused: Vec<(&'static str, String)>,
}

impl Probes {
    /// Loads the object and attaches what counts system calls.
    ///
    /// # Errors
    /// A binary without kernel side; missing privileges; a kernel that refuses the object.
    pub fn start(request: Request) -> Result<Self, Failure> {
        let globals = Globals::new(&request)?;
        object::allow_memory();
        let mut loader = object::loader();
        loader.btf(None).allow_unsupported_maps();
        loader.verifier_log_level(if request.verbose {
            VerifierLogLevel::DEBUG
        } else {
            VerifierLogLevel::DISABLE
        });
        // As long as loading takes. Not before there is a loader: that must find no file to open.
        let types = thread::spawn(Btf::from_sys_fs);
        globals.inject(&mut loader);
        size_maps(&mut loader, &request);
        let object = if globals.task_storage() {
            loader.map_max_entries("TASKS", 1);
            Cow::Borrowed(object::bytes()?)
        } else {
            object::without_task_storage()?
        };
        let mut ebpf = loader.load(&object).map_err(|error| object::refusal(&error))?;
        if request.log
            && let Err(error) = log::follow(&mut ebpf)
        {
            tracing::warn!("{error:#}");
        }
        let mut probes = Self {
            ebpf,
            start_ns: globals.attach_ns,
            btf: None,
            request,
            lsm: None,
            task_storage: globals.task_storage(),
            follows_children: globals.have_offsets(),
            attached: Vec::new(),
            fallen: Vec::new(),
            refused: Vec::new(),
        };
        probes.add_tgids()?;
        probes.calls(types)?;
        probes.raw_tracepoints(&[
            ("process_exec", "sched_process_exec"),
            ("process_fork", "sched_process_fork"),
            ("process_exit", "sched_process_exit"),
        ])?;
        let by_task = !globals.task_storage() || probes.request.lsm.is_some();
        if by_task || !probes.request.filter.tgids.is_empty() {
            probes.raw_tracepoints(&[("process_free", "sched_process_free")])?;
        }
        Ok(probes)
    }

    /// Attaches what counts system calls: the only backend there is, and counting must not wait for the plan. Switches
    /// before them: of a call that began earlier, nobody could tell the sleep.
    fn calls(&mut self, types: JoinHandle<Result<Btf, BtfError>>) -> Result<(), Failure> {
        let calls = self.request.hooks_calls();
        if calls {
            self.load_raw(SYSCALL)?;
        }
        match types.join().map_err(|_| anyhow!("reading the kernel's types broke off"))? {
            Ok(btf) => self.btf = Some(btf),
            Err(error) => self.refuse("btf", &anyhow!(error)),
        }
        if self.request.syscall {
            // A sleep that a switch begins must find its wakeup seen.
            self.try_btf("sched_switch", &["sched_wakeup", "sched_switch"]);
        }
        if calls { self.attach_raw(SYSCALL) } else { Ok(()) }
    }

    /// Attaches the rest: stacks of waits, locks, samples; seeds the calls in flight. Each part of a probe
    /// gets the first of its candidates that the kernel takes.
    ///
    /// # Errors
    /// Nothing that was asked for can be measured; what is refused beside that is noted in `refused`.
    pub fn complete(&mut self, plan: &[Assessment]) -> Result<(), Failure> {
        if self.request.syscall {
            self.interrupts();
        }
        for assessment in plan {
            self.attach_parts(assessment);
            if !self.follows_children && !self.request.filter.tgids.is_empty() {
                let miss = "Children of --pid are not followed: the kernel has no type information.";
                self.fallen.push((assessment.probe, miss.to_owned()));
            }
        }
        // Without rows of their own, samples still label slow calls.
        if self.request.syscall
            && !self.request.cpu
            && let Err(error) = self.samples()
        {
            self.refuse("cpu", &error);
        }
        if self.request.hooks_calls()
            && let Err(error) = self.seed_in_flight()
        {
            self.refuse("in_flight", &error);
        }
        self.useful()
    }

    /// The probe is refused when none of its parts runs.
    fn attach_parts(&mut self, assessment: &Assessment) {
        let probe = assessment.probe;
        let mut runs = false;
        for choice in &assessment.choices {
            runs |= self.attach_first(probe, choice);
        }
        if !runs {
            let fallen =
                self.fallen.iter().filter(|(fallen, _)| *fallen == probe).map(|(_, why)| why.clone());
            let causes = assessment.obstacles.iter().map(|obstacle| obstacle.cause.clone());
            let why: Vec<String> = fallen.chain(causes).collect();
            self.refused.push((probe.name(), why.join("; ")));
        }
    }

    /// What of the security layer is asked for.
    pub(super) fn security_request(&self) -> Option<&LsmRequest> {
        self.request.lsm.as_ref()
    }

    /// What its programs need not look at.
    pub(super) fn lsm_mode(&self) -> lsm::Mode {
        let filter = &self.request.filter;
        let everybody = filter.tgids.is_empty() && filter.cgroups.is_empty() && filter.comms.is_empty();
        lsm::Mode {
            filtered: !everybody || self.request.cpus.is_some(),
            in_calls: self.request.syscall,
            // The guard came with task storage for tracing programs, 5.12.
            unguarded: !self.task_storage,
        }
    }

    /// Whether the verifier's last lines are wanted.
    pub(super) fn verbose(&self) -> bool {
        self.request.verbose
    }

    /// Whether switches are followed.
    pub fn follows_switches(&self) -> bool {
        self.ebpf.program("sched_switch").is_some_and(|program| program.fd().is_ok())
    }

    /// Whether a part attached.
    pub fn has(&self, part: &str) -> bool {
        !self.refused.iter().any(|(refused, _)| *refused == part)
    }

    fn useful(&self) -> Result<(), Failure> {
        let Request { syscall, lock, offcpu, runq, cpu, .. } = self.request;
        let lsm = self.request.lsm.is_some();
        let parts = [
            ("syscall", syscall),
            ("lock", lock),
            ("lsm", lsm),
            ("offcpu", offcpu),
            ("runq", runq),
            ("cpu", cpu),
        ];
        if parts.iter().any(|(part, on)| *on && self.has(part)) {
            return Ok(());
        }
        let why: Vec<String> = self.refused.iter().map(|(part, why)| format!("{part}: {why}")).collect();
        Err(Failure::Privilege(format!(
            "nothing of what was asked for can be measured here ({}); `profiler check` names the mend",
            why.join("; ")
        )))
    }

    fn refuse(&mut self, part: &'static str, error: &anyhow::Error) {
        let why = one_line(error);
        tracing::warn!("{part}: {why}");
        self.refused.push((part, why));
    }

    fn add_tgids(&mut self) -> Result<(), Failure> {
        let map = self.ebpf.map_mut("TARGETS").context("the object has no TARGETS map")?;
        let mut targets: aya::maps::HashMap<_, u32, u64> = map.try_into().context("TARGETS")?;
        for tgid in &self.request.filter.tgids {
            targets.insert(tgid, 0, 0).context("adding a process to the target")?;
        }
        Ok(())
    }

    /// Loads (program, tracepoint) pairs, then attaches them: what comes between two attachments
    /// looks like ends without beginnings, so nothing slow does.
    fn raw_tracepoints(&mut self, pairs: &[(&str, &str)]) -> Result<(), Failure> {
        self.load_raw(pairs)?;
        self.attach_raw(pairs)
    }

    fn load_raw(&mut self, pairs: &[(&str, &str)]) -> Result<(), Failure> {
        for (program, _) in pairs {
            self.raw_tracepoint(program)?.load().map_err(|error| object::refusal(&error))?;
        }
        Ok(())
    }

    fn attach_raw(&mut self, pairs: &[(&str, &str)]) -> Result<(), Failure> {
        for (program, tracepoint) in pairs {
            let program = self.raw_tracepoint(program)?;
            program.attach(tracepoint).with_context(|| format!("attaching to {tracepoint}"))?;
        }
        Ok(())
    }

    /// Hooks interrupts, ends first; of kernels that have no such tracepoint they stay in the time on the CPU.
    fn interrupts(&mut self) {
        for pair in INTERRUPTS {
            if let Err(failure) = self.raw_tracepoints(&pair.map(|name| (name, name))) {
                self.refuse("interrupts", &anyhow!(failure.to_string()));
            }
        }
    }

    fn raw_tracepoint(&mut self, program: &str) -> anyhow::Result<&mut RawTracePoint> {
        let found = self.ebpf.program_mut(program);
        Ok(found.with_context(|| format!("the object has no program {program}"))?.try_into()?)
    }

    fn try_btf(&mut self, part: &'static str, programs: &[&str]) {
        if let Err(error) = self.btf_tracepoints(programs) {
            self.refuse(part, &error);
        }
    }

    /// As [`Self::raw_tracepoints`]; those that another probe has attached serve both.
    pub(super) fn btf_tracepoints(&mut self, names: &[&str]) -> anyhow::Result<()> {
        let btf = self.btf.as_ref().context("the kernel has no BTF")?;
        let runs = |program: &&str| self.ebpf.program(program).is_some_and(|program| program.fd().is_ok());
        let names: Vec<&str> = names.iter().filter(|name| !runs(name)).copied().collect();
        for name in &names {
            let program: &mut BtfTracePoint =
                self.ebpf.program_mut(name).context("no such program")?.try_into()?;
            program.load(name, btf).with_context(|| format!("loading {name}"))?;
        }
        for name in &names {
            let program: &mut BtfTracePoint =
                self.ebpf.program_mut(name).context("no such program")?.try_into()?;
            program.attach().with_context(|| format!("attaching to {name}"))?;
        }
        Ok(())
    }

    pub(super) fn samples(&mut self) -> anyhow::Result<()> {
        let cpus = match &self.request.cpus {
            Some(cpus) => cpus.clone(),
            None => online_cpus().map_err(|(path, error)| anyhow!("{path}: {error}"))?,
        };
        let program: &mut PerfEvent =
            self.ebpf.program_mut("cpu_sample").context("no such program")?.try_into()?;
        program.load().context("loading cpu_sample")?;
        for cpu in cpus {
            program
                .attach(
                    PerfEventConfig::Software(SoftwareEvent::CpuClock),
                    PerfEventScope::AllProcessesOneCpu { cpu },
                    SamplePolicy::Frequency(self.request.frequency_hz),
                    false,
                )
                .with_context(|| format!("sampling CPU {cpu}"))?;
        }
        Ok(())
    }

    /// Seeds the calls that threads are in: a first run of the task iterator, which finds none in flight yet.
    fn seed_in_flight(&mut self) -> anyhow::Result<()> {
        std::io::copy(&mut self.in_flight()?, &mut std::io::sink()).context("reading the task iterator")?;
        Ok(())
    }

    /// The task iterator, which runs as it is read: it tells the calls in flight.
    ///
    /// # Errors
    /// The kernel has no task iterator.
    pub fn in_flight(&mut self) -> anyhow::Result<File> {
        let btf = self.btf.as_ref().context("the kernel has no BTF")?;
        let program: &mut Iter =
            self.ebpf.program_mut("in_flight_tasks").context("no such program")?.try_into()?;
        if program.fd().is_err() {
            program.load("task", btf).context("loading the task iterator")?;
        }
        let link = program.attach().context("attaching the task iterator")?;
        let link = program.take_link(link)?;
        link.into_file().context("opening the task iterator")
    }

    /// Detaches every program; the maps stay to be drained.
    pub fn stop(&mut self) {
        // Closing its descriptors detaches.
        self.lsm = None;
        // What begins calls and waits goes first, so that none begins that cannot end.
        for (_, program) in self.ebpf.programs_mut().filter(|(name, _)| begins(name)) {
            unload(program);
        }
        for (_, program) in self.ebpf.programs_mut().filter(|(name, _)| !begins(name)) {
            unload(program);
        }
    }
}

/// Whether a program opens what another one closes.
fn begins(program: &str) -> bool {
    const BEGIN: [&str; 4] = ["sys_enter", "contention_begin", "enter_", "kprobe_"];
    BEGIN.iter().any(|begin| program.starts_with(begin))
}

/// Shrinks the maps of probes that are off.
fn size_maps(loader: &mut EbpfLoader<'_>, request: &Request) {
    let unused = [
        (request.syscall, ["LATENCY", "ERRORS", "SLOW", "PARTS"].as_slice()),
        (request.lock, ["LOCKS", "OWNERS"].as_slice()),
        (request.offcpu || request.runq, ["WAITS"].as_slice()),
        (request.offcpu, ["WAIT_STACKS"].as_slice()),
        (request.runq, ["NEIGHBOURS"].as_slice()),
        (request.lsm.is_some(), ["LSM_ROWS", "LSM_CACHE", "LSM_STACKS"].as_slice()),
        (request.cpu, ["SAMPLES"].as_slice()),
        (!request.filter.tgids.is_empty(), ["TARGETS"].as_slice()),
    ];
    if let Some(lsm) = &request.lsm {
        let sites = lsm::site::most(&lsm.hooks, &lsm.modules) as u32;
        loader.map_max_entries("LSM_CACHE", 2 * sites.max(1));
    }
    if !request.log {
        // The smallest ring there is.
        loader.map_max_entries("AYA_LOGS", 4096);
    }
    for name in unused.iter().filter(|(used, _)| !used).flat_map(|(_, maps)| *maps) {
        loader.map_max_entries(name, 1);
    }
}
