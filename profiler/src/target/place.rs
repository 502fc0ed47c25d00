//! Cgroups and systemd units by name.
//!
//! In: what the user typed, and the cgroup trees. Out: one [`Part`] per kind, or [`Failure::Usage`]
//! that lists the candidates.

use std::path::{Component, Path};

use super::area::Area;
use super::hierarchy::below;
use super::host::Host;
use super::select::{Part, list};
use super::shape;
use super::survey::Survey;
use super::text::clean;
use crate::failure::Failure;

/// Cgroups by directory, or by path from the root of a hierarchy.
pub(super) fn cgroups(host: &Host, survey: &Survey, wanted: &[String]) -> Result<Part, Failure> {
    let mut part = Part::default();
    for want in wanted {
        let area = by_directory(host, Path::new(want)).or_else(|| by_path(host, survey, want));
        let Some(area) = area else {
            return Err(Failure::Usage(format!(
                "no cgroup '{}': give a directory below {} or a path as in /proc/PID/cgroup",
                clean(want),
                host.hierarchies()
                    .first()
                    .map_or("/sys/fs/cgroup".into(), |first| first.dir.to_string_lossy())
            )));
        };
        part.label.push(format!("cgroup {want}"));
        part.areas.push(area);
    }
    Ok(part)
}

fn by_directory(host: &Host, want: &Path) -> Option<Area> {
    let real = want.is_absolute().then(|| want.canonicalize().ok()).flatten()?;
    let real = real.to_str()?;
    let paths = host.hierarchies().iter().enumerate().filter_map(|(place, hierarchy)| {
        let (dir, named) = (hierarchy.dir.to_str()?, host.named_on_host(&hierarchy.dir));
        let rest = [dir, &named].into_iter().find_map(|dir| below(real, dir))?;
        let located = if rest.is_empty() { "/" } else { rest };
        hierarchy.directory(located).is_dir().then(|| (place, located.to_owned()))
    });
    // cgroup2 may be mounted below a v1 hierarchy's directory, never the other way: the longest mount wins.
    let best = paths.min_by_key(|(_, located)| located.len())?;
    Some(Area { paths: vec![best] })
}

/// The hierarchies that have such a path and processes in it; without any processes, the best one.
fn by_path(host: &Host, survey: &Survey, want: &str) -> Option<Area> {
    if Path::new(want).components().any(|part| matches!(part, Component::ParentDir)) {
        return None;
    }
    let path = format!("/{}", want.trim_matches('/'));
    let having = host.hierarchies().iter().enumerate().filter(|(_, own)| own.directory(&path).is_dir());
    let mut places: Vec<usize> = having.map(|(place, _)| place).collect();
    let busy = |place: usize| {
        let area = Area { paths: vec![(place, path.clone())] };
        survey.tasks.iter().any(|task| area.holds(task))
    };
    places.sort_by_key(|place| !busy(*place));
    places.first().map(|place| Area { paths: vec![(*place, path.clone())] })
}

/// Systemd units by name; no suffix means a service.
pub(super) fn units(host: &Host, wanted: &[String]) -> Result<Part, Failure> {
    let mut part = Part::default();
    for want in wanted {
        let name = if shape::is_unit(want) { want.clone() } else { format!("{want}.service") };
        let found = host.hierarchies().iter().enumerate().map(|(place, _)| unit_paths(host, place, &name));
        let found = found.into_iter().find(|paths| !paths.is_empty()).unwrap_or_default();
        match found.as_slice() {
            [path] => {
                let having =
                    host.hierarchies().iter().enumerate().filter(|(_, own)| own.directory(path).is_dir());
                part.areas.push(Area { paths: having.map(|(place, _)| (place, path.clone())).collect() });
                part.label.push(format!("unit {name}"));
            }
            [] => {
                return Err(Failure::Usage(format!(
                    "no running unit '{}': no cgroup has that name (`systemctl list-units` and `systemd-cgls` show them)",
                    clean(&name)
                )));
            }
            several => {
                let several = list(several.iter().map(|path| clean(path)));
                return Err(Failure::Usage(format!(
                    "several units are called '{}'; name one with --cgroup:{several}",
                    clean(&name)
                )));
            }
        }
    }
    Ok(part)
}

/// Cgroups of that name; those inside containers only where the host has none.
fn unit_paths(host: &Host, place: usize, name: &str) -> Vec<String> {
    let mut found = Vec::new();
    let Some(hierarchy) = host.hierarchies().get(place) else { return found };
    hierarchy.walk("/", |located, _| {
        if located.rsplit('/').next() == Some(name) {
            found.push(located.to_owned());
        }
        true
    });
    let outside = |path: &String| {
        let parent = path.rsplit_once('/').map_or("", |(parent, _)| parent);
        shape::container_in(parent).is_none()
    };
    if found.iter().any(outside) {
        found.retain(outside);
    }
    found
}
