//! Who is measured: the resolved target as the kernel side wants it.
//!
//! In: settings, the launched command. Out: [`Scope`]: the filter, the note for the capture, and
//! the way to find the container of a process.

use crate::attach::{Filter, Hierarchy, Place};
use crate::cli::settings::RecordSettings;
use crate::environment::{self, Watch};
use crate::failure::Failure;
use crate::profile::{Environment, TargetNote};
use crate::target::{self, CgroupFilter, Finder, Host, Owners, Resolved, Seek, Selection};

use super::launch::Launched;

/// The target, ready to attach to.
pub struct Scope {
    /// For the kernel side.
    pub filter: Filter,
    /// For the capture.
    pub note: TargetNote,
    /// The filter's cgroups by their names, in its order.
    pub seeks: Vec<Seek>,
    /// The target's processes that are there now.
    pub members: Vec<u32>,
    /// Tells whose a new cgroup is.
    pub finder: Finder,
    /// Names containers of pids.
    pub owners: Owners,
    /// The machine before our own programs are loaded.
    pub environment: Environment,
    /// Reads the counters.
    pub watch: Watch,
}

/// Resolves the target.
///
/// # Errors
/// [`Failure::Usage`] when nothing or too much matches.
pub fn resolve(settings: &RecordSettings, launched: Option<&Launched>) -> Result<Scope, Failure> {
    let host = Host::discover()?;
    let selection = selection(settings);
    let resolve = if settings.wait { target::resolve_or_wait } else { target::resolve };
    let mut resolved = resolve(&host, &selection)?;
    if let Some(launched) = launched {
        follow(&mut resolved, &selection, launched, settings);
    }
    let hierarchy = hierarchy(&resolved, &host);
    one_hierarchy(&resolved.cgroups)?;
    let controller = match &hierarchy {
        Hierarchy::V2 => None,
        Hierarchy::V1(controller) => Some(controller.as_str()),
    };
    let finder = Finder::new(host.clone(), controller);
    let filter = Filter {
        tgids: resolved.pids.clone().unwrap_or_default(),
        cgroups: resolved.seeks.iter().map(place).collect(),
        hierarchy_number: controller.map_or(0, target::hierarchy_number),
        by_name: resolved.seeks.iter().any(Seek::is_by_name),
        hierarchy: hierarchy.clone(),
        comms: resolved.comms.clone(),
        threads: resolved.threads.clone(),
    };
    let owners = match &filter.hierarchy {
        Hierarchy::V2 => Owners::new(host),
        Hierarchy::V1(controller) => Owners::new(host).by_controller(controller),
    };
    let environment = environment::read(&resolved.places);
    let watch = Watch::new(resolved.places, resolved.one);
    let (seeks, members) = (resolved.seeks, resolved.members);
    Ok(Scope { filter, note: resolved.note, seeks, members, finder, owners, environment, watch })
}

fn selection(settings: &RecordSettings) -> Selection {
    Selection {
        containers: settings.containers.clone(),
        pods: settings.pods.clone(),
        cgroups: settings.cgroups.iter().map(|path| path.to_string_lossy().into_owned()).collect(),
        units: settings.units.clone(),
        pids: settings.pids.clone(),
        comms: settings.comms.clone(),
        threads: settings.threads.clone(),
    }
}

/// A launched command is the target unless another one was named.
fn follow(resolved: &mut Resolved, selection: &Selection, launched: &Launched, settings: &RecordSettings) {
    if !selection.is_empty() {
        return;
    }
    resolved.pids = Some(vec![launched.pid()]);
    // It becomes another program as soon as recording begins.
    resolved.members = Vec::new();
    resolved.one = Some(launched.pid());
    let command: Vec<_> = settings.command.iter().map(|word| word.to_string_lossy()).collect();
    resolved.note.label = format!("command {}", command.join(" "));
    resolved.note.way = "the command's process and its children".into();
}

/// The kernel side looks at one hierarchy, where ids are unique.
fn one_hierarchy(cgroups: &[CgroupFilter]) -> Result<(), Failure> {
    let hierarchy = |filter: &CgroupFilter| match filter {
        CgroupFilter::V2 { .. } => String::new(),
        CgroupFilter::V1 { controller, .. } => controller.clone(),
    };
    if cgroups.windows(2).all(|pair| hierarchy(&pair[0]) == hierarchy(&pair[1])) {
        return Ok(());
    }
    let ways: Vec<String> = cgroups.iter().map(ToString::to_string).collect();
    Err(Failure::Usage(format!(
        "the target lies in several cgroup hierarchies ({}): measure one at a time",
        ways.join(", ")
    )))
}

/// A cgroup of the target as the kernel side wants it.
pub fn place(seek: &Seek) -> Place {
    let (id, level) = seek.identity;
    Place { id, level, path: seek.path.clone(), begins: seek.begins }
}

/// The hierarchy the target's cgroups are in; without any, the one that tells containers apart.
fn hierarchy(resolved: &Resolved, host: &Host) -> Hierarchy {
    match resolved.cgroups.first() {
        Some(CgroupFilter::V2 { .. }) => Hierarchy::V2,
        Some(CgroupFilter::V1 { controller, .. }) => Hierarchy::V1(controller.clone()),
        None => match target::controller_to_come(host, &resolved.seeks) {
            Some(controller) => controller.map_or(Hierarchy::V2, Hierarchy::V1),
            None if host.layout() == "v2" => Hierarchy::V2,
            None => Hierarchy::V1("memory".into()),
        },
    }
}
