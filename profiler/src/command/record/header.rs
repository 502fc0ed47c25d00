//! The capture's first chunk: what was asked, of whom, and what attached for it.
//!
//! In: settings, the resolved target, attached probes. Out: the [`Plan`] before, a [`Header`] after.

use std::time::{SystemTime, UNIX_EPOCH};

use super::scope::Scope;
use crate::cli::settings::RecordSettings;
use crate::failure::Failure;
use crate::plan::{self, Assessment, Facts, Forced};
use crate::probe::Probes;
use crate::profile::{Header, ProbePlan};

/// The plan of a session.
pub struct Plan {
    facts: Facts,
    /// One per probe asked for.
    pub assessments: Vec<Assessment>,
}

impl Plan {
    /// Reads this machine and plans what was asked for.
    ///
    /// # Errors
    /// `--backend` names what there is not.
    pub fn new(settings: &RecordSettings) -> Result<Self, Failure> {
        let forced = forced(settings)?;
        let asked = [
            (settings.probes.syscall, plan::Probe::Syscall),
            (settings.probes.lock, plan::Probe::Lock),
            (settings.probes.lsm, plan::Probe::Lsm),
            (settings.probes.offcpu, plan::Probe::Offcpu),
            (settings.probes.runq, plan::Probe::Runq),
            (settings.probes.cpu, plan::Probe::Cpu),
        ];
        let facts = Facts::read();
        let asked = asked.iter().filter(|(asked, _)| *asked);
        let assessments: Vec<_> = asked.map(|(_, probe)| plan::assess(&facts, *probe, &forced)).collect();
        tell_unusable(&assessments, &forced);
        Ok(Self { facts, assessments })
    }

    /// The plan as it came to be: what attached, and why the rest did not.
    pub fn notes(&self, probes: &Probes) -> Vec<ProbePlan> {
        self.assessments.iter().map(|assessment| self.note(assessment, probes)).collect()
    }

    fn note(&self, assessment: &Assessment, probes: &Probes) -> ProbePlan {
        let probe = assessment.probe;
        let mut note = assessment.settled(&self.facts, &probes.attached).note();
        note.misses
            .extend(probes.fallen.iter().filter(|(fallen, _)| *fallen == probe).map(|(_, why)| why.clone()));
        let parts: &[&str] = if probe == plan::Probe::Syscall {
            &["btf", "sched_switch", "interrupts", "in_flight"]
        } else {
            &[]
        };
        for (part, reason) in probes.refused.iter().filter(|(part, _)| parts.contains(part)) {
            note.misses.push(format!("{part} did not attach: {reason}"));
        }
        note
    }
}

/// What `--backend` forces.
///
/// # Errors
/// It names what there is not.
pub fn forced(settings: &RecordSettings) -> Result<Forced, Failure> {
    Forced::parse(&settings.backends).map_err(|why| Failure::Usage(format!("--backend: {why}")))
}

/// Says why a backend that is forced is not even tried.
fn tell_unusable(assessments: &[Assessment], forced: &Forced) {
    for (probe, part, name) in forced.iter() {
        let choices = assessments.iter().filter(|assessment| assessment.probe == probe);
        let refused = choices.flat_map(|assessment| &assessment.choices).filter(|choice| choice.part == part);
        for (_, obstacle) in refused.flat_map(|choice| &choice.refused).filter(|(back, _)| back.name == name)
        {
            tracing::warn!("--backend {}={name} cannot run here: {obstacle}", probe.place(part));
        }
    }
}

/// The header, once everything is attached: counters start where measuring does.
pub fn header(
    settings: &RecordSettings,
    scope: &mut Scope,
    attached: &Probes,
    probes: Vec<ProbePlan>,
) -> Header {
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
        probes,
        lsm_sites: attached.lsm.as_ref().map(|lsm| lsm.sites.clone()).unwrap_or_default(),
        environment: scope.environment.clone(),
    }
}
