//! The part of a slow call that the disk requests of its thread took.
//!
//! In: a call, the long requests of the target. Out: its disk, and how long requests were in the queue and in the device.

use std::collections::BTreeMap;

use super::names;
use super::rows::{Disk, LongRequest};
use crate::profile::Profile;
use crate::profile::slowest::SlowestCall;
use crate::render::name::kernel_functions;
use crate::render::{cause, humane};

/// Requests of one call on one disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DiskPart {
    /// Disk.
    pub disk: Disk,
    /// How many.
    pub requests: u64,
    /// While at least one of them was in the device, ns; while one was under way, if their queue is not told apart.
    pub device_ns: u64,
    /// While they were in the queue only, ns; none: not told apart.
    pub queue_ns: Option<u64>,
}

/// The disk on which the call's thread had requests for the longest meanwhile.
pub fn disk_part(profile: &Profile, call: &SlowestCall) -> Option<DiskPart> {
    let (begin, end) = (call.start_ns, call.start_ns.saturating_add(call.wall_ns));
    let mut disks: BTreeMap<Disk, Vec<&LongRequest>> = BTreeMap::new();
    for request in &profile.block.long {
        let ended = request.start_ns.saturating_add(request.total_ns);
        if (request.pid, request.tid) == (call.pid, call.tid) && request.start_ns < end && ended > begin {
            disks.entry(request.disk).or_default().push(request);
        }
    }
    let parts = disks.into_iter().map(|(disk, requests)| part(disk, &requests, (begin, end)));
    parts.max_by_key(|part| part.device_ns.saturating_add(part.queue_ns.unwrap_or(0)))
}

fn part(disk: Disk, requests: &[&LongRequest], window: (u64, u64)) -> DiskPart {
    let span = |request: &LongRequest, queue_ns: u64| {
        let begin = request.start_ns.saturating_add(queue_ns);
        (begin, request.start_ns.saturating_add(request.total_ns))
    };
    let all_ns = covered(requests.iter().map(|request| span(request, 0)), window);
    let told: Option<Vec<_>> =
        requests.iter().map(|request| Some(span(request, request.queue_ns?))).collect();
    let device_ns = told.map(|told| covered(told.into_iter(), window));
    DiskPart {
        disk,
        requests: requests.len() as u64,
        device_ns: device_ns.unwrap_or(all_ns),
        queue_ns: device_ns.map(|device_ns| all_ns.saturating_sub(device_ns)),
    }
}

/// How much of the window the spans cover, ns.
fn covered(spans: impl Iterator<Item = (u64, u64)>, (begin, end): (u64, u64)) -> u64 {
    let mut spans: Vec<_> = spans.map(|(from, to)| (from.max(begin), to.min(end))).collect();
    spans.sort_unstable();
    let (mut ns, mut until) = (0u64, begin);
    for (from, to) in spans {
        ns = ns.saturating_add(to.saturating_sub(from.max(until)));
        until = until.max(to);
    }
    ns
}

/// `vda: 1.20 ms queued, 9.00 ms in the device`. If a call slept on a disk without long requests of its own,
/// `disk unknown (…)`. Otherwise it is empty.
pub fn phrase(profile: &Profile, call: &SlowestCall) -> String {
    match disk_part(profile, call) {
        Some(part) => {
            let disk = names::disk(profile, part.disk);
            let device = humane::duration(part.device_ns);
            match part.queue_ns {
                Some(queue_ns) => {
                    format!("{disk}: {} queued, {device} in the device", humane::duration(queue_ns))
                }
                None => format!("{disk}: {device} queued and in the device"),
            }
        }
        None => unknown(profile, call).map_or_else(String::new, |why| format!("disk unknown ({why})")),
    }
}

/// Why the disk of a call that slept on one is not known; none of other calls, and where nobody looked.
pub fn unknown(profile: &Profile, call: &SlowestCall) -> Option<&'static str> {
    let slept = cause::of(kernel_functions(&profile.stacks, call.kernel)) == Some("disk");
    let looked = profile.header.probes.iter().any(|plan| plan.probe == "block" && plan.active);
    (slept && looked && disk_part(profile, call).is_none()).then_some("no long request of its thread")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probes::block::rows::Kind;
    use crate::profile::{Pid, Tid};

    fn request(start_ns: u64, (queue_ns, total_ns): (Option<u64>, u64)) -> LongRequest {
        let (disk, pid, tid) = (Disk(254 << 20), Pid(7), Tid(8));
        LongRequest { start_ns, queue_ns, total_ns, disk, pid, tid, kind: Kind::Read }
    }

    fn found(requests: &[LongRequest]) -> Option<(u64, u64, Option<u64>)> {
        let mut profile = Profile::default();
        profile.block.long = requests.to_vec();
        let call =
            SlowestCall { pid: Pid(7), tid: Tid(8), start_ns: 1_000, wall_ns: 100, ..SlowestCall::default() };
        disk_part(&profile, &call).map(|part| (part.requests, part.device_ns, part.queue_ns))
    }

    #[test]
    fn requests_beside_one_another_count_once() {
        assert_eq!(
            found(&[request(1_010, (Some(5), 40)), request(1_020, (Some(5), 40))]),
            Some((2, 45, Some(5)))
        );
        assert_eq!(found(&[request(990, (Some(20), 500))]), Some((1, 90, Some(10))), "only what is inside");
        assert_eq!(found(&[request(1_010, (Some(5), 40)), request(1_020, (None, 40))]), Some((2, 50, None)));
    }

    #[test]
    fn other_threads_and_other_times_are_not_its_own() {
        assert_eq!(found(&[request(800, (Some(5), 40)), request(1_200, (Some(5), 40))]), None);
        assert_eq!(found(&[LongRequest { tid: Tid(9), ..request(1_010, (Some(5), 40)) }]), None);
        assert_eq!(found(&[request(u64::MAX, (Some(u64::MAX), u64::MAX))]), None, "a hostile capture");
    }
}
