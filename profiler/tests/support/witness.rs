//! bpftrace as a second witness of lock waits.
//!
//! In: bpftrace from its package, root, a pid. Out: waits and their sum per kind of lock, over the same
//! tracepoints as the `lock` probe and by the rules of its design.

#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "as in `live`")]

use std::collections::BTreeMap;
use std::fs;
use std::process::{Command, Stdio};
use std::time::Duration;

use judge::lines::{Lines, Next};
use serde_json::Value;

use super::Process;
use super::live::{send, told};

/// bpftrace over the contention tracepoints of one process, in a mount namespace of its own.
pub struct Witness {
    child: Process,
    lines: Lines,
    _script: tempfile::TempDir,
}

/// Waits that somebody counted.
#[derive(Clone, Copy, Debug, Default)]
pub struct Waits {
    /// How many.
    pub count: u64,
    /// Their sum, ns.
    pub total_ns: u64,
}

/// The first begin on a lock opens the wait, later ones change its phase, locks nest. The
/// clock is read first thing, so that it is read equally late at both ends.
const CONTENTION: &str = r#"
tracepoint:lock:contention_begin {
    $now = nsecs;
    if (pid == $1 && @begin[tid, args->lock_addr] == 0) {
        @begin[tid, args->lock_addr] = $now;
        @kind[tid, args->lock_addr] = args->flags;
    }
}
tracepoint:lock:contention_end {
    $now = nsecs;
    if (pid == $1) {
        $begin = @begin[tid, args->lock_addr];
        if ($begin) {
            $kind = @kind[tid, args->lock_addr];
            @total[$kind] = sum($now - $begin);
            @count[$kind] = count();
            delete(@begin[tid, args->lock_addr]);
            delete(@kind[tid, args->lock_addr]);
        }
    }
}
interval:ms:20 { if (!@ready) { printf("attached\n"); @ready = 1; } }
END { clear(@begin); clear(@kind); clear(@ready); }
"#;

impl Witness {
    /// Starts it after the profiler, so that its clock is read next to the profiler's; returns when it is
    /// attached (the timer is attached last).
    pub fn start(pid: u32) -> Self {
        let dir = tempfile::Builder::new().prefix("prof-witness-").tempdir().unwrap();
        let script = dir.path().join("contention.bt");
        fs::write(&script, CONTENTION).unwrap();
        let mut command = Command::new("unshare");
        // bpftrace looks for the tracepoints below debugfs, which nobody may have mounted.
        let mount = "mount -t debugfs debugfs /sys/kernel/debug 2>/dev/null; exec bpftrace \"$@\"";
        command.args(["-m", "--propagation", "private", "sh", "-c", mount, "sh", "-f", "json", "-B", "line"]);
        command.arg(&script).arg(pid.to_string());
        let mut child =
            command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let lines = Lines::of(child.stdout.take().unwrap());
        while !told(lines.take()).expect("bpftrace ended before it attached").contains("attached\\n") {}
        Self { child: Process(child), lines, _script: dir }
    }

    /// Ends it; what it saw, by the contention flags of the first phase. `None` when it does not end: 0.17 now
    /// and then misses a signal (once it ran on for an hour), and then it says nothing.
    pub fn stop(self) -> Option<BTreeMap<u32, Waits>> {
        let interrupt = || send(self.child.pid(), "INT");
        interrupt();
        let mut seen = BTreeMap::<u32, Waits>::new();
        let mut deaf = 0;
        loop {
            let line = match self.lines.next_within(Duration::from_secs(10)) {
                Next::Line(line) => line,
                Next::End => return Some(seen),
                Next::Silence if deaf == 3 => return None,
                Next::Silence => {
                    deaf += 1;
                    interrupt();
                    continue;
                }
            };
            let Ok(line) = serde_json::from_str::<Value>(&line) else { continue };
            for (map, entries) in line["data"].as_object().into_iter().flatten() {
                for (flags, value) in entries.as_object().into_iter().flatten() {
                    let waits = seen.entry(flags.parse().unwrap()).or_default();
                    match map.as_str() {
                        "@count" => waits.count = value.as_u64().unwrap(),
                        "@total" => waits.total_ns = value.as_u64().unwrap(),
                        other => panic!("bpftrace printed {other}"),
                    }
                }
            }
        }
    }
}
