//! Sizes of maps: those of probes that are off are as small as can be.
//!
//! In: what was asked for, and what the kernel has. Out: sizes, handed to the loader.

use aya::EbpfLoader;

use super::request::Request;
use super::{copies, lsm};
use crate::plan::table;

/// Threads' state in hashes: only where there is no task storage.
const BY_TASK: [&str; 2] = ["TASKS", "PEER_TASKS"];

/// Shrinks the maps that this session does not fill.
pub fn shrink(loader: &mut EbpfLoader<'_>, request: &Request, task_storage: bool) {
    if let Some(lsm) = &request.lsm {
        let sites = lsm::site::most(&lsm.hooks, &lsm.modules) as u32;
        loader.map_max_entries("LSM_CACHE", 2 * sites.max(1));
    }
    copies::size_maps(loader, request);
    if !request.log {
        // The smallest ring there is.
        loader.map_max_entries("AYA_LOGS", 4096);
    }
    let filled: Vec<_> = request.probes.iter().flat_map(|probe| table::row(probe).kernel.maps).collect();
    for map in table::rows().flat_map(|row| row.kernel.maps).filter(|map| !filled.contains(map)) {
        loader.map_max_entries(map, 1);
    }
    if request.filter.tgids.is_empty() {
        loader.map_max_entries("TARGETS", 1);
    }
    if task_storage {
        for map in BY_TASK {
            loader.map_max_entries(map, 1);
        }
    }
}
