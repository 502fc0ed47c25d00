//! Who waited for a lock: the task, or an interrupt on its CPU.
//!
//! In: a kernel stack. Out: its [`LockContext`], by the names of the functions that enter interrupts.

use profiler_common::processor::{INTERRUPT_ENTRIES, NMI_ENTRIES, SOFTIRQ_ENTRIES};

use crate::profile::rows::LockContext;
use crate::symbol::KernelSymbols;

/// Whether a kernel stack was taken in an interrupt: the innermost function that tells does. On its way out
/// of an interrupt the kernel switches tasks and does the task's own work; that is the task again.
pub fn context(kernel: &KernelSymbols, addresses: &[u64]) -> LockContext {
    let (begins, ends) = INTERRUPT_ENTRIES;
    let entry = |address: &u64| {
        let name = kernel.resolve(*address)?.name;
        match name {
            _ if SOFTIRQ_ENTRIES.contains(&name) => Some(LockContext::Softirq),
            _ if NMI_ENTRIES.contains(&name) => Some(LockContext::Nmi),
            "irqentry_exit" | "irqentry_exit_to_user_mode" | "exit_to_user_mode_loop" => {
                Some(LockContext::Task)
            }
            _ if begins.iter().any(|begin| name.starts_with(begin))
                || ends.iter().any(|end| name.ends_with(end)) =>
            {
                Some(LockContext::Hardirq)
            }
            _ => None,
        }
    };
    addresses.iter().find_map(entry).unwrap_or(LockContext::Task)
}

/// The kernel's symbols; none where they cannot be read, which is told.
pub fn kernel_symbols() -> KernelSymbols {
    KernelSymbols::read().unwrap_or_else(|error| {
        let limit = crate::machine::limit::of(&error).map_or_else(String::new, |limit| format!(": {limit}"));
        tracing::warn!("kernel functions have no names: /proc/kallsyms: {error}{limit}");
        KernelSymbols::parse(b"")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_switch_on_the_way_out_of_an_interrupt_is_the_tasks_own() {
        let kernel = KernelSymbols::parse(
            b"ffffffff81000000 T __schedule\nffffffff81001000 T irqentry_exit\n\
              ffffffff81002000 T asm_sysvec_apic_timer_interrupt\nffffffff81003000 T handle_softirqs\n\
              ffffffff81004000 T __sysvec_apic_timer_interrupt\nffffffff81005000 T do_syscall_64\n",
        );
        let of = |functions: &[u64]| {
            let addresses: Vec<u64> =
                functions.iter().map(|at| 0xffff_ffff_8100_0010 + at * 0x1000).collect();
            context(&kernel, &addresses)
        };
        assert_eq!(of(&[0, 1, 2]), LockContext::Task);
        assert_eq!(of(&[0, 4, 2]), LockContext::Hardirq);
        assert_eq!(of(&[3, 2, 5]), LockContext::Softirq);
        assert_eq!(of(&[0, 5]), LockContext::Task);
    }
}
