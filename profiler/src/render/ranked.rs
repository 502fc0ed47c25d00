//! Ranked rows of all probes that have some, made once for tables, findings and JSON.
//!
//! In: the profile. Out: [`Ranked`]. A probe whose rows no other part uses ranks them in its own folder.

use super::fold::Folder;
use crate::probes::cpu::lines::{self as cpu, CpuLine};
use crate::probes::lock::lines::{self as lock, LockLine};
use crate::probes::lsm::lines::{self as lsm, LsmLine};
use crate::probes::offcpu::lines::{self as offcpu, Blocked};
use crate::probes::offcpu::outside::{self, Outside};
use crate::probes::peer::cpu::{self as peer, PeerCpuLine};
use crate::probes::runq::lines::{self as runq, Queued};
use crate::probes::syscall::lines::{self as syscall, SyscallLine};
use crate::probes::waits::class::Classes;
use crate::probes::waits::stacks::Places;
use crate::profile::Profile;

/// Ranked rows, each kind heaviest first.
pub struct Ranked<'p> {
    /// System calls.
    pub syscalls: Vec<SyscallLine<'p>>,
    /// Lock waits.
    pub locks: Vec<LockLine>,
    /// Functions of the security layer.
    pub lsm: Vec<LsmLine<'p>>,
    /// CPU samples.
    pub cpu: Vec<CpuLine>,
    /// The same by peer.
    pub cpu_by_peer: Vec<PeerCpuLine>,
    /// Who blocked.
    pub blocked: Vec<Blocked<'p>>,
    /// Who waited for a CPU.
    pub queued: Vec<Queued>,
    /// Who stalled outside of calls.
    pub outside: Vec<Outside<'p>>,
}

impl<'p> Ranked<'p> {
    /// Ranks all rows.
    pub fn new(profile: &'p Profile, folder: &mut Folder<'_>) -> Self {
        let mut classes = Classes::new(profile);
        let mut places = Places::new(profile);
        let blocked = offcpu::blocked(profile, &mut classes, &mut places);
        Self {
            syscalls: syscall::syscalls(profile, &blocked),
            locks: lock::locks(profile),
            lsm: lsm::lsm(profile),
            cpu: cpu::cpu(profile, folder),
            cpu_by_peer: peer::lines(profile, folder),
            blocked,
            queued: runq::queued(profile),
            outside: outside::rows(profile, &mut classes, &mut places),
        }
    }
}
