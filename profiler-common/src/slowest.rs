//! The slowest calls one by one.
//!
//! In: slow calls. Out: per CPU and epoch, the [`KEPT`] longest calls that do not wait by purpose, and the [`KEPT`]
//! longest that wait for another thread.

pub use crate::calls::{takes_descriptor, waits_by_purpose, waits_for_thread};
use crate::part::PARTS;
pub use crate::paths::{NO_PATH, is_connect, path_argument};
use crate::user_lock::Holder;

/// Calls a CPU keeps per epoch.
pub const KEPT: usize = 16;

/// Bytes of a path that are kept, with the NUL that ends it.
pub const PATH: usize = 128;
/// In [`SlowestCall::path_bytes`]: the call takes a path, and it could not be read.
pub const PATH_UNREADABLE: u32 = u32::MAX;

/// One call.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct SlowestCall {
    /// From enter to exit, ns; 0 = free.
    pub wall_ns: u64,
    /// When it was entered, monotonic ns.
    pub enter_ns: u64,
    /// What it returned.
    pub ret: i64,
    /// Its first three arguments.
    pub arguments: [u64; 3],
    /// `wall_ns` by [`crate::part::Part`], ns.
    pub parts: [u64; PARTS],
    /// Kernel stack during the call.
    pub kernel: u64,
    /// User stack that made it.
    pub user: u64,
    /// Process.
    pub tgid: u32,
    /// Thread.
    pub tid: u32,
    /// System call number.
    pub nr: u32,
    /// Bytes of `path` with the NUL that ends it; 0: the call takes none; or [`PATH_UNREADABLE`].
    pub path_bytes: u32,
    /// The thread's name, NUL padded, as two words.
    pub comm: [u64; 2],
    /// How long before `enter_ns` a call that began before attach is known to have begun, ns.
    pub before_ns: u64,
    /// `i_mode` of what the call's descriptor named as it ended; 0: unknown, or it takes none.
    pub file_mode: u64,
    /// `s_magic` of the file system that is on.
    pub file_system: u64,
    /// Who held the lock of user space that it waited for longest.
    pub holder: Holder,
    /// From whom the call itself received last, as [`crate::peer::PeerKey::address`]; zeros: it received nothing by TCP.
    pub peer: [u64; 2],
    /// That peer's port.
    pub peer_port: u64,
    /// The path that the call was given, read as it ended, as words.
    pub path: [u64; PATH / 8],
}
crate::shared_record!(SlowestCall, 176 + 8 * PARTS + PATH);

/// Kinds of calls that are kept apart: those that wait for another thread of user space, and the others.
pub const KINDS: usize = 2;

/// Those of one CPU, epoch and kind, in no order.
pub type Slowest = [SlowestCall; KEPT];
