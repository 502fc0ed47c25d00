//! The machine's counters, read at the start and at the end of a session.
//!
//! In: /proc/stat, /proc/vmstat, /proc/pressure, the counters of one network namespace. Out: name →
//! value; a counter this kernel does not keep is absent.

use crate::machine;
use crate::profile::Counters;

/// Reads the machine's counters; units are in their names, those without are events.
pub fn machine() -> Counters {
    let mut counters = Counters::new();
    stat(&text("/proc/stat"), &mut counters);
    vmstat(&text("/proc/vmstat"), &mut counters);
    for resource in ["cpu", "memory", "io", "irq"] {
        let totals = text(&format!("/proc/pressure/{resource}"));
        pressure(&format!("pressure_{resource}"), &totals, &mut counters);
    }
    softnet(&text("/proc/net/softnet_stat"), &mut counters);
    counters
}

/// Adds the counters of the network namespace that the process at `place` (`/proc/PID`) is in.
pub fn network(place: &str, counters: &mut Counters) {
    for file in ["snmp", "netstat"] {
        families(&text(&format!("{place}/net/{file}")), counters);
    }
}

fn text(path: &str) -> String {
    machine::read(path, 4 << 20).unwrap_or_default()
}

/// The kernel reports these in ticks, not ns: x86 has 100 ticks a second.
const MS_PER_TICK: u64 = 10;
/// Columns of the `cpu` line that are kept: ticks in that state, over all CPUs.
const STATES: [(usize, &str); 5] =
    [(4, "idle_ms"), (5, "iowait_ms"), (6, "hardirq_ms"), (7, "softirq_ms"), (8, "steal_ms")];
/// Columns of the `softirq` line that are kept, after the total.
const SOFTIRQS: [(usize, &str); 5] = [
    (1, "softirqs"),
    (3, "softirqs_timer"),
    (4, "softirqs_net_tx"),
    (5, "softirqs_net_rx"),
    (6, "softirqs_block"),
];

fn stat(stat: &str, counters: &mut Counters) {
    for line in stat.lines() {
        let fields: Vec<&str> = line.split_whitespace().take(12).collect();
        match fields.as_slice() {
            ["ctxt", value, ..] => put(counters, "context_switches", value),
            ["processes", value, ..] => put(counters, "forks", value),
            ["softirq", ..] => {
                for (column, name) in SOFTIRQS {
                    put(counters, name, fields.get(column).unwrap_or(&""));
                }
            }
            ["cpu", ..] => {
                for (column, name) in STATES {
                    if let Some(Ok(ticks)) = fields.get(column).map(|ticks| ticks.parse::<u64>()) {
                        counters.insert(name.to_owned(), ticks.saturating_mul(MS_PER_TICK));
                    }
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
            "pgsteal_direct" => put(counters, "direct_reclaim_pages", value),
            "compact_stall" => put(counters, "compaction_stalls", value),
            "pswpin" => put(counters, "swap_ins", value),
            "pswpout" => put(counters, "swap_outs", value),
            _ if name.starts_with("allocstall") => add(counters, "allocation_stalls", value, 10),
            _ => {}
        }
    }
}

/// `some avg10=0.00 avg60=0.00 avg300=0.00 total=123`: the total is microseconds.
pub fn pressure(prefix: &str, text: &str, counters: &mut Counters) {
    for line in text.lines() {
        if let (Some(who @ ("some" | "full")), Some((_, total))) =
            (line.split(' ').next(), line.split_once("total="))
        {
            add(counters, &format!("{prefix}_{who}_us"), total, 10);
        }
    }
}

/// Counters of the network that are kept.
const NETWORK: [(&str, &str, &str); 12] = [
    ("Tcp", "OutSegs", "tcp_segments_out"),
    ("Tcp", "RetransSegs", "tcp_retransmits"),
    ("TcpExt", "TCPTimeouts", "tcp_timeouts"),
    ("TcpExt", "ListenDrops", "tcp_listen_drops"),
    ("TcpExt", "ListenOverflows", "tcp_listen_overflows"),
    ("TcpExt", "TCPReqQFullDrop", "tcp_request_queue_drops"),
    ("TcpExt", "TCPBacklogDrop", "tcp_backlog_drops"),
    ("TcpExt", "TCPRcvQDrop", "tcp_receive_queue_drops"),
    ("TcpExt", "PruneCalled", "tcp_prunes"),
    ("TcpExt", "TCPAbortOnMemory", "tcp_aborts_on_memory"),
    ("Udp", "RcvbufErrors", "udp_receive_buffer_errors"),
    ("Udp", "SndbufErrors", "udp_send_buffer_errors"),
];

/// Pairs of lines: `Tcp: names…`, `Tcp: values…`.
fn families(text: &str, counters: &mut Counters) {
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
            if let Some((.., kept)) = NETWORK.iter().find(|(of, own, _)| (*of, *own) == (family, name)) {
                put(counters, kept, value);
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
    fn states_are_of_the_whole_machine() {
        let text =
            "cpu  1 2 3 4 5 6 7 80 9 10\ncpu0 1 2 3 4 5 6 7 999 9 10\nctxt 12\nprocesses 3\nsoftirq 44 1 2\n";
        let expected = named(&[
            ("context_switches", 12),
            ("forks", 3),
            ("hardirq_ms", 60),
            ("idle_ms", 40),
            ("iowait_ms", 50),
            ("softirq_ms", 70),
            ("softirqs", 44),
            ("softirqs_timer", 2),
            ("steal_ms", 800),
        ]);
        assert_eq!(after(|counters| stat(text, counters)), expected);
    }

    #[test]
    fn network_values_go_by_name_not_by_place() {
        let text = "Tcp: A RetransSegs\nTcp: 1 7\nTcpExt: ListenDrops X\nTcpExt: 3 4\nbroken\n";
        let expected = named(&[("tcp_listen_drops", 3), ("tcp_retransmits", 7)]);
        assert_eq!(after(|counters| families(text, counters)), expected);
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
        assert_eq!(after(|counters| pressure("pressure_io", text, counters)), expected);
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
        assert!(machine().get("context_switches").is_some_and(|&switches| switches > 0));
    }
}
