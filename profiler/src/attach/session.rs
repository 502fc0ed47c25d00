//! Loading and attaching, in an order that lets counting start early and sees each call whole.
//!
//! In: a request. Out: [`Attached`]. Switches are attached before system calls: if the begin of a call is
//! seen, its sleep is seen, too. The kernel's BTF is parsed meanwhile. Other BTF tracepoints, samples and the
//! seeding of in-flight calls follow.

use std::fs::File;
use std::thread::{self, JoinHandle};

use anyhow::{Context as _, anyhow};
use aya::programs::{BtfTracePoint, Iter, PerfEvent, RawTracePoint};
use aya::{Btf, BtfError, Ebpf, VerifierLogLevel};

use super::clock::now_ns;
use super::globals::Globals;
use super::kernel_function::{self, Holding};
use super::lsm::{self, Lsm, LsmRequest};
use super::refusal::{one_line, unload};
use super::request::Request;
use super::sampling::Sampling;
use super::{follow, load, log, object, sizes};
use crate::failure::Failure;
use crate::machine::limit;
use crate::plan::Assessment;
use crate::plan::backend::{Backend, Beside};
use crate::plan::hooks::{
    CALLS, CGROUPS, CPU_SAMPLE, IN_FLIGHT, INTERRUPTS, PROCESS_FREE, PROCESSES, RECEIVES, SIGNALS, SWITCHES,
};
use crate::plan::table;
use crate::probe::Probe;

/// The attached kernel side. Dropping it detaches everything.
pub struct Attached {
    /// Maps and programs.
    pub ebpf: Ebpf,
    /// Monotonic time from which calls count, ns.
    pub start_ns: u64,
    pub(super) btf: Option<Btf>,
    pub(super) request: Request,
    /// The `lsm` probe, when it attached.
    pub lsm: Option<Lsm>,
    sampling: Option<Sampling>,
    task_storage: bool,
    follows_children: bool,
    tells_deaths: bool,
    /// The backends that run.
    pub attached: Vec<&'static Backend>,
    /// What the backends that were tried could not do, one sentence each.
    pub fallen: Vec<(Probe, String)>,
    /// What did not attach, with the reason.
    pub refused: Vec<(&'static str, String)>,
}

impl Attached {
    /// Loads the object and attaches what counts system calls.
    ///
    /// # Errors
    /// A binary without kernel side; missing privileges; a kernel that refuses the object.
    pub fn start(request: Request) -> Result<Self, Failure> {
        let globals = Globals::new(&request)?;
        let object = request.object.clone();
        object::allow_memory();
        limit::raise_open_files();
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
        object.inject(&mut loader);
        sizes::shrink(&mut loader, &request, globals.task_storage());
        let mut bytes = if globals.task_storage() {
            object.bytes().to_vec()
        } else {
            object::without_task_storage(object.bytes())?
        };
        kernel_function::bind(&mut bytes, Holding::of_this_kernel());
        if !request.verbose {
            object::drop_lines(&mut bytes);
        }
        let mut ebpf = loader.load(&bytes).map_err(|error| object::refusal(&error))?;
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
            sampling: None,
            task_storage: globals.task_storage(),
            follows_children: globals.have_offsets(),
            tells_deaths: globals.tells_deaths(),
            attached: Vec::new(),
            fallen: Vec::new(),
            refused: Vec::new(),
        };
        probes.add_tgids()?;
        probes.calls(types)?;
        probes.raw_tracepoints(PROCESSES)?;
        if !probes.request.filter.cgroups.is_empty() {
            follow::wait_for_all(&mut probes.ebpf, &probes.request.filter.cgroups)?;
            probes.raw_tracepoints(CGROUPS)?;
        }
        let by_task = !globals.task_storage() || probes.request.lsm.is_some();
        if by_task || !probes.request.filter.tgids.is_empty() {
            probes.raw_tracepoints(PROCESS_FREE)?;
        }
        Ok(probes)
    }

    /// Attaches what counts system calls: the only backend there is, and counting must not wait for the plan. Switches
    /// before them: of a call that began earlier, nobody could tell the sleep.
    fn calls(&mut self, types: JoinHandle<Result<Btf, BtfError>>) -> Result<(), Failure> {
        let calls = self.beside(Beside::Calls);
        if calls {
            self.load_raw(CALLS)?;
        }
        match types.join().map_err(|_| anyhow!("reading the kernel's types broke off"))? {
            Ok(btf) => self.btf = Some(btf),
            Err(error) => self.refuse("btf", &anyhow!(error)),
        }
        if self.beside(Beside::Switches) {
            self.try_btf("sched_switch", SWITCHES);
        }
        // Not when loading began: nothing is seen meanwhile, and a busy machine takes seconds to verify programs.
        self.start_ns = now_ns();
        if calls { self.attach_raw(CALLS) } else { Ok(()) }
    }

    /// Attaches the rest: stacks of waits, locks, samples; seeds the calls in flight. Each part of a probe
    /// gets the first of its candidates that the kernel takes.
    ///
    /// # Errors
    /// Nothing that was asked for can be measured. A part that is refused is noted in `refused`.
    pub fn complete(&mut self, plan: &[Assessment]) -> Result<(), Failure> {
        if self.beside(Beside::Interrupts) {
            self.interrupts();
        }
        if self.beside(Beside::Receives) {
            self.try_btf("receives", RECEIVES);
        }
        if self.tells_deaths
            && let Err(failure) = self.raw_tracepoints(SIGNALS)
        {
            self.refuse("senders", &anyhow!(failure.to_string()));
        }
        for assessment in plan {
            self.attach_parts(assessment);
            if !self.follows_children && !self.request.filter.tgids.is_empty() {
                let miss = "Children of --pid are not followed: the kernel has no type information.";
                self.fallen.push((assessment.probe, miss.to_owned()));
            }
        }
        // Without rows of their own, samples still label slow calls.
        if self.beside(Beside::Samples)
            && !self.samples_asked()
            && let Err(error) = self.samples()
        {
            self.refuse("cpu", &error);
        }
        if self.beside(Beside::Calls)
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

    /// Whether a probe that was asked for has this attached beside its backends.
    fn beside(&self, beside: Beside) -> bool {
        table::beside(self.request.probes, beside)
    }

    /// Whether a probe that was asked for has samples for its rows: its own attempt decides.
    fn samples_asked(&self) -> bool {
        let rows = self.request.probes.iter().map(table::row);
        rows.flat_map(|row| row.backends).any(|backend| backend.hooks.programs().contains(&CPU_SAMPLE))
    }

    /// What of the security layer is asked for.
    pub(super) fn security_request(&self) -> Option<&LsmRequest> {
        self.request.lsm.as_ref()
    }

    /// What its programs need not look at.
    pub(super) fn lsm_mode(&self) -> lsm::Mode {
        let filter = &self.request.filter;
        let by_name = !filter.comms.is_empty() || !filter.threads.is_empty();
        let everybody = filter.tgids.is_empty() && filter.cgroups.is_empty() && !by_name;
        lsm::Mode {
            filtered: !everybody || self.request.cpus.is_some(),
            in_calls: self.beside(Beside::Interrupts),
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
        if self.request.probes.iter().any(|probe| self.has(probe.name())) {
            return Ok(());
        }
        let why: Vec<String> = self.refused.iter().map(|(part, why)| format!("{part}: {why}")).collect();
        Err(Failure::Privilege(format!(
            "nothing of what was asked for can be measured here ({}); `profiler check` says what to change",
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
    /// looks like ends without beginnings, so nothing slow does. Those that are attached already serve both.
    pub(super) fn raw_tracepoints(&mut self, pairs: &[(&str, &str)]) -> Result<(), Failure> {
        let runs = |program: &str| self.ebpf.program(program).is_some_and(|program| program.fd().is_ok());
        let missing: Vec<_> = pairs.iter().copied().filter(|(program, _)| !runs(program)).collect();
        self.load_raw(&missing)?;
        self.attach_raw(&missing)
    }

    fn load_raw(&mut self, pairs: &[(&str, &str)]) -> Result<(), Failure> {
        for (program, _) in pairs {
            self.raw_tracepoint(program)?;
        }
        let is_wanted = |name: &str| pairs.iter().any(|(program, _)| *program == name);
        let wanted = self.ebpf.programs_mut().filter(|(name, _)| is_wanted(name));
        load::side_by_side(wanted.map(|(_, program)| program)).map_err(|error| object::refusal(&error))?;
        // Those for which no thread was to be had.
        for (program, _) in pairs {
            let program = self.raw_tracepoint(program)?;
            if program.fd().is_err() {
                program.load().map_err(|error| object::refusal(&error))?;
            }
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

    /// As [`Self::raw_tracepoints`]. Programs that another probe has attached serve both probes.
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
        let program: &mut PerfEvent =
            self.ebpf.program_mut(CPU_SAMPLE).context("no such program")?.try_into()?;
        program.load().context("loading cpu_sample")?;
        let program = program.fd()?.try_clone().context("cpu_sample")?;
        self.sampling = Some(Sampling::start(program, self.request.frequency_hz, self.request.cpus.clone())?);
        Ok(())
    }

    /// Lets samples follow the CPUs that came and went: how long CPUs were online and not sampled, ns.
    pub fn follow_cpus(&mut self, thorough: bool) -> u64 {
        self.sampling.as_mut().map_or(0, |sampling| sampling.follow(thorough))
    }

    /// Seeds the calls that threads are in: a first run of the task iterator, which finds none in flight yet.
    fn seed_in_flight(&mut self) -> anyhow::Result<()> {
        std::io::copy(&mut self.in_flight()?, &mut std::io::sink()).context("reading the task iterator")?;
        Ok(())
    }

    /// The task iterator, which runs while it is read and lists the calls in flight.
    ///
    /// # Errors
    /// The kernel has no task iterator.
    pub fn in_flight(&mut self) -> anyhow::Result<File> {
        let btf = self.btf.as_ref().context("the kernel has no BTF")?;
        let program: &mut Iter = self.ebpf.program_mut(IN_FLIGHT).context("no such program")?.try_into()?;
        if program.fd().is_err() {
            program.load("task", btf).context("loading the task iterator")?;
        }
        let link = program.attach().context("attaching the task iterator")?;
        let link = program.take_link(link)?;
        link.into_file().context("opening the task iterator")
    }

    /// Detaches every program; the maps stay to be drained. What is seen last is what others need to be whole: no call
    /// begins that cannot end, and no call ends whose switches and wakeup were not seen.
    pub fn stop(&mut self) {
        // Closing its descriptors detaches.
        (self.lsm, self.sampling) = (None, None);
        let late = |name: &str| SWITCHES.contains(&name);
        self.unload_all(begins);
        // The task iterator runs when it is read only, and is read once more.
        self.unload_all(|name| !begins(name) && !late(name) && name != IN_FLIGHT);
        for switches in SWITCHES.iter().rev() {
            self.unload_all(|name| name == *switches);
        }
    }

    fn unload_all(&mut self, goes: impl Fn(&str) -> bool) {
        for (_, program) in self.ebpf.programs_mut().filter(|(name, _)| goes(name)) {
            unload(program);
        }
    }
}

/// Whether a program opens what another one closes.
fn begins(program: &str) -> bool {
    const BEGIN: [&str; 4] = ["sys_enter", "contention_begin", "enter_", "kprobe_"];
    BEGIN.iter().any(|begin| program.starts_with(begin))
}
