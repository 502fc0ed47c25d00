//! Fields of requests, by plain loads: the tracepoint's argument is one that the verifier knows.
//!
//! In: a request, or its bio. Out: its fields, at injected offsets.

use core::ffi::c_void;

use profiler_common::block::{BlockOffsets, kind};

use crate::global::offset;
use crate::task::read::follow;

#[unsafe(no_mangle)]
// SAFETY: plain integers; 0 of each: not known.
static BLOCK_OFFSETS: BlockOffsets = unsafe { core::mem::zeroed() };

/// One field of the offsets.
macro_rules! block_offset {
    ($field:ident) => {
        $crate::block::field::read_offset(core::mem::offset_of!(profiler_common::block::BlockOffsets, $field))
            as usize
    };
}
pub(crate) use block_offset;

/// Reads the offset at `field` bytes into the record, so that the verifier sees a constant.
#[inline(always)]
pub fn read_offset(field: usize) -> u32 {
    // SAFETY: `field` comes from `offset_of!` of that record.
    unsafe { core::ptr::read_volatile((&raw const BLOCK_OFFSETS).cast::<u32>().byte_add(field)) }
}

/// What the program of its end asks of a request.
pub struct Request {
    /// Operation and its flags.
    pub operation: u32,
    /// The kernel's own flags.
    pub flags: u32,
    /// Bytes that were to come.
    pub left: u32,
    /// When it was made, ns.
    pub start_ns: u64,
    /// When the device got it, ns; 0: never, or not kept.
    pub issue_ns: u64,
    /// Its first bio; null: it has none.
    pub bio: *const c_void,
    /// Its disk: major number shifted by 20, and minor number.
    pub device: u32,
}

impl Request {
    /// Of a request that completes.
    #[inline(always)]
    pub fn of(request: *const c_void) -> Self {
        // SAFETY: the tracepoint's argument, and what it points to; what cannot be read is 0.
        unsafe {
            let mut disk: *const c_void = follow(request, block_offset!(disk));
            if block_offset!(queue_disk) != 0 {
                disk = follow(disk, block_offset!(queue_disk));
            }
            let (major, minor): (u32, u32) =
                (follow(disk, block_offset!(major)), follow(disk, block_offset!(first_minor)));
            Self {
                operation: follow(request, block_offset!(cmd_flags)),
                flags: follow(request, block_offset!(rq_flags)),
                left: follow(request, block_offset!(data_len)),
                start_ns: follow(request, block_offset!(start_ns)),
                issue_ns: follow(request, block_offset!(issue_ns)),
                bio: follow(request, block_offset!(bio)),
                device: major << 20 | minor & 0xf_ffff,
            }
        }
    }

    /// Whether it is a step of a request that flushes: others follow.
    #[inline(always)]
    pub fn is_step(&self) -> bool {
        self.flags & block_offset!(flush_seq) as u32 != 0
    }

    /// Whether the kernel keeps its times.
    #[inline(always)]
    pub fn is_timed(&self) -> bool {
        self.flags & block_offset!(io_stat) as u32 != 0 && self.start_ns != 0
    }

    /// What it does. A write without data that never came to the device was only a flush.
    #[inline(always)]
    pub fn kind(&self) -> u8 {
        const OPERATION: u32 = 0xff;
        match self.operation & OPERATION {
            0 => kind::READ,
            1 if self.is_flush() => kind::FLUSH,
            1 => kind::WRITE,
            2 => kind::FLUSH,
            3 | 5 => kind::DISCARD,
            _ => kind::OTHER,
        }
    }

    /// Whether it is a write of nothing that the kernel has answered by a flush of its own.
    #[inline(always)]
    fn is_flush(&self) -> bool {
        self.left == 0 && self.issue_ns == 0
    }
}

/// The bio behind a bio.
#[inline(always)]
pub fn next(bio: *const c_void) -> *const c_void {
    // SAFETY: a pointer that the request holds; what cannot be read is 0.
    unsafe { follow(bio, block_offset!(next)) }
}

/// The id of the cgroup that a bio is billed to; 0: none, or nobody knows.
#[inline(always)]
pub fn cgroup(bio: *const c_void) -> u64 {
    if block_offset!(blkg) == 0 || bio.is_null() {
        return 0;
    }
    // SAFETY: as above, one pointer after the other.
    unsafe {
        let group: *const c_void = follow(bio, block_offset!(blkg));
        let owner: *const c_void = follow(group, block_offset!(blkcg));
        let cgroup: *const c_void = follow(owner, block_offset!(cgroup));
        let node: *const c_void = follow(cgroup, offset!(cgroup_kn));
        follow(node, offset!(kn_id))
    }
}
