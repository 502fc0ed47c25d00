//! The row types of all probes, re-exported from one place.
//!
//! In: `rows.rs` of each probe's folder. Out: their types by name.

pub use super::call::CallNumber;
pub use super::context::LockContext;
pub use super::in_flight::InFlightCall;
pub use super::lock_kind::LockKind;
pub use super::lsm_site::LsmSite;
pub use crate::probes::blame::rows::{BlameRows, HeldKey, HeldRow, LockHolder, Told};
pub use crate::probes::block::rows::{BlockKey, BlockRow, BlockRows, Disk, LongRequest};
pub use crate::probes::cpu::rows::{CpuKey, CpuRow, CpuRows};
pub use crate::probes::crash::rows::{
    Area, CallBefore, CoreFacts, CrashRows, Fault, How, Kind, Place, Received,
};
pub use crate::probes::lock::rows::{Holder, HolderKey, HolderRow, LockKey, LockRow, LockRows};
pub use crate::probes::lsm::rows::{LsmKey, LsmRow, LsmRows, LsmStackKey};
pub use crate::probes::peer::rows::{PeerKey, PeerRow, PeerRows};
pub use crate::probes::syscall::rows::{SlowKey, SlowRow, StackSource, SyscallRow, SyscallRows};
