//! Backends that the user forces.
//!
//! In: `PROBE=NAME` and `PROBE.PART=NAME` as typed. Out: the name wanted for a part of a probe, or one line
//! that lists what there is.

use super::backend::{Backend, ProbePart};
use super::table::backends;
use crate::probe::Probe;

/// What is forced; the last word on a part counts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Forced(Vec<(Probe, ProbePart, &'static str)>);

impl Forced {
    /// Reads what was typed.
    ///
    /// # Errors
    /// One line: a probe, part or backend that there is not, with those that there are.
    pub fn parse(typed: &[String]) -> Result<Self, String> {
        let mut forced = Self::default();
        for text in typed {
            let found = matching(text);
            if found.is_empty() {
                return Err(format!("{text:?} is no backend; there are {}", all().join(", ")));
            }
            forced.0.extend(found.iter().map(|backend| (backend.probe, backend.part, backend.name)));
        }
        Ok(forced)
    }

    /// The name wanted for a part.
    pub fn name(&self, probe: Probe, part: ProbePart) -> Option<&'static str> {
        let mut forced = self.0.iter().rev();
        forced.find(|forced| (forced.0, forced.1) == (probe, part)).map(|(_, _, name)| *name)
    }

    /// All that is forced.
    pub fn iter(&self) -> impl Iterator<Item = (Probe, ProbePart, &'static str)> + '_ {
        let last = self.0.iter().filter(|(probe, part, name)| self.name(*probe, *part) == Some(name));
        last.copied()
    }
}

/// The backends that `PROBE[.PART]=NAME` names: without a part, one for each part that has it.
fn matching(text: &str) -> Vec<&'static Backend> {
    let Some((place, name)) = text.split_once('=') else { return Vec::new() };
    let (probe, part) = place.split_once('.').unwrap_or((place, ""));
    let named = |backend: &&Backend| {
        backend.built
            && (backend.probe.name(), backend.name) == (probe, name)
            && (part.is_empty() && !place.ends_with('.') || backend.part.name == part && !part.is_empty())
    };
    backends().filter(named).collect()
}

/// Everything that can be forced, as it is typed; parts of one probe that share a name stand together.
fn all() -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    for backend in backends().filter(|backend| backend.built) {
        let name = format!("{}={}", backend.probe.name(), backend.name);
        if !all.contains(&name) {
            all.push(name);
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probes::lock::plan::{SLEEP, SPIN};

    fn forced(typed: &[&str]) -> Result<Forced, String> {
        Forced::parse(&typed.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn a_probe_stands_for_its_parts_and_the_last_word_counts() {
        let both = forced(&["lock=kprobe"]).unwrap();
        assert_eq!(both.name(Probe::Lock, SPIN), Some("kprobe"));
        assert_eq!(both.name(Probe::Lock, SLEEP), Some("kprobe"));
        let mixed = forced(&["lock=kprobe", "lock.sleep=fentry"]).unwrap();
        assert_eq!(mixed.name(Probe::Lock, SPIN), Some("kprobe"));
        assert_eq!(mixed.name(Probe::Lock, SLEEP), Some("fentry"));
        assert_eq!(mixed.name(Probe::Cpu, ProbePart::WHOLE), None);
        assert_eq!(mixed.iter().count(), 2);
    }

    #[test]
    fn what_is_not_there_is_answered_with_what_is() {
        for text in
            ["lock", "lock=", "lock=magic", "disk=kprobe", "lock.=kprobe", "lock.x=kprobe", "cpu=cycles", ""]
        {
            let line = forced(&[text]).unwrap_err();
            assert!(line.contains("lock=fentry") && !line.contains('\n'), "{text}: {line}");
        }
    }
}
