//! The kernel's monotonic clock, which the programs stamp their records with.
//!
//! In: this process's clocks, `/proc/self/timens_offsets`. Out: times on the kernel's own clock, even if a time
//! namespace shifts the clocks that this process reads.

use std::sync::LazyLock;

use rustix::time::{ClockId, clock_gettime};

/// Monotonic time, as `bpf_ktime_get_ns` returns it, ns.
pub fn now_ns() -> u64 {
    u64::try_from(read(ClockId::Monotonic) - *OFFSET_NS).unwrap_or(0)
}

/// How far the starts of processes in procfs are ahead of [`now_ns`]'s clock, ns: procfs counts the time that the
/// machine was suspended, and shows this namespace's clock.
pub fn starts_ahead_ns() -> i128 {
    read(ClockId::Boottime) - read(ClockId::Monotonic) + *OFFSET_NS
}

fn read(clock: ClockId) -> i128 {
    let time = clock_gettime(clock);
    i128::from(time.tv_sec) * SECOND_NS + i128::from(time.tv_nsec)
}

const SECOND_NS: i128 = 1_000_000_000;

/// How far this process's monotonic clock is ahead of the kernel's, ns. The offsets of a namespace with a process are fixed.
static OFFSET_NS: LazyLock<i128> = LazyLock::new(|| {
    let link = |name| std::fs::read_link(format!("/proc/self/ns/{name}")).ok();
    // The file tells of the children's namespace. Before Linux 6.2 an exec did not enter that one: then the clock is
    // the parent's, the machine's own in all likelihood.
    let entered = link("time") == link("time_for_children");
    let text = std::fs::read_to_string("/proc/self/timens_offsets").unwrap_or_default();
    if entered { offset_of(&text) } else { 0 }
});

/// The monotonic clock's line: seconds and nanoseconds. Kernels without time namespaces have no such file.
fn offset_of(text: &str) -> i128 {
    let line = text.lines().find_map(|line| line.trim_start().strip_prefix("monotonic"));
    let fields: Option<Vec<i64>> =
        line.and_then(|line| line.split_whitespace().map(|word| word.parse().ok()).collect());
    match fields.as_deref() {
        Some([seconds, nanoseconds]) => i128::from(*seconds) * SECOND_NS + i128::from(*nanoseconds),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_offset_is_that_of_the_monotonic_clock() {
        let text = "monotonic      97200         5\nboottime           7         0\n";
        assert_eq!(offset_of(text), 97_200 * SECOND_NS + 5);
        assert_eq!(offset_of("monotonic         -3 999999999\n"), -2 * SECOND_NS - 1);
        for none in ["", "boottime 5 0\n", "monotonic\n", "monotonic x y\n", "monotonic 1 2 3\n"] {
            assert_eq!(offset_of(none), 0, "{none:?}");
        }
    }
}
