//! The rows of all probes.
//!
//! In: `plan.rs` of each probe's folder. Out: the row of a probe, all backends, and the probe of a program.

use super::backend::{Backend, Beside, ProbeRow};
use super::hooks::{self, INTERRUPTS};
use crate::probe::{Probe, Probes, each_probe};
use crate::profile::ledger::Class;

macro_rules! rows {
    ($($probe:ident $name:ident [$($picture:tt)*],)*) => {
        /// The row of a probe.
        pub const fn row(probe: Probe) -> &'static ProbeRow {
            match probe { $(Probe::$probe => &crate::probes::$name::plan::ROW,)* }
        }
    };
}

each_probe!(rows);

/// All rows, in the order probes are shown.
pub fn rows() -> impl Iterator<Item = &'static ProbeRow> {
    Probe::ALL.iter().map(|probe| row(*probe))
}

/// All backends, best first within a part.
pub fn backends() -> impl Iterator<Item = &'static Backend> {
    rows().flat_map(|row| row.backends)
}

/// Whether one of these probes has this attached beside its backends.
pub fn beside(probes: Probes, beside: Beside) -> bool {
    probes.iter().any(|probe| row(probe).kernel.beside.contains(&beside))
}

/// The loss class of a run that the kernel skipped; none for a program that belongs to no probe.
pub fn skipped(program: &str) -> Option<Class> {
    // Programs of the security layer exist once for each function.
    let program = program.split(' ').next().unwrap_or_default();
    shared(program).or_else(|| {
        let owns =
            |row: &&ProbeRow| row.backends.iter().any(|backend| backend.hooks.programs().contains(&program));
        rows().find(owns).map(|row| row.kernel.skipped)
    })
}

/// The same for programs that several probes share.
fn shared(program: &str) -> Option<Class> {
    let interrupts = INTERRUPTS.iter().flatten().any(|name| *name == program);
    let lives = [hooks::PROCESSES, hooks::PROCESS_FREE, hooks::CGROUPS, hooks::SIGNALS];
    let mut processes = lives.into_iter().flatten();
    match program {
        _ if interrupts || hooks::SWITCHES.contains(&program) => Some(Class::SwitchRecursionMiss),
        _ if processes.any(|(name, _)| *name == program) => Some(Class::ProcessRecursionMiss),
        hooks::IN_FLIGHT => Some(Class::RecursionMiss),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn skipped_runs_are_billed_to_the_probe_whose_program_it_was() {
        for (program, class) in [
            ("sys_enter", Some(Class::RecursionMiss)),
            ("enter_mutex_killable", Some(Class::LockRecursionMiss)),
            ("kretprobe_spin", Some(Class::LockRecursionMiss)),
            ("lsm_enter apparmor_file_open", Some(Class::LsmRecursionMiss)),
            ("sched_waking", Some(Class::SwitchRecursionMiss)),
            ("softirq_exit", Some(Class::SwitchRecursionMiss)),
            ("process_fork", Some(Class::ProcessRecursionMiss)),
            ("signal_generate", Some(Class::ProcessRecursionMiss)),
            ("cpu_sample", Some(Class::SampleRecursionMiss)),
            ("enter_the_unknown", None),
        ] {
            assert_eq!(skipped(program), class, "{program}");
        }
    }

    #[test]
    fn a_row_stands_under_its_own_probe_and_names_its_parts() {
        for probe in Probe::ALL {
            let row = row(*probe);
            assert_eq!(row.probe, *probe);
            assert!(!row.parts.is_empty());
            for backend in row.backends {
                assert!(backend.probe == *probe && row.parts.contains(&backend.part), "{backend:?}");
            }
        }
    }
}
