//! Candidates, one after the other, until one attaches.
//!
//! In: the choices of the plan. Out: the backends that run; of those that do not, one line each, and at `-v`
//! the verifier's last lines. A backend attaches wholly or not at all.

use anyhow::{Context as _, bail};
use aya::Btf;
use aya::programs::{FEntry, FExit, KProbe, Program, ProgramError};

use super::attach::Probes;
use super::lsm::{Lsm, Mechanism};
use crate::plan::backends::Backend;
use crate::plan::hooks::{Absent, Hooks, SlowPath};
use crate::plan::{Choice, Probe};

/// Lines of the verifier's log that say why.
const LAST_LINES: usize = 12;

impl Probes {
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
        let place = probe.place(backend.part);
        let why = one_line(error);
        let instead = next.map_or_else(|| "nothing else is left".to_owned(), |next| format!("trying {next}"));
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
            Hooks::RawTracepoints(_) => Ok(()),
            Hooks::Cycles => bail!("not in this version"),
        }
    }

    /// Hooks functions, the returns before the entries: what ends without having begun is told apart.
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
        let name = side.of(path.trampoline);
        let btf = self.btf.as_ref().context("the kernel has no BTF")?;
        let program = self.ebpf.program_mut(name).context("no such program")?;
        first_that_loads(path.functions, |function| load_trampoline(program, function, btf))?;
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
        let lsm = Lsm::attach(request, (mechanism, self.lsm_mode()), &self.ebpf, self.verbose())?;
        self.fallen.extend(lsm.misses().into_iter().map(|miss| (Probe::Lsm, miss)));
        self.lsm = Some(lsm);
        Ok(())
    }

    /// Whether other probes run by this tracepoint, too.
    fn is_shared(&self, tracepoint: &str) -> bool {
        let calls = self.has("sched_switch") && ["sched_wakeup", "sched_switch"].contains(&tracepoint);
        let uses = |backend: &&Backend| matches!(backend.hooks, Hooks::BtfTracepoints(names) if names.contains(&tracepoint));
        calls || self.attached.iter().any(uses)
    }

    /// Takes back what a backend that failed half way has attached.
    fn unhook(&mut self, backend: &Backend) {
        let programs = |paths: &[SlowPath], of: fn(&SlowPath) -> (&'static str, &'static str)| {
            paths.iter().map(of).flat_map(|(entry, exit)| [entry, exit]).collect::<Vec<_>>()
        };
        let names = match backend.hooks {
            Hooks::Trampolines(paths) => programs(paths, |path| path.trampoline),
            Hooks::Kprobes(paths) => programs(paths, |path| path.kprobe),
            Hooks::BtfTracepoints(names) => {
                names.iter().copied().filter(|name| !self.is_shared(name)).collect()
            }
            // It attaches wholly or not at all.
            Hooks::SecurityTrampolines | Hooks::SecurityKprobes => Vec::new(),
            Hooks::RawTracepoints(_) | Hooks::CpuClock | Hooks::Cycles => Vec::new(),
        };
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

/// Unloads a program, which drops its links, too; one that was never loaded has nothing to lose.
pub(super) fn unload(program: &mut Program) {
    let _ = match program {
        Program::RawTracePoint(program) => program.unload(),
        Program::BtfTracePoint(program) => program.unload(),
        Program::PerfEvent(program) => program.unload(),
        Program::Iter(program) => program.unload(),
        Program::FEntry(program) => program.unload(),
        Program::FExit(program) => program.unload(),
        Program::KProbe(program) => program.unload(),
        _ => Ok(()),
    };
}

/// An error without the verifier's log, which has lines of its own.
pub(super) fn one_line(error: &anyhow::Error) -> String {
    let mut text = String::new();
    for cause in error.chain() {
        let said = cause.to_string();
        let said = said.split(". Verifier output:").next().unwrap_or_default().replace('\n', " ");
        // Some errors repeat their source, some do not.
        if !text.contains(said.trim()) {
            text = if text.is_empty() { said } else { format!("{text}: {said}") };
        }
    }
    text
}

/// The end of what the verifier said, when it said anything.
fn verifier_lines(error: &anyhow::Error) -> Vec<String> {
    let log = error.chain().find_map(|cause| match cause.downcast_ref() {
        Some(ProgramError::LoadError { verifier_log, .. }) => Some(verifier_log.to_string()),
        _ => None,
    });
    let log = log.unwrap_or_default();
    let lines: Vec<&str> = log.lines().filter(|line| !line.trim().is_empty()).collect();
    lines[lines.len().saturating_sub(LAST_LINES)..].iter().map(|line| (*line).to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use aya_obj::VerifierLog;

    use super::*;

    #[test]
    fn a_refusal_is_one_line_and_says_each_thing_once() {
        let inner =
            anyhow::anyhow!("Permission denied. Verifier output: 0: (b7)\n1: no").context("loading x");
        assert_eq!(one_line(&inner), "loading x: Permission denied");
        assert!(verifier_lines(&inner).is_empty());
    }

    #[test]
    fn of_a_long_log_the_last_lines_are_kept() {
        let log: String = (0..40).map(|line| format!("{line}: (b7) r0 = 0\n\n")).collect();
        let io_error = std::io::Error::from_raw_os_error(libc::EACCES);
        let refused = ProgramError::LoadError { io_error, verifier_log: VerifierLog::new(log) };
        let refused = anyhow::Error::new(refused).context("loading enter_mutex");
        let lines = verifier_lines(&refused);
        assert_eq!((lines.len(), lines[LAST_LINES - 1].as_str()), (LAST_LINES, "39: (b7) r0 = 0"));
        assert!(!one_line(&refused).contains("(b7)"), "{}", one_line(&refused));
    }
}
