//! The capture's first chunk: the settings, who is measured, and what was attached.
//!
//! In: settings, the resolved target, attached probes. Out: the [`Plan`] before, a [`Header`] after.

use std::time::{SystemTime, UNIX_EPOCH};

use super::limits::Limits;
use super::scope::Scope;
use crate::attach::Attached;
use crate::cli::settings::RecordSettings;
use crate::environment::Watch;
use crate::failure::Failure;
use crate::plan::{self, Assessment, Facts, Forced};
use crate::profile::{Header, ProbePlan, TargetNote};

/// What a header keeps of the command line, bytes: readers refuse a header of megabytes, and the kernel allows such a line.
const ARGUMENTS_MAX: usize = 64 << 10;
/// What it keeps of the target's name, bytes.
const LABEL_MAX: usize = 4 << 10;

/// The plan of a session.
pub struct Plan {
    facts: Facts,
    /// What the kernel grants.
    pub limits: Limits,
    /// One per probe asked for.
    pub assessments: Vec<Assessment>,
}

impl Plan {
    /// Reads this machine and plans what was asked for.
    ///
    /// # Errors
    /// `--backend` names what there is not.
    pub fn new(settings: &RecordSettings, limits: Limits) -> Result<Self, Failure> {
        let forced = forced(settings)?;
        let facts = Facts::read();
        let assess = |probe| plan::assess(&facts, probe, &forced).beside(&facts, settings.probes);
        let assessments: Vec<_> = settings.probes.iter().map(assess).collect();
        tell_unusable(&assessments, &forced);
        Ok(Self { facts, limits, assessments })
    }

    /// The plan as it turned out: what attached, and why the rest did not.
    fn notes(&self, probes: &Attached) -> Vec<ProbePlan> {
        self.assessments.iter().map(|assessment| self.note(assessment, probes)).collect()
    }

    fn note(&self, assessment: &Assessment, probes: &Attached) -> ProbePlan {
        let probe = assessment.probe;
        let mut note = assessment.settled(&self.facts, &probes.attached).note();
        note.misses
            .extend(probes.fallen.iter().filter(|(fallen, _)| *fallen == probe).map(|(_, why)| why.clone()));
        let parts = plan::table::row(probe).kernel.notes;
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
            tracing::warn!("--backend {}={name} cannot run here: {obstacle}", part.of(probe));
        }
    }
}

/// The header, once everything is attached: counters start where measuring does.
pub fn header(settings: &RecordSettings, scope: &mut Scope, attached: &Attached, plan: &Plan) -> Header {
    scope.environment.network_of = scope.watch.network_of();
    scope.environment.at_start = scope.watch.all();
    Header {
        version: env!("CARGO_PKG_VERSION").into(),
        arguments: kept(&settings.arguments),
        started_unix_s: unix_s(),
        slow_ns: u64::try_from(settings.slow.as_nanos()).unwrap_or(u64::MAX),
        frequency_hz: plan.limits.frequency_hz,
        limits: plan.limits.told.clone(),
        cpus: settings.cpus.clone().unwrap_or_default(),
        target: TargetNote { label: cut(&scope.note.label), ..scope.note.clone() },
        probes: plan.notes(attached),
        lsm_sites: attached.lsm.as_ref().map(|lsm| lsm.sites.clone()).unwrap_or_default(),
        environment: scope.environment.clone(),
    }
}

/// The first arguments, and how many more there were.
fn kept(arguments: &[String]) -> Vec<String> {
    let mut room = ARGUMENTS_MAX;
    let fits = |word: &&String| {
        let left = room.checked_sub(word.len() + 1);
        room = left.unwrap_or(0);
        left.is_some()
    };
    let mut kept: Vec<String> = arguments.iter().take_while(fits).cloned().collect();
    let rest = &arguments[kept.len()..];
    if !rest.is_empty() {
        let bytes: usize = rest.iter().map(String::len).sum();
        kept.push(format!("[{} more arguments, {bytes} bytes]", rest.len()));
    }
    kept
}

/// A name, and how long it was if it was too long.
fn cut(label: &str) -> String {
    if label.len() <= LABEL_MAX {
        return label.to_owned();
    }
    format!("{}… [{} bytes]", &label[..label.floor_char_boundary(LABEL_MAX)], label.len())
}

/// Counters and wall clock of a session that starts later than it was attached.
pub fn refresh(header: &mut Header, watch: &mut Watch) {
    header.environment.at_start = watch.all();
    header.started_unix_s = unix_s();
}

fn unix_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_line_of_megabytes_is_cut_and_says_so() {
        let mut words = vec!["record".to_owned(), "--".to_owned(), "true".to_owned()];
        assert_eq!(kept(&words), words);
        words.extend(vec!["ä".repeat(50_000); 20]);
        let header = kept(&words);
        assert_eq!(header[..3], words[..3]);
        assert_eq!(header[3..], ["[20 more arguments, 2000000 bytes]"]);
        let label = cut(&words[3..].join(" "));
        assert!(label.len() < LABEL_MAX + 64 && label.ends_with("… [2000019 bytes]"), "{label}");
        assert_eq!(cut("command true"), "command true");
    }
}
