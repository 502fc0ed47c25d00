//! What copies of user stacks may take: a ring, buffers, a rate.
//!
//! In: the CPUs of this machine. Out: sizes, the rate of a CPU.

use aya::EbpfLoader;

use super::request::Request;
use crate::probe::Probe;

/// Copies in a second, of each kind, on all CPUs.
const EACH_SECOND: u32 = 6000;
/// Periods of a second, about: see `profiler-ebpf/src/stack/copy.rs`.
const PERIODS: u32 = 15;
/// Copies that a CPU may make in a period at least.
const LEAST: u32 = 8;
/// Bytes of the ring for each CPU, and its bounds.
const CPU_RING: u32 = 1 << 20;
const RING: (u32, u32) = (2 << 20, 64 << 20);
/// The smallest ring there is.
const NO_RING: u32 = 4096;

/// Copies that a CPU may make in a period, of each kind.
pub fn each_period() -> u32 {
    (EACH_SECOND / PERIODS / cpus().max(1)).max(LEAST)
}

/// Bytes of the ring.
pub fn ring_bytes(request: &Request) -> u32 {
    match request.copy_bytes {
        Some(_) => cpus().next_power_of_two().saturating_mul(CPU_RING).clamp(RING.0, RING.1),
        None => NO_RING,
    }
}

/// Whether the last calls are kept for those who die: each call pays for it, so only where deaths are all that is asked for.
pub fn keeps_calls(request: &Request) -> bool {
    request.probes.iter().eq([Probe::Crash])
}

/// Sizes the maps.
pub fn size_maps(loader: &mut EbpfLoader<'_>, request: &Request) {
    if request.probes.has(Probe::Crash) {
        loader.map_max_entries("FAULT_BUFFERS", cpus().max(1));
        loader.map_max_entries("LAST_CALLS", if keeps_calls(request) { cpus().max(1) } else { 1 });
    } else {
        loader.map_max_entries("FAULTS", NO_RING);
    }
    loader.map_max_entries("COPIES", ring_bytes(request));
    if request.copy_bytes.is_some() {
        loader.map_max_entries("COPY_BUFFERS", 2 * cpus().max(1));
    } else {
        loader.map_max_entries("STACK_TOPS", 1);
        loader.map_max_entries("KNOWN_STACKS", 1);
    }
}

/// One more than the highest CPU online: those that come later have no buffer, which is counted.
fn cpus() -> u32 {
    let highest = aya::util::online_cpus().ok().and_then(|cpus| cpus.into_iter().max());
    highest.map_or(1, |highest| highest.saturating_add(1))
}
