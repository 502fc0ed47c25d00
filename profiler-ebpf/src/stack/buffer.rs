//! Where stacks are taken into: a buffer for each program, on each CPU.
//!
//! In: the program. Out: a buffer. Two programs that can run on top of each other on a CPU never share one.

use aya_ebpf::macros::map;
use aya_ebpf::maps::PerCpuArray;
use profiler_common::stack::{FRAMES, StackHead};

/// Stack buffers, one per program and nesting, never shared.
#[map]
pub static SCRATCH: PerCpuArray<Scratch> = PerCpuArray::with_max_entries(BUFFERS, 0);

/// A stack that is sent to user space.
#[repr(C)]
pub struct Scratch {
    /// What it is.
    pub head: StackHead,
    /// Its addresses, leaf first.
    pub frames: [u64; FRAMES],
}

/// The list of buffers, declared once: their number follows from it.
macro_rules! buffers {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// The buffer a program uses: no two programs that can nest share one.
        #[derive(Clone, Copy)]
        #[repr(u32)]
        pub enum Buffer { $($(#[$doc])* $name,)* }

        /// How many buffers there are.
        const BUFFERS: u32 = [$(Buffer::$name),*].len() as u32;
    };
}

buffers! {
    /// `sys_exit`.
    Call,
    /// `sched_switch`.
    Switch,
    /// The CPU sample.
    Sample,
    /// Contention; the recursion guard keeps it from nesting in itself.
    Lock,
    /// The task iterator.
    InFlight,
    /// A slow path by kprobe: the kernel runs one kprobe program a CPU.
    Kprobe,
    /// Slow paths by fentry: each program has a recursion guard of its own. Only one of the two for spinlocks runs.
    Spin,
    /// `enter_rwlock_read`.
    ReadLock,
    /// `enter_rwlock_write`.
    WriteLock,
    /// `enter_mutex`.
    Mutex,
    /// `enter_mutex_killable`.
    MutexKillable,
    /// `enter_mutex_interruptible`.
    MutexInterruptible,
    /// `enter_rwsem_read`.
    SemaphoreRead,
    /// `enter_rwsem_write`.
    SemaphoreWrite,
    /// A wakeup.
    Waking,
    /// A function of the security layer.
    Lsm,
    /// Such a program that runs on top of another one.
    LsmOnTop,
}
