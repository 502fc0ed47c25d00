//! From a selection to what the kernel side filters by.
//!
//! In: [`Selection`]: all kinds must match, and one entry of each kind. Out: [`Resolved`]: cgroup filters, processes to follow,
//! command names, and the note that captures carry.

use profiler_common::glob::Glob;

use super::area::{Area, CgroupFilter};
use super::host::Host;
use super::place;
use super::seek::{self, Seek};
use super::select::{self, Part};
use super::selection::Selection;
use super::survey::Survey;
use super::task::Task;
use super::thread;
use crate::failure::Failure;
use crate::machine::CgroupPlace;
use crate::profile::TargetNote;

/// Most filters spelled out in a note.
const MAX_SPELLED: usize = 4;

/// A target the kernel side can tell apart. A task belongs to it when it is in any of `cgroups` (none:
/// everywhere) and belongs to `pids` or their later children, its process has one of `comms` (none: any), itself one of `threads`
/// (none: any).
#[derive(Clone, Debug, Default)]
pub struct Resolved {
    /// Cgroups, each with everything below it.
    pub cgroups: Vec<CgroupFilter>,
    /// The same with their names, in that order, and after them those that are waited for.
    pub seeks: Vec<Seek>,
    /// Process ids, their present descendants included; future children are to be followed.
    pub pids: Option<Vec<u32>>,
    /// Command names, whole.
    pub comms: Vec<String>,
    /// Patterns on threads' names.
    pub threads: Vec<Glob>,
    /// The target in words.
    pub note: TargetNote,
    /// The processes that match now.
    pub members: Vec<u32>,
    /// How many those are.
    pub expected: usize,
    /// The one process there is, or the first: its network namespace stands for the target's.
    pub one: Option<u32>,
    /// The cgroups that hold the target; none for the whole machine, or when there are many.
    pub places: Vec<CgroupPlace>,
}

/// Resolves a selection against the host as it is now.
///
/// # Errors
/// Nothing or too much matches.
pub fn resolve(host: &Host, selection: &Selection) -> Result<Resolved, Failure> {
    resolved(host, selection, false)
}

/// The same; what matches nothing is waited for.
///
/// # Errors
/// Too much matches, or what was named cannot be waited for.
pub fn resolve_or_wait(host: &Host, selection: &Selection) -> Result<Resolved, Failure> {
    resolved(host, selection, true)
}

fn resolved(host: &Host, selection: &Selection, wait: bool) -> Result<Resolved, Failure> {
    if selection.is_empty() {
        return Ok(whole_machine(host));
    }
    if !host.sees_host_pids() {
        let line = "this is a container with a pid namespace of its own, where the host's processes cannot be named: \
                    run it with --pid=host (Kubernetes: hostPID: true), or on the host";
        return Err(Failure::Privilege(line.into()));
    }
    let survey = Survey::take(host);
    let (selection, absent) =
        if wait { seek::split(host, &survey, selection)? } else { (selection.clone(), Vec::new()) };
    let selection = &selection;
    let parts = parts(host, &survey, selection)?;
    let areas = intersection(&parts)?;
    let (cgroups, fallback) = filters(host, &survey, &areas)?;
    let pids = followed(&survey, &parts, fallback)?;
    let threads = thread::patterns(&selection.threads)?;
    let belongs = |task: &&Task| {
        let inside = areas.is_empty() && absent.is_empty() || areas.iter().any(|area| area.holds(task));
        let followed = pids.as_ref().is_none_or(|pids| pids.binary_search(&task.pid).is_ok());
        let named = selection.comms.is_empty() || selection.comms.contains(&task.comm);
        inside && followed && named && thread::any(host, task.pid, &threads)
    };
    let members: Vec<&Task> = survey.tasks.iter().filter(belongs).collect();
    let mut resolved = Resolved {
        members: members.iter().map(|task| task.pid).collect(),
        expected: members.len(),
        one: members.first().map(|task| task.pid),
        places: super::area::places(host, &areas, &members),
        seeks: seek::of(host, &survey, selection, &cgroups),
        cgroups,
        pids,
        comms: selection.comms.clone(),
        threads: threads.clone(),
        note: TargetNote::default(),
    };
    if resolved.expected == 0
        && resolved.pids.is_some()
        && resolved.comms.is_empty()
        && resolved.threads.is_empty()
    {
        let labels: Vec<String> = parts.iter().map(|part| part.label.join(", ")).collect();
        let line = format!("no process is in all of: {}", super::text::clean(&labels.join("; ")));
        return Err(Failure::Usage(line));
    }
    resolved.note = note(&parts, &absent, &resolved);
    resolved.seeks.extend(absent);
    Ok(resolved)
}

fn whole_machine(host: &Host) -> Resolved {
    let mut note = TargetNote { label: "whole machine".into(), way: String::new(), details: Vec::new() };
    if !host.sees_host_pids() {
        let line = "run in a container without --pid=host: pids are the host's, names of other processes are missing";
        note.details.push(("names".into(), line.into()));
    }
    let members = host.pids();
    Resolved { note, expected: members.len(), members, ..Resolved::default() }
}

/// One part per kind that was asked for.
fn parts(host: &Host, survey: &Survey, selection: &Selection) -> Result<Vec<Part>, Failure> {
    let mut parts = Vec::new();
    if !selection.containers.is_empty() {
        parts.push(select::containers(survey, &selection.containers)?);
    }
    if !selection.pods.is_empty() {
        parts.push(select::pods(survey, &selection.pods)?);
    }
    if !selection.cgroups.is_empty() {
        parts.push(place::cgroups(host, survey, &selection.cgroups)?);
    }
    if !selection.units.is_empty() {
        parts.push(place::units(host, &selection.units)?);
    }
    if !selection.pids.is_empty() {
        parts.push(select::processes(host, survey, &selection.pids)?);
    }
    if !selection.comms.is_empty() {
        parts.push(select::comms(&selection.comms)?);
    }
    if !selection.threads.is_empty() {
        parts.push(thread::part(&selection.threads));
    }
    Ok(parts)
}

/// What lies in one area of each part.
fn intersection(parts: &[Part]) -> Result<Vec<Area>, Failure> {
    let mut with_areas = parts.iter().filter(|part| !part.areas.is_empty());
    let Some(first) = with_areas.next() else { return Ok(Vec::new()) };
    let mut areas = first.areas.clone();
    let mut label = first.label.join(", ");
    for part in with_areas {
        label = format!("{label}; {}", part.label.join(", "));
        let pairs = areas.iter().flat_map(|own| part.areas.iter().filter_map(|other| own.intersect(other)));
        let mut both: Vec<Area> = pairs.collect();
        both.dedup();
        if both.is_empty() {
            let line = format!("nothing is in all of: {}", super::text::clean(&label));
            return Err(Failure::Usage(line));
        }
        areas = both;
    }
    areas.dedup();
    Ok(areas)
}

/// Kernel filters for the areas; where one has none, the processes in all of them instead.
fn filters(
    host: &Host,
    survey: &Survey,
    areas: &[Area],
) -> Result<(Vec<CgroupFilter>, Option<Vec<u32>>), Failure> {
    let filters: Option<Vec<CgroupFilter>> = areas.iter().map(|area| area.filter(host)).collect();
    if let Some(mut filters) = filters {
        filters.dedup();
        return Ok((filters, None));
    }
    let inside = survey.tasks.iter().filter(|task| areas.iter().any(|area| area.holds(task)));
    let pids: Vec<u32> = inside.map(|task| task.pid).collect();
    if pids.is_empty() {
        let line = "the target's cgroup is gone, or its depth cannot be seen from here: \
                    run on the host, or in a container with --cgroupns=host";
        return Err(Failure::Usage(line.into()));
    }
    Ok((Vec::new(), Some(pids)))
}

/// Processes that every part with processes names, sorted.
fn followed(
    survey: &Survey,
    parts: &[Part],
    fallback: Option<Vec<u32>>,
) -> Result<Option<Vec<u32>>, Failure> {
    let mut sets = parts.iter().map(|part| part.pids.clone()).filter(|pids| !pids.is_empty()).chain(fallback);
    let Some(mut pids) = sets.next() else { return Ok(None) };
    for other in sets {
        pids.retain(|pid| other.contains(pid));
    }
    pids.retain(|pid| survey.tasks.iter().any(|task| task.pid == *pid));
    pids.sort_unstable();
    pids.dedup();
    if pids.is_empty() {
        return Err(Failure::Usage("no process is in both the container and the --pid list".into()));
    }
    Ok(Some(pids))
}

fn note(parts: &[Part], absent: &[Seek], resolved: &Resolved) -> TargetNote {
    let mut labels: Vec<String> = parts.iter().map(|part| part.label.join(" or ")).collect();
    labels.extend(absent.iter().map(|seek| seek.label()));
    let mut ways: Vec<String> = resolved.cgroups.iter().take(MAX_SPELLED).map(ToString::to_string).collect();
    if resolved.cgroups.len() > MAX_SPELLED {
        ways.push(format!("{} more cgroups", resolved.cgroups.len() - MAX_SPELLED));
    }
    if let Some(pids) = &resolved.pids {
        ways.push(format!("pid set ({} and their children)", pids.len()));
    }
    if !absent.is_empty() {
        ways.push("cgroups to come".into());
    }
    if !resolved.comms.is_empty() {
        ways.push("command name".into());
    }
    if !resolved.threads.is_empty() {
        ways.push("thread name".into());
    }
    let mut details: Vec<(String, String)> = parts.iter().flat_map(|part| part.details.clone()).collect();
    details.extend(resolved.cgroups.iter().take(MAX_SPELLED).map(|filter| {
        let (CgroupFilter::V2 { path, .. } | CgroupFilter::V1 { path, .. }) = filter;
        ("cgroup".to_owned(), path.clone())
    }));
    let now = match resolved.expected {
        0 => "none yet: waiting for one to start".to_owned(),
        count => count.to_string(),
    };
    details.push(("processes at start".into(), now));
    TargetNote { label: labels.join(" and "), way: ways.join(", "), details }
}
