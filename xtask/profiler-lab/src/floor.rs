//! The least any tracer pays, for `cargo xtask bench`. In: the kind of floor. Out: `ready` on stdout once its
//! programs are attached; they are detached when stdin ends.

use std::io::Read as _;

use anyhow::{Context as _, anyhow};
use aya::programs::BtfTracePoint;
use aya::{Btf, Ebpf, EbpfLoader};
use profiler::command::stdout::to_stdout;
use profiler::failure::Failure;

/// Kind of floor → (program, tracepoint).
const KINDS: [(&str, &[(&str, &str)]); 3] = [
    ("empty", &[("floor_empty_exit", "sys_exit"), ("floor_empty_enter", "sys_enter")]),
    ("clock", &[("floor_clock_exit", "sys_exit"), ("floor_clock_enter", "sys_enter")]),
    ("switch", &[("floor_empty_switch", "sched_switch")]),
];

/// Attaches a floor until stdin ends.
///
/// # Errors
/// An unknown kind; a kernel that refuses.
pub fn attach(kind: &str, object: &[u8]) -> Result<(), Failure> {
    let _attached = attached(kind, object)?;
    to_stdout(|out| Ok(writeln!(out, "ready")?))?;
    // Any end of input will do, an error included.
    let _ = std::io::stdin().lock().read_to_end(&mut Vec::new());
    Ok(())
}

fn attached(kind: &str, object: &[u8]) -> Result<Ebpf, Failure> {
    let Some((_, programs)) = KINDS.iter().find(|(name, _)| *name == kind) else {
        return Err(Failure::Usage(format!("floor {kind}: use empty, clock or switch")));
    };
    let mut ebpf = EbpfLoader::new()
        .btf(None)
        .allow_unsupported_maps()
        .load(object)
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
