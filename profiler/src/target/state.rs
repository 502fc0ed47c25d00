//! Containers that a bare `runc run` or `crun run` recorded.
//!
//! In: `/run/runc/*/state.json`, `/run/crun/*/status` (only files that belong to root).
//! Out: name and cgroup of each. Other `--root` directories cannot be known; their containers are
//! found by their pid namespace instead.

use std::fs;

use serde_json::Value;

use super::area::Area;
use super::hierarchy::below;
use super::host::Host;
use super::read;

/// Most records looked at per runtime.
const MAX_RECORDS: usize = 4096;

/// A recorded container.
#[derive(Clone, Debug)]
pub(super) struct Record {
    pub runtime: &'static str,
    pub name: String,
    pub area: Area,
}

/// All records.
pub(super) fn records(host: &Host) -> Vec<Record> {
    let mut all = Vec::new();
    for (runtime, root, file) in [("runc", "run/runc", "state.json"), ("crun", "run/crun", "status")] {
        let Some(dir) = read::directory(host.root().join(root)) else { continue };
        let entries = fs::read_dir(host.root().join(root)).into_iter().flatten().flatten().take(MAX_RECORDS);
        for name in entries.filter_map(|entry| entry.file_name().into_string().ok()) {
            let Some(state) = read::json(&dir, format!("{name}/{file}")) else { continue };
            let area = area_of(host, &state);
            if !area.paths.is_empty() {
                all.push(Record { runtime, name, area });
            }
        }
    }
    all
}

/// runc names absolute directories per controller, crun one path for all hierarchies.
pub(super) fn area_of(host: &Host, state: &Value) -> Area {
    let absolute: Vec<&str> = state["cgroup_paths"]
        .as_object()
        .into_iter()
        .flat_map(|paths| paths.values().filter_map(Value::as_str))
        .collect();
    let relative = state["cgroup-path"].as_str().filter(|path| path.starts_with('/') && *path != "/");
    let mut area = Area::default();
    for (place, hierarchy) in host.hierarchies().iter().enumerate() {
        let dir = host.named_on_host(&hierarchy.dir);
        let named = absolute.iter().filter_map(|path| below(path, &dir)).find(|rest| !rest.is_empty());
        if let Some(path) = named.map(str::to_owned).or_else(|| hierarchy.locate(relative?)) {
            area.paths.push((place, path));
        }
    }
    area
}
