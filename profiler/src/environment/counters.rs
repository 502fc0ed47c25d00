//! The machine's counters, read at the start and at the end of a session.
//!
//! In: /proc/stat, /proc/vmstat, /proc/pressure, the network's counters (of the profiler's own
//! network namespace). Out: name → value; a counter this kernel does not keep is absent.

use crate::machine;
use crate::profile::environment::Counters;

/// Reads all counters; units are in their names, those without are events.
pub fn counters() -> Counters {
    let mut counters = Counters::new();
    stat(&text("/proc/stat"), &mut counters);
    vmstat(&text("/proc/vmstat"), &mut counters);
    for resource in ["cpu", "memory", "io"] {
        pressure(resource, &text(&format!("/proc/pressure/{resource}")), &mut counters);
    }
    network(&text("/proc/net/snmp"), &mut counters);
    network(&text("/proc/net/netstat"), &mut counters);
    softnet(&text("/proc/net/softnet_stat"), &mut counters);
    counters
}

fn text(path: &str) -> String {
    machine::read(path, 4 << 20).unwrap_or_default()
}

/// Nanoseconds are not kept by the kernel here: ticks, of which x86 reports 100 a second.
const MS_PER_TICK: u64 = 10;
/// Column of the `cpu` line that counts stolen ticks.
const STEAL: usize = 8;

fn stat(stat: &str, counters: &mut Counters) {
    for line in stat.lines() {
        let fields: Vec<&str> = line.split_whitespace().take(STEAL + 1).collect();
        match fields.as_slice() {
            ["ctxt", value, ..] => put(counters, "context_switches", value),
            ["processes", value, ..] => put(counters, "forks", value),
            ["softirq", value, ..] => put(counters, "softirqs", value),
            ["cpu", .., steal] if fields.len() == STEAL + 1 => {
                if let Ok(ticks) = steal.parse::<u64>() {
                    counters.insert("steal_ms".to_owned(), ticks.saturating_mul(MS_PER_TICK));
                }
            }
            _ => {}
        }
    }
}

fn vmstat(vmstat: &str, counters: &mut Counters) {
    for (name, value) in vmstat.lines().filter_map(|line| line.split_once(' ')) {
        match name {
            "pgmajfault" => put(counters, "major_faults", value),
            "oom_kill" => put(counters, "oom_kills", value),
            _ if name.starts_with("allocstall") => add(counters, "allocation_stalls", value, 10),
            _ => {}
        }
    }
}

/// `some avg10=0.00 avg60=0.00 avg300=0.00 total=123`: the total is microseconds.
fn pressure(resource: &str, text: &str, counters: &mut Counters) {
    for line in text.lines() {
        if let (Some(who @ ("some" | "full")), Some((_, total))) =
            (line.split(' ').next(), line.split_once("total="))
        {
            put(counters, &format!("pressure_{resource}_{who}_us"), total);
        }
    }
}

/// Pairs of lines: `Tcp: names…`, `Tcp: values…`.
fn network(text: &str, counters: &mut Counters) {
    let lines: Vec<&str> = text.lines().collect();
    for pair in lines.chunks_exact(2) {
        let (Some((family, names)), Some((same, values))) =
            (pair[0].split_once(':'), pair[1].split_once(':'))
        else {
            continue;
        };
        if family != same {
            continue;
        }
        for (name, value) in names.split_whitespace().zip(values.split_whitespace()) {
            match (family, name) {
                ("Tcp", "RetransSegs") => put(counters, "tcp_retransmits", value),
                ("TcpExt", "ListenDrops") => put(counters, "tcp_listen_drops", value),
                ("TcpExt", "ListenOverflows") => put(counters, "tcp_listen_overflows", value),
                _ => {}
            }
        }
    }
}

/// One line per CPU, hexadecimal: packets, drops, squeezes.
fn softnet(text: &str, counters: &mut Counters) {
    for line in text.lines() {
        let mut fields = line.split_whitespace().skip(1);
        for name in ["softnet_drops", "softnet_squeezes"] {
            if let Some(value) = fields.next() {
                add(counters, name, value, 16);
            }
        }
    }
}

fn put(counters: &mut Counters, name: &str, value: &str) {
    if let Ok(value) = value.trim().parse() {
        counters.insert(name.to_owned(), value);
    }
}

fn add(counters: &mut Counters, name: &str, value: &str, radix: u32) {
    if let Ok(value) = u64::from_str_radix(value.trim(), radix) {
        let total = counters.entry(name.to_owned()).or_default();
        *total = total.saturating_add(value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(fill: impl FnOnce(&mut Counters)) -> Vec<(String, u64)> {
        let mut counters = Counters::new();
        fill(&mut counters);
        counters.into_iter().collect()
    }

    fn named(pairs: &[(&str, u64)]) -> Vec<(String, u64)> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect()
    }

    #[test]
    fn steal_is_the_eighth_figure_of_the_whole_machine() {
        let text =
            "cpu  1 2 3 4 5 6 7 80 9 10\ncpu0 1 2 3 4 5 6 7 999 9 10\nctxt 12\nprocesses 3\nsoftirq 44 1 2\n";
        let expected = named(&[("context_switches", 12), ("forks", 3), ("softirqs", 44), ("steal_ms", 800)]);
        assert_eq!(after(|counters| stat(text, counters)), expected);
    }

    #[test]
    fn network_values_go_by_name_not_by_place() {
        let text = "Tcp: A RetransSegs\nTcp: 1 7\nTcpExt: ListenDrops X\nTcpExt: 3 4\nbroken\n";
        let expected = named(&[("tcp_listen_drops", 3), ("tcp_retransmits", 7)]);
        assert_eq!(after(|counters| network(text, counters)), expected);
    }

    #[test]
    fn drops_of_all_cpus_are_summed_as_hexadecimal() {
        let text = "00000001 0000000a 00000002\n00000001 00000001 00000000\n";
        let expected = named(&[("softnet_drops", 11), ("softnet_squeezes", 2)]);
        assert_eq!(after(|counters| softnet(text, counters)), expected);
    }

    #[test]
    fn pressure_and_stalls_are_totals() {
        let text = "some avg10=0.00 avg60=0.00 avg300=0.00 total=123\nfull avg10=0.00 total=4\n";
        let expected = named(&[("pressure_io_full_us", 4), ("pressure_io_some_us", 123)]);
        assert_eq!(after(|counters| pressure("io", text, counters)), expected);
        let text = "allocstall_dma 1\nallocstall_normal 2\npgmajfault 9\n";
        let expected = named(&[("allocation_stalls", 3), ("major_faults", 9)]);
        assert_eq!(after(|counters| vmstat(text, counters)), expected);
    }

    #[test]
    fn nonsense_is_absent_not_zero() {
        assert_eq!(after(|counters| stat("ctxt -1\ncpu x\nprocesses\n", counters)), named(&[]));
    }

    #[test]
    fn this_machine_switches_contexts() {
        assert!(counters().get("context_switches").is_some_and(|&switches| switches > 0));
    }
}
