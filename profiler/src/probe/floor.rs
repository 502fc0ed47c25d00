//! The floor programs of the benchmark: attached, doing next to nothing.
//!
//! In: a kind. Out: the loaded object; detached when dropped.

use anyhow::{Context as _, anyhow};
use aya::programs::BtfTracePoint;
use aya::{Btf, Ebpf, EbpfLoader};

use super::object;
use crate::failure::Failure;

/// Kind of floor → (program, tracepoint).
const KINDS: [(&str, &[(&str, &str)]); 3] = [
    ("empty", &[("floor_empty_exit", "sys_exit"), ("floor_empty_enter", "sys_enter")]),
    ("clock", &[("floor_clock_exit", "sys_exit"), ("floor_clock_enter", "sys_enter")]),
    ("switch", &[("floor_empty_switch", "sched_switch")]),
];

/// Attaches a floor.
///
/// # Errors
/// An unknown kind; a kernel that refuses.
pub fn floor(kind: &str) -> Result<Ebpf, Failure> {
    let Some((_, programs)) = KINDS.iter().find(|(name, _)| *name == kind) else {
        return Err(Failure::Usage(format!("--kind {kind}: use empty, clock or switch")));
    };
    let mut ebpf = EbpfLoader::new()
        .btf(None)
        .allow_unsupported_maps()
        .load(object::bytes()?)
        .map_err(|error| Failure::Runtime(anyhow!(error)))?;
    let btf = Btf::from_sys_fs().context("reading the kernel's BTF")?;
    for (name, tracepoint) in *programs {
        let program: &mut BtfTracePoint =
            ebpf.program_mut(name).context("no such program")?.try_into().context("BTF tracepoint")?;
        program.load(tracepoint, &btf).with_context(|| format!("loading {name}"))?;
        program.attach().with_context(|| format!("attaching {name}"))?;
    }
    Ok(ebpf)
}
