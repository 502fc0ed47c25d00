//! The capture's first chunk: what was asked, of whom, and what attached for it.
//!
//! In: settings, the resolved target, attached probes. Out: a [`Header`].

use std::time::{SystemTime, UNIX_EPOCH};

use super::scope::Scope;
use crate::cli::settings::RecordSettings;
use crate::plan;
use crate::probe::Probes;
use crate::profile::{Header, ProbePlan};

/// The plan as it came to be: what attached, and why the rest did not.
fn plans(settings: &RecordSettings, probes: &Probes) -> Vec<ProbePlan> {
    let asked = [
        (settings.probes.syscall, plan::Probe::Syscall),
        (settings.probes.lock, plan::Probe::Lock),
        (settings.probes.cpu, plan::Probe::Cpu),
    ];
    let asked: Vec<plan::Probe> = asked.iter().filter(|(asked, _)| *asked).map(|(_, probe)| *probe).collect();
    let mut plans = plan::plan(&plan::Facts::read(), &asked);
    for plan in &mut plans {
        if !probes.has(&plan.probe) {
            (plan.active, plan.backend) = (false, String::new());
        }
        let parts: &[&str] =
            if plan.probe == "syscall" { &["btf", "sched_switch", "in_flight"] } else { &[] };
        for (part, reason) in &probes.refused {
            if *part == plan.probe || parts.contains(part) {
                plan.misses.push(format!("{part} did not attach: {reason}"));
            }
        }
    }
    plans
}

/// The header, once everything is attached: counters start where measuring does.
pub fn header(settings: &RecordSettings, scope: &mut Scope, probes: &Probes) -> Header {
    scope.environment.network_of = scope.watch.network_of();
    scope.environment.at_start = scope.watch.all();
    Header {
        version: env!("CARGO_PKG_VERSION").into(),
        arguments: settings.arguments.clone(),
        started_unix_s: SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()),
        slow_ns: u64::try_from(settings.slow.as_nanos()).unwrap_or(u64::MAX),
        frequency_hz: settings.frequency_hz,
        cpus: settings.cpus.clone().unwrap_or_default(),
        target: scope.note.clone(),
        probes: plans(settings, probes),
        environment: scope.environment.clone(),
    }
}
