//! Candidates, one after the other, until one attaches.
//!
//! In: the choices of the plan. Out: the backends that run; for each that does not, one line, and at `-v`
//! the verifier's last lines. A backend attaches wholly or not at all.

use anyhow::{Context as _, bail};
use aya::Btf;
use aya::programs::{FEntry, FExit, KProbe, Program, ProgramError};

use super::lsm::{Lsm, Mechanism};
use super::refusal::{one_line, unload, verifier_lines};
use super::session::Attached;
use crate::plan::Choice;
use crate::plan::backend::Backend;
use crate::plan::hooks::{Absent, CALLS, Hooks, SWITCHES, SlowPath};
use crate::probe::Probe;

impl Attached {
    /// Attaches the first candidate that the kernel takes; `false` when it takes none.
    pub(super) fn attach_first(&mut self, probe: Probe, choice: &Choice) -> bool {
        for (position, backend) in choice.candidates.iter().enumerate() {
            match self.hook(backend) {
                Ok(()) => {
                    self.attached.push(backend);
                    return true;
                }
                Err(error) => {
                    self.unhook(backend);
                    let next = choice.candidates.get(position + 1).map(|next| next.name);
                    self.tell_failed(probe, (backend, next), &error);
                }
            }
        }
        false
    }

    /// Says why a backend does not run, and what runs instead.
    fn tell_failed(
        &mut self,
        probe: Probe,
        (backend, next): (&Backend, Option<&str>),
        error: &anyhow::Error,
    ) {
        let place = backend.part.of(probe);
        let why = one_line(error);
        let instead =
            next.map_or_else(|| "no other backend is left".to_owned(), |next| format!("trying {next}"));
        tracing::warn!("{place}: {} did not attach ({why}); {instead}", backend.name);
        if self.verbose() {
            for line in verifier_lines(error) {
                tracing::warn!("  verifier: {line}");
            }
        }
        self.fallen.push((probe, format!("{place}: {} did not attach: {why}", backend.name)));
    }

    fn hook(&mut self, backend: &Backend) -> anyhow::Result<()> {
        // Two parts of a probe may share a backend: it is attached once.
        if self.attached.iter().any(|running| running.hooks == backend.hooks) {
            return Ok(());
        }
        match backend.hooks {
            Hooks::BtfTracepoints(names) => self.btf_tracepoints(names),
            Hooks::SecurityTrampolines => self.security_layer(Mechanism::Trampoline),
            Hooks::SecurityKprobes => self.security_layer(Mechanism::KProbe),
            Hooks::CpuClock => self.samples(),
            Hooks::Trampolines(paths) => self.slow_paths(paths, Self::trampoline),
            Hooks::Kprobes(paths) => self.slow_paths(paths, Self::kprobe),
            Hooks::Entry(program, function) => self.entry(program, function),
            Hooks::RawTracepoints(pairs) => Ok(self.raw_tracepoints(pairs)?),
            Hooks::Cycles => bail!("not in this version"),
        }
    }

    /// Hooks functions, the returns before the entries: an end without a begin can be recognized, a begin without an end cannot.
    fn slow_paths(
        &mut self,
        paths: &[SlowPath],
        hook: fn(&mut Self, &SlowPath, Side) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let mut there = Vec::new();
        for path in paths {
            match hook(self, path, Side::Return) {
                Ok(()) => there.push(path),
                Err(error) if path.absent == Absent::Fails => return Err(error),
                Err(error) => self.miss(path, &error),
            }
        }
        there.into_iter().try_for_each(|path| hook(self, path, Side::Entry))
    }

    /// Notes a function that this kernel does not let us hook.
    fn miss(&mut self, path: &SlowPath, error: &anyhow::Error) {
        let function = path.functions.first().copied().unwrap_or_default();
        tracing::debug!("{function}: {}", one_line(error));
        if path.absent == Absent::Unseen {
            let text = format!("What waits in {function} is unseen: {}.", one_line(error));
            self.fallen.push((Probe::Lock, text));
        }
    }

    fn trampoline(&mut self, path: &SlowPath, side: Side) -> anyhow::Result<()> {
        self.through_trampoline(side.of(path.trampoline), path.functions)
    }

    /// Hooks the entry of a function.
    fn entry(&mut self, program: &str, function: &str) -> anyhow::Result<()> {
        self.through_trampoline(program, &[function])
    }

    fn through_trampoline(&mut self, name: &str, functions: &[&str]) -> anyhow::Result<()> {
        let btf = self.btf.as_ref().context("the kernel has no BTF")?;
        let program = self.ebpf.program_mut(name).context("no such program")?;
        first_that_loads(functions, |function| load_trampoline(program, function, btf))?;
        match program {
            Program::FEntry(program) => program.attach().map(drop),
            Program::FExit(program) => program.attach().map(drop),
            _ => bail!("{name} is no trampoline program"),
        }
        .with_context(|| format!("attaching {name}"))
    }

    fn kprobe(&mut self, path: &SlowPath, side: Side) -> anyhow::Result<()> {
        let name = side.of(path.kprobe);
        let program: &mut KProbe = self.ebpf.program_mut(name).context("no such program")?.try_into()?;
        if program.fd().is_err() {
            program.load().with_context(|| format!("loading {name}"))?;
        }
        first_that_loads(path.functions, |function| program.attach(function, 0).map(drop))
    }

    /// Hooks the functions of the security layer.
    fn security_layer(&mut self, mechanism: Mechanism) -> anyhow::Result<()> {
        let request = self.security_request().context("not asked for")?;
        let lsm = Lsm::attach(
            request,
            (mechanism, self.lsm_mode()),
            (&self.request.object, &self.ebpf),
            self.verbose(),
        )?;
        self.fallen.extend(lsm.misses().into_iter().map(|miss| (Probe::Lsm, miss)));
        self.lsm = Some(lsm);
        Ok(())
    }

    /// Whether others run by this program, too: a backend that attached, or what is attached beside backends.
    fn is_shared(&self, program: &str) -> bool {
        let switches = self.has("sched_switch") && SWITCHES.contains(&program);
        let calls = CALLS.iter().any(|(name, _)| *name == program);
        let uses = |backend: &&Backend| backend.hooks.programs().contains(&program);
        switches || calls || self.attached.iter().copied().any(|backend| uses(&backend))
    }

    /// Takes back what a backend that failed half way has attached.
    fn unhook(&mut self, backend: &Backend) {
        let names = match backend.hooks {
            // They attach wholly or not at all; no program of the object is theirs alone.
            Hooks::SecurityTrampolines | Hooks::SecurityKprobes => Vec::new(),
            Hooks::RawTracepoints(_)
            | Hooks::BtfTracepoints(_)
            | Hooks::Trampolines(_)
            | Hooks::Entry(..)
            | Hooks::Kprobes(_)
            | Hooks::CpuClock
            | Hooks::Cycles => backend.hooks.programs(),
        };
        let names: Vec<_> = names.into_iter().filter(|name| !self.is_shared(name)).collect();
        for name in names {
            if let Some(program) = self.ebpf.program_mut(name) {
                unload(program);
            }
        }
    }
}

/// Entry or return of a function.
#[derive(Clone, Copy)]
enum Side {
    Entry,
    Return,
}

impl Side {
    fn of(self, (entry, exit): (&'static str, &'static str)) -> &'static str {
        match self {
            Self::Entry => entry,
            Self::Return => exit,
        }
    }
}

/// Tries the names of a function until one is taken; the first refusal explains when none is.
fn first_that_loads(
    functions: &[&str],
    mut load: impl FnMut(&str) -> Result<(), ProgramError>,
) -> anyhow::Result<()> {
    let mut refused = None;
    for function in functions {
        match load(function) {
            Ok(()) => return Ok(()),
            Err(error) => refused = refused.or(Some((error, *function))),
        }
    }
    match refused {
        Some((error, function)) => Err(error).with_context(|| format!("hooking {function}")),
        None => bail!("no function to hook"),
    }
}

fn load_trampoline(program: &mut Program, function: &str, btf: &Btf) -> Result<(), ProgramError> {
    match program {
        Program::FEntry(program) => FEntry::load(program, function, btf),
        Program::FExit(program) => FExit::load(program, function, btf),
        _ => Err(ProgramError::UnexpectedProgramType),
    }
}
