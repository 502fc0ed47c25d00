//! What each kind of selection matches: containers, pods, processes, names (cgroups: `place`).
//!
//! In: what the user typed, and a survey of the host. Out: one [`Part`] per kind, or
//! [`Failure::Usage`] that lists the candidates.

use super::area::Area;
use super::host::Host;
use super::shape;
use super::survey::{Container, Survey, short};
use super::table::pids;
use super::task::Task;
use super::text::clean;
use crate::failure::Failure;

/// Longest command name the kernel keeps, bytes.
const COMM_BYTES: usize = 15;
/// Most candidates listed in an error.
const MAX_CANDIDATES: usize = 40;

/// What the options of one kind matched.
#[derive(Clone, Debug, Default)]
pub(super) struct Part {
    pub label: Vec<String>,
    pub areas: Vec<Area>,
    /// Processes to follow, if no cgroup has exactly these.
    pub pids: Vec<u32>,
    pub details: Vec<(String, String)>,
}

/// Containers by name, `pod/name`, or id prefix.
pub(super) fn containers(survey: &Survey, wanted: &[String]) -> Result<Part, Failure> {
    let mut part = Part::default();
    for want in wanted {
        let found = container(&survey.containers, want)?;
        part.label.push(format!("container {}", found.label()));
        part.details.extend(container_details(found));
        if found.area.paths.is_empty() {
            part.pids.extend(&found.pids);
        } else {
            part.areas.push(found.area.clone());
        }
    }
    if !part.areas.is_empty() && !part.pids.is_empty() {
        let line = "containers with and without a cgroup of their own cannot be measured in one session: name one at a time";
        return Err(Failure::Usage(line.into()));
    }
    Ok(part)
}

/// Whether a container bears a name: its own, `pod/name`, the same with its namespace, its id or the beginning of that.
pub(super) fn is_container(own: &Container, want: &str) -> bool {
    bears(own, want) || begins_with(own, want)
}

/// The same without its id, which never comes again.
pub(super) fn is_named(own: &Container, want: &str) -> bool {
    let other = own.other_names.iter().any(|name| name == want);
    own.name == want || other || own.label() == want || in_namespace(own, want)
}

fn bears(own: &Container, want: &str) -> bool {
    own.id == want || is_named(own, want)
}

fn begins_with(own: &Container, want: &str) -> bool {
    let prefix = want.len() >= 3 && want.bytes().all(|byte| byte.is_ascii_hexdigit());
    prefix && short(&own.id) != own.id && own.id.starts_with(&want.to_ascii_lowercase())
}

fn container<'a>(all: &'a [Container], want: &str) -> Result<&'a Container, Failure> {
    let mut found: Vec<&Container> = all.iter().filter(|own| bears(own, want)).collect();
    if found.is_empty() {
        found = all.iter().filter(|own| begins_with(own, want)).collect();
    }
    match of_the_host(&found).as_slice() {
        [one] => Ok(one),
        [] if all.is_empty() => Err(Failure::Usage(format!(
            "no container matches '{}': no containers run here (`profiler targets` lists them); --cgroup, --unit and --pid need none",
            clean(want)
        ))),
        [] => Err(Failure::Usage(format!(
            "no container matches '{}'; there are:{}",
            clean(want),
            candidates(all.iter())
        ))),
        several => Err(Failure::Usage(format!(
            "{} containers match '{}'; name one by its id:{}",
            several.len(),
            clean(want),
            candidates(several.iter().copied())
        ))),
    }
}

fn in_namespace(own: &Container, want: &str) -> bool {
    let named = |pod: String| want == pod || want == own.inside(pod);
    !own.pod.is_empty()
        && (named(format!("{}/{}", own.pod, own.name))
            || named(format!("{}/{}/{}", own.namespace, own.pod, own.name)))
}

/// Those that no other container is around, if there are any: what runs inside may call itself what it likes.
fn of_the_host<'a>(found: &[&'a Container]) -> Vec<&'a Container> {
    let outermost: Vec<_> = found.iter().copied().filter(|own| own.outer.is_empty()).collect();
    if outermost.is_empty() { found.to_vec() } else { outermost }
}

fn candidates<'a>(found: impl Iterator<Item = &'a Container>) -> String {
    list(found.map(|own| {
        let pod = if own.pod.is_empty() { String::new() } else { format!("  pod {}", own.pod_name()) };
        let image = if own.image.is_empty() { "-" } else { &own.image };
        clean(&format!(
            "{}  {}  {image}{pod}  pids {}",
            own.inside(own.name.clone()),
            short(&own.id),
            pids(&own.pids, 4)
        ))
    }))
}

/// Candidates one per line, each already clean.
pub(super) fn list(lines: impl Iterator<Item = String>) -> String {
    let mut text = String::new();
    let mut left = 0;
    for (at, line) in lines.enumerate() {
        if at < MAX_CANDIDATES {
            text += &format!("\n  {line}");
        } else {
            left += 1;
        }
    }
    if left > 0 {
        text += &format!("\n  … and {left} more");
    }
    text
}

fn container_details(found: &Container) -> Vec<(String, String)> {
    let fields = [
        ("runtime", &found.runtime),
        ("container id", &found.id),
        ("image", &found.image),
        ("pod", &found.pod),
        ("namespace", &found.namespace),
        ("unit", &found.unit),
    ];
    fields
        .into_iter()
        .filter(|(_, value)| !value.is_empty())
        .map(|(key, value)| (key.to_owned(), value.clone()))
        .collect()
}

/// Whether a container is in a pod of that name, `namespace/name` or uid.
pub(super) fn is_pod(own: &Container, want: &str) -> bool {
    let by_name = !own.pod.is_empty()
        && (own.pod == want || format!("{}/{}", own.namespace, own.pod) == want || own.pod_name() == want);
    by_name || (!own.pod_uid.is_empty() && own.pod_uid == want)
}

/// Pods by name, `namespace/name` or uid.
pub(super) fn pods(survey: &Survey, wanted: &[String]) -> Result<Part, Failure> {
    let mut part = Part::default();
    for want in wanted {
        let found =
            of_the_host(&survey.containers.iter().filter(|own| is_pod(own, want)).collect::<Vec<_>>());
        let pods = pod_names(found.iter().copied());
        match pods.as_slice() {
            [one] => part.label.push(format!("pod {one}")),
            [] => {
                let there = pod_names(survey.containers.iter());
                let there = if there.is_empty() {
                    " no pods run here".to_owned()
                } else {
                    format!(" there are:{}", list(there.iter().map(|pod| clean(pod))))
                };
                return Err(Failure::Usage(format!("no pod matches '{}';{there}", clean(want))));
            }
            several => {
                let several = list(several.iter().map(|pod| clean(pod)));
                return Err(Failure::Usage(format!(
                    "several pods match '{}'; name one with its namespace:{several}",
                    clean(want)
                )));
            }
        }
        part.details.extend(found.iter().map(|own| ("container".to_owned(), own.name.clone())));
        part.areas.extend(pod_areas(&found));
    }
    Ok(part)
}

/// Distinct pods: name where known, else uid.
fn pod_names<'a>(of: impl Iterator<Item = &'a Container>) -> Vec<String> {
    let mut names: Vec<String> =
        of.filter(|own| !own.pod.is_empty() || !own.pod_uid.is_empty()).map(Container::pod_name).collect();
    names.sort_unstable();
    names.dedup();
    names
}

/// The pod's own cgroup where all its containers lie in one, else each container's: the former also
/// catches containers that start later.
fn pod_areas(containers: &[&Container]) -> Vec<Area> {
    let mut areas: Vec<Area> = Vec::new();
    for container in containers {
        let parents = container.area.paths.iter().filter_map(|(place, path)| {
            let parent = path.rsplit_once('/')?.0;
            let uid = shape::pod_uid(parent.rsplit('/').next()?);
            (!uid.is_empty()).then(|| (*place, parent.to_owned()))
        });
        let parent = Area { paths: parents.collect() };
        let area = if parent.paths.is_empty() { container.area.clone() } else { parent };
        if !areas.contains(&area) {
            areas.push(area);
        }
    }
    areas
}

/// Processes by id, with their descendants.
pub(super) fn processes(host: &Host, survey: &Survey, wanted: &[u32]) -> Result<Part, Failure> {
    let mut part = Part::default();
    for want in wanted {
        if !survey.tasks.iter().any(|task| task.pid == *want) {
            return Err(Failure::Usage(no_process(host, *want)));
        }
        part.pids.push(*want);
    }
    part.pids.sort_unstable();
    part.pids.dedup();
    let typed = part.pids.len();
    part.label = part.pids.iter().map(|pid| format!("pid {pid}")).collect();
    part.pids = with_descendants(&survey.tasks, &part.pids);
    let children = part.pids.len() - typed;
    if children > 0 {
        part.details.push(("child processes".into(), children.to_string()));
    }
    Ok(part)
}

fn no_process(host: &Host, pid: u32) -> String {
    match Task::read(host, pid) {
        Some(task) if task.pid != pid => {
            format!(
                "{pid} is a thread of process {} ({}): use --pid {}",
                task.pid,
                clean(&task.comm),
                task.pid
            )
        }
        _ => format!(
            "no process {pid}: it has ended, or the number is wrong (`profiler targets` lists containers' processes)"
        ),
    }
}

fn with_descendants(tasks: &[Task], roots: &[u32]) -> Vec<u32> {
    let mut children: std::collections::HashMap<u32, Vec<u32>> = std::collections::HashMap::new();
    for task in tasks {
        children.entry(task.parent).or_default().push(task.pid);
    }
    let mut all = std::collections::BTreeSet::new();
    let mut open = roots.to_vec();
    while let Some(pid) = open.pop() {
        if all.insert(pid) {
            open.extend(children.get(&pid).into_iter().flatten());
        }
    }
    all.into_iter().collect()
}

/// Command names: checked for what the kernel can hold.
pub(super) fn comms(wanted: &[String]) -> Result<Part, Failure> {
    for want in wanted {
        if want.is_empty() || want.contains('\0') {
            return Err(Failure::Usage("--comm needs a command name, as in /proc/PID/comm".into()));
        }
        if want.len() > COMM_BYTES {
            let cut =
                want.char_indices().map(|(at, _)| at).take_while(|at| *at <= COMM_BYTES).last().unwrap_or(0);
            let kept = clean(want.get(..cut).unwrap_or(""));
            let line = format!(
                "the kernel keeps {COMM_BYTES} bytes of a command name: use --comm '{kept}' for '{}'",
                clean(want)
            );
            return Err(Failure::Usage(line));
        }
    }
    Ok(Part { label: wanted.iter().map(|want| format!("comm {want}")).collect(), ..Part::default() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn container(name: &str, id: char, namespace: &str, pod: &str) -> Container {
        let id: String = std::iter::repeat_n(id, 64).collect();
        let uid = "0f3cb1b4-92d3-4c7a-9f0e-2f8a6c1d7e55";
        let area = Area { paths: vec![(0, format!("/kubepods/pod{uid}/{id}"))] };
        Container {
            name: name.into(),
            id,
            namespace: namespace.into(),
            pod: pod.into(),
            pids: vec![1, 2],
            area,
            ..Container::default()
        }
    }

    fn survey() -> Survey {
        let containers = vec![
            container("app", 'a', "prod", "web-0"),
            container("side", 'b', "prod", "web-0"),
            container("app", 'c', "test", "web-0"),
        ];
        Survey { tasks: Vec::new(), containers }
    }

    fn usage<T: std::fmt::Debug>(result: Result<T, Failure>) -> String {
        match result {
            Err(Failure::Usage(line)) => line,
            other => panic!("not a usage failure: {other:?}"),
        }
    }

    #[test]
    fn a_container_by_name_pod_or_prefix() {
        let all = survey().containers;
        for (want, id) in
            [("side", 'b'), ("prod/web-0/app", 'a'), ("aaa", 'a'), ("CCCC", 'c'), ("web-0/side", 'b')]
        {
            assert!(super::container(&all, want).unwrap().id.starts_with(id), "{want}");
        }
        let several = usage(super::container(&all, "app"));
        assert!(
            several.contains("aaaaaaaaaaaa") && several.contains("cccccccccccc") && !several.contains("side"),
            "{several}"
        );
        let none = usage(super::container(&all, "aa"));
        assert!(none.contains("no container matches 'aa'") && none.contains("side"), "{none}");
        assert!(usage(super::container(&[], "x\u{1b}")).contains("profiler targets"));
    }

    #[test]
    fn a_pod_is_its_cgroup_and_may_be_ambiguous() {
        let survey = survey();
        let part = pods(&survey, &["prod/web-0".into()]).unwrap();
        assert_eq!(part.areas.len(), 1, "{part:?}");
        assert!(part.areas[0].paths[0].1.ends_with("7e55"), "{part:?}");
        let several = usage(pods(&survey, &["web-0".into()]));
        assert!(several.contains("prod/web-0") && several.contains("test/web-0"), "{several}");
        assert!(usage(pods(&survey, &["db".into()])).contains("there are"));
    }

    #[test]
    fn command_names_must_fit() {
        assert!(comms(&["fifteen-bytes-x".into()]).is_ok());
        assert!(usage(comms(&["sixteen-bytes-xx".into()])).contains("--comm 'sixteen-bytes-x'"));
        assert!(usage(comms(&["ääääääääää".into()])).contains("--comm 'äääääää'"));
        usage(comms(&[String::new()]));
    }

    #[test]
    fn descendants_are_followed_without_loops() {
        let task = |pid, parent| Task { pid, parent, ..Task::default() };
        let tasks = [task(1, 0), task(2, 1), task(3, 2), task(4, 1), task(5, 6), task(6, 5)];
        assert_eq!(with_descendants(&tasks, &[2]), [2, 3]);
        assert_eq!(with_descendants(&tasks, &[5]), [5, 6]);
    }
}
