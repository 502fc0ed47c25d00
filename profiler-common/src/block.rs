//! The `block` probe's records.
//!
//! In: requests of block devices that complete. Out: rows per (device, cgroup, submitter, kind, octaves), and the longest
//! requests of the target one by one.

use crate::histogram::SLOTS;

/// What a request does.
pub mod kind {
    /// Reads.
    pub const READ: u8 = 0;
    /// Writes.
    pub const WRITE: u8 = 1;
    /// Waits until the device has written what it holds; no data.
    pub const FLUSH: u8 = 2;
    /// Tells the device which blocks are not needed any more.
    pub const DISCARD: u8 = 3;
    /// Anything else: commands of drivers, zeroes written by the device.
    pub const OTHER: u8 = 4;
}

/// In [`BlockKey::flags`]: the submitter is one of the target's.
pub const OF_TARGET: u8 = 1;

/// As [`BlockKey::tgid`]: nobody saw who submitted it.
pub const NO_SUBMITTER: u32 = 0;

/// As an octave: the time is not known.
pub const UNTOLD: u8 = u8::MAX;

/// Key of a row of requests.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BlockKey {
    /// Whole device: major number shifted by 20, and minor number.
    pub device: u32,
    /// Process that submitted it, or [`NO_SUBMITTER`].
    pub tgid: u32,
    /// The cgroup that the kernel bills it to, in the v2 hierarchy; 0: not known.
    pub cgroup: u64,
    /// The one writer of this row, see [`crate::writer`]; bits 24 to 30: how many runs it interrupted.
    pub writer: u32,
    /// [`kind`].
    pub kind: u8,
    /// Octave of the time in the device, or [`UNTOLD`].
    pub device_octave: u8,
    /// Octave of the time in the queue, or [`UNTOLD`].
    pub queue_octave: u8,
    /// [`OF_TARGET`].
    pub flags: u8,
}
crate::shared_record!(BlockKey, 24);

/// Requests of one [`BlockKey`].
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct BlockRow {
    /// Requests by their time in the device; if the time is not known, all are in the first slot.
    pub device_slots: [u32; SLOTS],
    /// The same by their time in the queue.
    pub queue_slots: [u32; SLOTS],
    /// Sum of the times in the device, ns.
    pub device_ns: u64,
    /// Longest of them, ns.
    pub device_max_ns: u64,
    /// Sum of the times in the queue, ns.
    pub queue_ns: u64,
    /// Longest of them, ns.
    pub queue_max_ns: u64,
    /// Bytes moved, those of requests that are not complete yet too.
    pub bytes: u64,
    /// Requests that failed.
    pub failed: u64,
}
crate::shared_record!(BlockRow, 112);

/// Long requests that a CPU keeps per epoch.
pub const KEPT: usize = 32;

/// One request of the target.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LongRequest {
    /// When the request was made, monotonic ns.
    pub start_ns: u64,
    /// When the device got it; 0: not known, or never.
    pub issue_ns: u64,
    /// When it was complete; 0: free.
    pub end_ns: u64,
    /// Bytes of the last part that completed.
    pub bytes: u64,
    /// As [`BlockKey::device`].
    pub device: u32,
    /// Process that submitted it.
    pub tgid: u32,
    /// Thread that did.
    pub tid: u32,
    /// [`kind`].
    pub kind: u32,
}
crate::shared_record!(LongRequest, 48);

impl LongRequest {
    /// From the request's begin to its end, ns.
    #[inline(always)]
    pub const fn total_ns(&self) -> u64 {
        self.end_ns.saturating_sub(self.start_ns)
    }
}

/// Those of one CPU and epoch, in no order.
pub type LongRequests = [LongRequest; KEPT];

/// Where the fields of requests are (bytes from the start of their struct), and bits of their flags.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BlockOffsets {
    /// `request.cmd_flags`.
    pub cmd_flags: u32,
    /// `request.rq_flags`.
    pub rq_flags: u32,
    /// `request.__data_len`.
    pub data_len: u32,
    /// `request.bio`.
    pub bio: u32,
    /// `request.start_time_ns`.
    pub start_ns: u32,
    /// `request.io_start_time_ns`.
    pub issue_ns: u32,
    /// `request.q`, or `request.rq_disk` before Linux 5.17: see `queue_disk`.
    pub disk: u32,
    /// `request_queue.disk`; 0: the request itself has the disk.
    pub queue_disk: u32,
    /// `gendisk.major`.
    pub major: u32,
    /// `gendisk.first_minor`.
    pub first_minor: u32,
    /// `bio.bi_next`.
    pub next: u32,
    /// `bio.bi_blkg`; 0: the kernel bills no cgroup, or one of a v1 hierarchy.
    pub blkg: u32,
    /// `blkcg_gq.blkcg`.
    pub blkcg: u32,
    /// `blkcg.css.cgroup`.
    pub cgroup: u32,
    /// The bit of `RQF_IO_STAT`: the request has times.
    pub io_stat: u32,
    /// The bit of `RQF_FLUSH_SEQ`: a step of a request that flushes.
    pub flush_seq: u32,
    /// Which argument of `block_getrq` is the bio.
    pub getrq_bio: u32,
    /// 1: all of this is known.
    pub known: u32,
}
crate::shared_record!(BlockOffsets, 72);
