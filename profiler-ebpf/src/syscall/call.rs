//! Rows of calls.
//!
//! In: a call that ended. Out: its latency row and errno counter; slow ones go on to `slow`.

use aya_ebpf::macros::map;
use aya_ebpf::maps::{HashMap, PerCpuArray};
use profiler_common::abi::is_sigreturn;
use profiler_common::outcome::Outcome;
use profiler_common::syscall::{CachedRows, ErrorKey, LatencyKey, LatencyRow};

use crate::global;
use crate::process::announce;
use crate::row::at_hand::{self, Table};
use crate::row::sum;
use crate::row::writer::this_writer;

/// Latency rows of the `syscall` probe.
#[map]
static LATENCY: HashMap<LatencyKey, LatencyRow> = HashMap::with_max_entries(32_768, 0);
/// Latency rows at hand, by the epoch's parity.
#[map]
static CACHE: PerCpuArray<CachedRows> = PerCpuArray::with_max_entries(2, 0);
/// Errno counters of the `syscall` probe.
#[map]
static ERRORS: HashMap<ErrorKey, u64> = HashMap::with_max_entries(8_192, 0);

/// Latencies of calls.
pub struct Calls;

impl Table for Calls {
    const FULL: Outcome = Outcome::SyscallRowFull;

    #[inline(always)]
    fn cache() -> &'static PerCpuArray<CachedRows> {
        &CACHE
    }

    #[inline(always)]
    fn rows() -> &'static HashMap<LatencyKey, LatencyRow> {
        &LATENCY
    }

    #[inline(always)]
    fn announce(tgid: u32) {
        announce::process(tgid);
    }
}

/// A call that ended: what its rows need.
pub struct Ended {
    pub tgid: u32,
    pub nr: u32,
    pub latency_ns: u64,
    pub ret: i64,
}

/// Adds a call that ended to its rows; whether it is slow.
#[inline(always)]
pub fn add(ended: &Ended) -> bool {
    if global::syscall_rows() == 0 {
        return false;
    }
    // What sigreturn leaves behind is the interrupted code's register, no errno of its own.
    if ended.ret < 0 && ended.ret >= -4095 && !is_sigreturn(ended.nr) {
        add_error(ended);
    }
    at_hand::add::<Calls>(ended.tgid, ended.nr as u16, ended.latency_ns);
    ended.latency_ns >= global::slow_ns()
}

#[inline(never)]
fn add_error(ended: &Ended) -> u32 {
    let key =
        ErrorKey { tgid: ended.tgid, nr: ended.nr as u16, errno: (-ended.ret) as u16, writer: this_writer() };
    sum::add(&ERRORS, &key, &1, (Outcome::ErrorRowFull, 1), |errors| *errors += 1);
    0
}
