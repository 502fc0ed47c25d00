//! A request completes: at once, or part by part.
//!
//! In: the request, whether it failed, the bytes that are done. Out: its row; a long one of the target is kept by itself, too.

use core::ffi::c_void;

use profiler_common::block::{BlockKey, OF_TARGET, UNTOLD, kind};
use profiler_common::outcome::Outcome;

use crate::block::field::{self, Request};
use crate::block::row::{self, Times};
use crate::block::{long, submitter};
use crate::clock::now_ns;
use crate::outcome::count;

/// `bytes` of the request are done.
#[inline(always)]
pub fn complete(address: *const c_void, error: u32, bytes: u32) {
    let request = Request::of(address);
    let step = request.is_step();
    if step && request.bio.is_null() {
        // The kernel's own, for the requests that wait for it: their time has it.
        count(Outcome::BlockFlush, 1);
        return;
    }
    let ends = !step && bytes >= request.left;
    let who = submitter::of(address, request.bio, ends);
    let kind = request.kind();
    let mut key = BlockKey {
        device: request.device,
        tgid: who.tgid(),
        cgroup: field::cgroup(request.bio),
        writer: 0,
        kind,
        device_octave: UNTOLD,
        queue_octave: UNTOLD,
        flags: if who.is_of_target() { OF_TARGET } else { 0 },
    };
    if !ends {
        row::add(&mut key, &Times { requests: 0, bytes: bytes.into(), ..Times::NONE });
        return;
    }
    if !who.is_seen() {
        submitter::miss(request.start_ns);
    }
    let now = now_ns();
    let times = times(&request, kind, (now, bytes, error));
    if who.is_of_target() && times.device_ns != row::NO_TIME {
        long::keep(&request, &who, (now, bytes, kind));
    }
    row::add(&mut key, &times);
}

/// How long it was in the queue, and in the device.
#[inline(always)]
fn times(request: &Request, kind: u8, (now, bytes, error): (u64, u32, u32)) -> Times {
    let one = Times { requests: 1, bytes: bytes.into(), failed: u64::from(error != 0), ..Times::NONE };
    if !request.is_timed() {
        count(Outcome::BlockUntimed, 1);
        return one;
    }
    let all = now.saturating_sub(request.start_ns);
    if request.issue_ns == 0 {
        // A flush waits for the device in all of its time; of another the kernel does not keep when it was issued.
        if kind == kind::FLUSH {
            return Times { device_ns: all, queue_ns: 0, ..one };
        }
        count(Outcome::BlockIssueUntold, 1);
        return Times { device_ns: all, ..one };
    }
    let queue_ns = request.issue_ns.saturating_sub(request.start_ns);
    Times { device_ns: now.saturating_sub(request.issue_ns), queue_ns, ..one }
}
