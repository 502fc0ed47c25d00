//! Lock waits that exist only because another tracer runs.
//!
//! In: rows of lock waits. Out: the time waited inside other tracers' BPF maps, kretprobes and ftrace, by
//! place. Waits for the profiler's own locks never become rows, so these are never its own.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use profiler_common::processor::{INTERRUPT_ENTRIES, NMI_ENTRIES, SOFTIRQ_ENTRIES};
use serde::Serialize;

use crate::profile::{Profile, StackId};
use crate::render::locks;
use crate::render::name::kernel_functions;
use crate::render::{clean, humane};

/// Functions that run only for tracing; a trailing `*` matches any rest.
const TRACING: &[&str] = &[
    "bpf_prog_*",
    "bpf_trampoline_*",
    "bpf_trace_run*",
    "bpf_map_*",
    "bpf_lru_*",
    "*bpf_ringbuf_*",
    "bpf_perf_event_output*",
    "bpf_get_stackid*",
    "trace_call_bpf",
    "*htab_*",
    "trie_*_elem",
    "queue_stack_map_*",
    "stack_map_*",
    "kretprobe_*",
    "__kretprobe_*",
    "pre_handler_kretprobe",
    "rethook_*",
    "kprobe_*",
    "*ftrace_*",
    "fprobe_*",
    "handle_swbp",
    "uprobe_*",
    "perf_trace_*",
    "perf_tp_event",
    "ring_buffer_lock_reserve",
    "trace_event_buffer_*",
];

/// How a BPF program is called in the symbol table: this and its tag come before its name.
const PROGRAM: &str = "bpf_prog_";
/// Shares below this are no finding, thousandths.
const WORTH: u64 = 10;
/// Places named in a sentence at most.
const NAMED: usize = 3;

/// Lock waits inside other tracers.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
pub struct Tracing {
    /// Time waited there, ns.
    pub total_ns: u64,
    /// Time waited for locks in all, ns.
    pub of_ns: u64,
    /// By place, longest first.
    pub places: Vec<TracedPlace>,
}

/// One place of tracing.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct TracedPlace {
    /// The innermost function, and the BPF program it ran for where the stack names one.
    pub place: String,
    /// Time waited there, ns.
    pub total_ns: u64,
}

impl Tracing {
    /// Finds the waits of tracing among all.
    pub fn of(profile: &Profile) -> Self {
        let mut stacks: BTreeMap<StackId, u64> = BTreeMap::new();
        for (key, row) in &profile.lock.rows {
            let sum = stacks.entry(key.kernel).or_default();
            *sum = sum.saturating_add(row.wait.total_ns);
        }
        let mut places: BTreeMap<String, u64> = BTreeMap::new();
        for (stack, total_ns) in &stacks {
            if let Some(place) = place(kernel_functions(&profile.stacks, *stack)) {
                let sum = places.entry(place).or_default();
                *sum = sum.saturating_add(*total_ns);
            }
        }
        let mut places: Vec<TracedPlace> =
            places.into_iter().map(|(place, total_ns)| TracedPlace { place, total_ns }).collect();
        places.sort_by_key(|place| Reverse(place.total_ns));
        Self {
            total_ns: places.iter().map(|place| place.total_ns).fold(0, u64::saturating_add),
            of_ns: stacks.values().copied().fold(0, u64::saturating_add),
            places,
        }
    }

    /// The finding, when at least `least_ns` were waited there, and a share that is worth a sentence.
    pub fn sentence(&self, least_ns: u64) -> Option<String> {
        if self.total_ns < least_ns.max(1)
            || self.total_ns.saturating_mul(1000) < self.of_ns.saturating_mul(WORTH)
        {
            return None;
        }
        let named = self.places.iter().take(NAMED).map(|place| {
            format!("{} {}", clean::name(&place.place), humane::part(place.total_ns, self.of_ns))
        });
        Some(format!(
            "{} of lock wait is inside another tracer: {}.",
            humane::part(self.total_ns, self.of_ns),
            named.collect::<Vec<_>>().join(", ")
        ))
    }
}

/// The place in another tracer where a wait is, from its stack, leaf first; none if it is in no tracer.
fn place<'a>(functions: impl Iterator<Item = &'a str>) -> Option<String> {
    let mut innermost = None;
    let mut program = None;
    // An interrupt that hit a tracer's program waits for reasons of its own.
    for function in functions.take_while(|function| !enters_interrupt(function)) {
        if innermost.is_none() && is_tracing(function) {
            innermost = Some(function);
        }
        // The program's own name follows its tag; without one the tag has to do.
        if program.is_none() && function.starts_with(PROGRAM) {
            let tagged = function.trim_start_matches(PROGRAM);
            let name = tagged.split_once('_').map_or(tagged, |(_, name)| name);
            program = Some(name.trim_end_matches(" [bpf]"));
        }
    }
    let innermost = locks::base(innermost?);
    Some(match program {
        Some(program) if innermost.starts_with(PROGRAM) => format!("BPF program {program}"),
        Some(program) => format!("{innermost} in BPF program {program}"),
        None => innermost.to_owned(),
    })
}

fn enters_interrupt(function: &str) -> bool {
    let (begins, ends) = INTERRUPT_ENTRIES;
    SOFTIRQ_ENTRIES.contains(&function)
        || NMI_ENTRIES.contains(&function)
        || begins.iter().any(|begin| function.starts_with(begin))
        || ends.iter().any(|end| function.ends_with(end))
}

fn is_tracing(function: &str) -> bool {
    TRACING.iter().any(|pattern| locks::matches(pattern, function))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_below_a_program_names_its_map_and_the_program() {
        let stack = [
            "native_queued_spin_lock_slowpath",
            "_raw_spin_lock_irqsave",
            "htab_map_update_elem",
            "bpf_prog_6deef7357e7b4530_count_calls",
            "bpf_trace_run2",
            "do_syscall_64",
        ];
        let found = place(stack.into_iter());
        assert_eq!(found.as_deref(), Some("htab_map_update_elem in BPF program count_calls"));
    }

    #[test]
    fn kretprobes_are_tracing_and_plain_work_is_not() {
        let kretprobe = ["_raw_spin_lock", "pre_handler_kretprobe", "kprobe_ftrace_handler", "vfs_read"];
        assert_eq!(place(kretprobe.into_iter()).as_deref(), Some("pre_handler_kretprobe"));
        for plain in [["_raw_spin_lock", "alloc_fd"], ["__mutex_lock", "pipe_write"], ["", "__sys_bpf"]] {
            assert_eq!(place(plain.into_iter()), None);
        }
    }

    #[test]
    fn an_interrupt_that_hit_a_program_is_not_tracing() {
        let stack = ["_raw_spin_lock", "try_to_wake_up", "handle_softirqs", "bpf_prog_1_x", "bpf_trace_run2"];
        assert_eq!(place(stack.into_iter()), None);
    }

    #[test]
    fn next_to_nothing_is_no_finding() {
        let places = || vec![TracedPlace { place: "htab_map_update_elem".to_owned(), total_ns: 31 }];
        let found = Tracing { total_ns: 31, of_ns: 100, places: places() };
        let sentence = found.sentence(31).unwrap();
        assert!(sentence.starts_with("31 % of lock wait is inside another tracer: htab_map"), "{sentence}");
        assert_eq!(found.sentence(32), None);
        assert_eq!(Tracing { of_ns: 10_000, ..found }.sentence(0), None);
        assert_eq!(Tracing::default().sentence(0), None);
    }
}
