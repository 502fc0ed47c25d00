//! Slow calls: their rows by stacks, and by part of their wall time.
//!
//! In: a call at or above the threshold that ended, with its parts in the thread's record. Out: the rows of
//! `SLOW` and `PARTS`. In each of them the parts, `unaccounted` among them, add up to the wall time.

use core::ffi::c_void;

use aya_ebpf::helpers::bpf_get_current_pid_tgid;
use aya_ebpf::macros::map;
use aya_ebpf::maps::HashMap;
use profiler_common::abi::{BEGAN_BEFORE, is_exec, is_sigreturn};
use profiler_common::outcome::Outcome;
use profiler_common::part::{PARTS, PartKey, PartRow};
use profiler_common::stack::NO_STACK;
use profiler_common::syscall::{SlowKey, SlowRow};
use profiler_state::parts::Parts;

use crate::outcome::count;
use crate::row::sum;
use crate::row::writer::this_writer;
use crate::stack::buffer::Buffer;
use crate::syscall::call::Ended;
use crate::syscall::slowest::{self, One};
use crate::thread::record;
use crate::{stack, task};

/// Slow calls by stacks.
#[map]
static SLOW: HashMap<SlowKey, SlowRow> = HashMap::with_max_entries(32_768, 0);
/// Parts of slow calls.
#[map(name = "PARTS")]
static PART_ROWS: HashMap<PartKey, PartRow> = HashMap::with_max_entries(16_384, 0);

/// Adds a slow call, whose parts are in the thread's record, with the user stack that made it: that one.
#[inline(always)]
pub fn add(ctx: *mut c_void, ended: &Ended, regs: u64) -> u64 {
    // After these the registers are not those of the code that made the call.
    let nr = ended.nr & !BEGAN_BEFORE;
    let in_call = !is_sigreturn(nr) && !is_exec(nr);
    let user = stack::copy::of_call(ctx, Buffer::Call, ended.tgid, in_call);
    add_slow(ended.nr, ended.latency_ns, user, regs, ended.ret);
    user
}

/// Adds the running thread's call to its rows. A global function: the verifier walks it once, not once for
/// every way a call can end.
#[unsafe(no_mangle)]
#[inline(never)]
pub fn add_slow(nr: u32, wall_ns: u64, user: u64, regs: u64, ret: i64) -> u32 {
    let Some(thread) = record::get(task::current()) else {
        count(Outcome::ThreadStateFull, 1);
        return 0;
    };
    let parts = &thread.parts;
    settle(parts, wall_ns);
    let tgid = (bpf_get_current_pid_tgid() >> 32) as u32;
    let writer = this_writer();
    let (kernel, source) = parts.telling_stack();
    add_row(&SlowKey { tgid, nr, kernel, user, source, writer }, wall_ns, parts);
    add_parts(parts, &mut PartKey { tgid, nr, kernel: NO_STACK, part: 0, writer });
    slowest::keep(thread, &One { nr, wall_ns, ret, regs, kernel, user });
    0
}

/// Adds every part to its row. A function of its own, as the others here: what they need of the stack adds up
/// along the calls only, and 512 bytes are all there is.
#[inline(never)]
fn add_parts(parts: &Parts, key: &mut PartKey) -> u32 {
    for part in 0..PARTS {
        let ns = parts.ns[part].get();
        if ns != 0 {
            (key.kernel, key.part) = (parts.stack_of(part), part as u32);
            add_part(key, ns);
        }
    }
    0
}

#[inline(never)]
fn settle(parts: &Parts, wall_ns: u64) -> u32 {
    if !parts.settle(wall_ns) {
        count(Outcome::PartsImplausible, 1);
    }
    0
}

#[inline(never)]
fn add_row(key: &SlowKey, wall_ns: u64, parts: &Parts) -> u32 {
    let mut first = SlowRow { count: 1, total_ns: wall_ns, max_ns: wall_ns, parts: [0; PARTS] };
    for part in 0..PARTS {
        first.parts[part] = parts.ns[part].get();
    }
    sum::add(&SLOW, key, &first, (Outcome::SlowRowFull, 1), |row| {
        row.count += 1;
        row.total_ns += wall_ns;
        if wall_ns > row.max_ns {
            row.max_ns = wall_ns;
        }
        for part in 0..PARTS {
            row.parts[part] += first.parts[part];
        }
    });
    0
}

#[inline(never)]
fn add_part(key: &PartKey, ns: u64) -> u32 {
    sum::add(&PART_ROWS, key, &PartRow { ns, calls: 1 }, (Outcome::PartRowFull, 1), |row| {
        row.ns += ns;
        row.calls += 1;
    });
    0
}
