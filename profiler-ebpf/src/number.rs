//! System call numbers of x86-64 that the programs treat in a way of their own: a leaf.
//!
//! In: nothing. Out: constants (kernel: arch/x86/entry/syscalls/syscall_64.tbl).

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
