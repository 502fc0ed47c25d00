//! What depends on the processor, in one place: another processor is another module with the same names.
//!
//! In: nothing. Out: the names of its slow paths, where it keeps a call's registers, the numbers of
//! system calls that need special treatment, the names of its interrupt entries.

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
    /// The same of a call of the i386 table (`bx`, `cx`, `dx`).
    pub const ARGUMENTS_I386: [u64; 3] = [5 * 8, 11 * 8, 12 * 8];
    /// Where the words of `pt_regs` begin that hold the first four arguments, and how many there are.
    pub const ARGUMENT_WORDS: (u64, usize) = (7 * 8, 8);
    /// Which of those words they are (`di`, `si`, `dx`, `r10`).
    pub const FOUR_ARGUMENTS: [usize; 4] = [7, 6, 5, 0];
    /// Offsets of instruction, stack and frame pointer in `pt_regs` (`ip`, `sp`, `bp`).
    pub const WHERE: [u64; 3] = [16 * 8, 19 * 8, 4 * 8];
    /// Offset of the user stack pointer in `pt_regs` (`sp`).
    pub const STACK_POINTER: usize = 19 * 8;
    /// Bytes of a task's kernel stack (`THREAD_SIZE`), which lies at a multiple of them.
    pub const STACK_BYTES: u64 = 16 << 10;
    /// Bytes of the largest one: `KASAN` doubles it.
    pub const STACK_BYTES_MOST: u64 = 2 * STACK_BYTES;
    /// Where the saved user registers begin on a task's kernel stack, on kernels that cannot be asked:
    /// `THREAD_SIZE` less the size of `pt_regs` (before FRED).
    pub const REGISTERS_ON_STACK: usize = STACK_BYTES as usize - 21 * 8;

    /// Words of `pt_regs`.
    pub const REGISTER_WORDS: usize = 21;
    /// The code segment's word in `pt_regs`: its low two bits say whose code ran, 3: a process's.
    pub const CODE_SEGMENT: usize = 17;
    /// The code segment of 64-bit processes.
    pub const USER_CODE: u64 = 0x33;
    /// Registers by their numbers in DWARF (System V ABI for x86-64, figure 3.36), as words of `pt_regs`: `ax`, `dx`, `cx`,
    /// `bx`, `si`, `di`, `bp`, `sp`, `r8` to `r15`, and the instruction pointer in the return address's place.
    pub const DWARF_ORDER: [usize; 17] = [10, 12, 11, 5, 13, 14, 4, 19, 9, 8, 7, 6, 3, 2, 1, 0, 16];

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
    /// Waits for a word of memory to change.
    pub const FUTEX: u32 = 202;
    /// Ends the process.
    pub const EXIT_GROUP: u32 = 231;
    /// Becomes another program.
    pub const EXECVEAT: u32 = 322;
    /// Makes a thread or process.
    pub const CLONE3: u32 = 435;
}
