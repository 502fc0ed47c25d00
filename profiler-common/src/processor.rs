//! What depends on the processor, in one place: another one is another module of the same names.
//!
//! In: nothing. Out: the names of its slow paths, where it keeps a call's registers, the numbers of
//! system calls that are treated in a way of their own, the names of its interrupt entries.

pub use x86_64::*;

/// Functions that only a softirq enters, by kernel; every processor's kernels have these.
pub const SOFTIRQ_ENTRIES: &[&str] = &["handle_softirqs", "__do_softirq", "__softirqentry_text_start"];

/// x86-64.
mod x86_64 {
    /// The functions that wait for a contended spinlock, as this processor's kernels call them: bare metal and
    /// guests (or kernels without paravirtual locks), and guests whose host helps.
    pub const SPIN_SLOW_PATHS: [&[&str]; 2] = [
        &["native_queued_spin_lock_slowpath", "queued_spin_lock_slowpath"],
        &["__pv_queued_spin_lock_slowpath"],
    ];

    /// Beginnings and ends of the names of functions that only an interrupt enters.
    pub const INTERRUPT_ENTRIES: (&[&str], &[&str]) =
        (&["asm_sysvec_", "sysvec_", "__sysvec_"], &["common_interrupt"]);
    /// Functions that only a non-maskable interrupt enters.
    pub const NMI_ENTRIES: &[&str] = &["exc_nmi", "asm_exc_nmi"];

    /// Offset of the system call's number in `pt_regs` (`orig_ax`): negative outside of a call.
    pub const CALL_NUMBER: usize = 15 * 8;
    /// Offsets of a call's first three arguments in `pt_regs` (`di`, `si`, `dx`), which it leaves as they were.
    pub const ARGUMENTS: [u64; 3] = [14 * 8, 13 * 8, 12 * 8];
    /// Offset of the user stack pointer in `pt_regs` (`sp`).
    pub const STACK_POINTER: usize = 19 * 8;
    /// Where the saved user registers begin on a task's kernel stack, on kernels that cannot be asked:
    /// `THREAD_SIZE` less the size of `pt_regs` (before FRED).
    pub const REGISTERS_ON_STACK: usize = 16_384 - 21 * 8;

    // System call numbers (kernel: arch/x86/entry/syscalls/syscall_64.tbl).

    /// Ends a signal handler. What it "returns" is what the interrupted code has in its register.
    pub const RT_SIGRETURN: u32 = 15;
    /// Makes a thread or process.
    pub const CLONE: u32 = 56;
    /// Makes a process.
    pub const FORK: u32 = 57;
    /// Makes a process that borrows its parent's memory.
    pub const VFORK: u32 = 58;
    /// Becomes another program.
    pub const EXECVE: u32 = 59;
    /// Ends the thread.
    pub const EXIT: u32 = 60;
    /// Goes on with an interrupted call.
    pub const RESTART_SYSCALL: u32 = 219;
    /// Ends the process.
    pub const EXIT_GROUP: u32 = 231;
    /// Becomes another program.
    pub const EXECVEAT: u32 = 322;
    /// Makes a thread or process.
    pub const CLONE3: u32 = 435;
}
