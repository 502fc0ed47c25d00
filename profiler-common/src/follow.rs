//! Instances of the target's cgroups: what a restart makes anew.
//!
//! In: paths that user space waits for. Out: [`Followed`], by which the target filter tells cgroups apart, and
//! [`CgroupEvent`]s. A path has one living cgroup at most, so a new one takes the place of the one before.

/// Bytes of a cgroup's path that are compared, its NUL included.
pub const PATH_BYTES: usize = 512;

/// Id that no cgroup has.
pub const NO_ID: u64 = u64::MAX;

/// One cgroup of the target: the instance that counts, and the one that is being made.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Followed {
    /// Id of the cgroup that counts; [`NO_ID`]: none.
    pub id: u64,
    /// Id of the one that counts from its first exec on; [`NO_ID`]: none.
    pub awaited: u64,
    /// The mount namespace that the awaited one was made from; 0: any exec begins it.
    pub outside: u64,
    /// When a process of the one that counts ended last, monotonic ns; 0: never.
    pub ended_ns: u64,
    /// Its level.
    pub level: u32,
    /// The awaited one's level.
    pub awaited_level: u32,
}
crate::shared_record!(Followed, 40);

/// No instance.
pub const NOBODY: Followed =
    Followed { id: NO_ID, awaited: NO_ID, outside: 0, ended_ns: 0, level: 0, awaited_level: 0 };

/// When a new instance counts.
pub mod begins {
    /// When its cgroup is made.
    pub const AT_ONCE: u32 = 0;
    /// With the first program that is executed inside.
    pub const AT_EXEC: u32 = 1;
    /// With the first program that is executed inside in another mount namespace than the one it was made from: a
    /// runtime executes itself anew before it leaves its own.
    pub const AT_EXEC_APART: u32 = 2;
}

/// A path that is waited for.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CgroupPath {
    /// From the hierarchy's root, NUL padded.
    pub bytes: [u8; PATH_BYTES],
}
crate::shared_record!(CgroupPath, 512);

/// What a path that is waited for stands for.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Waited {
    /// Which of the target's cgroups.
    pub place: u32,
    /// See [`begins`].
    pub begins: u32,
}
crate::shared_record!(Waited, 8);

/// What happened to a cgroup.
pub mod change {
    /// Made; counts later.
    pub const MADE: u32 = 1;
    /// Counts from now on.
    pub const BEGAN: u32 = 2;
    /// Removed.
    pub const REMOVED: u32 = 3;
    /// Made under a path that nobody waits for.
    pub const OTHER: u32 = 4;
}

/// Something happened to a cgroup of the target, or to one that may become one.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CgroupEvent {
    /// [`crate::event::CGROUP`].
    pub tag: u32,
    /// See [`change`].
    pub change: u32,
    /// When, monotonic ns.
    pub time_ns: u64,
    /// Its id.
    pub id: u64,
    /// When a process of it ended last; 0: not known.
    pub ended_ns: u64,
    /// Which of the target's cgroups; of others nothing.
    pub place: u32,
    /// Its level.
    pub level: u32,
}
crate::shared_record!(CgroupEvent, 40);

/// A cgroup that was made, with its path.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct NewCgroup {
    /// What every event has.
    pub event: CgroupEvent,
    /// Its path, cut when it is longer.
    pub path: CgroupPath,
}
crate::shared_record!(NewCgroup, 552);

/// Other cgroups that are told of each second on a CPU, at most.
pub const OTHERS_EACH_SECOND: u32 = 200;
