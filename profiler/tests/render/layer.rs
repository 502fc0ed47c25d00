//! The security layer's part of the session made by hand.
//!
//! In: the stacks of a session. Out: hooks with and without modules, in a call, in none, in an interrupt;
//! stacks that stand for a part of the time, one with a trampoline in it.

use profiler::profile::chunk::Interval;
use profiler::profile::rows::{LsmKey, LsmRow, LsmStackKey};
use profiler::profile::{LsmSite, Pid, ProbePlan, StackId};

use super::{HOSTILE, MS, Stacks, with_entry};

pub fn plan() -> ProbePlan {
    ProbePlan {
        probe: "lsm".into(),
        backend: "fentry".into(),
        misses: vec!["Hooks other than those of sockets.".into()],
        active: true,
    }
}

pub fn sites() -> Vec<LsmSite> {
    let site = |hook: &str, module: &str, function: &str| LsmSite {
        hook: hook.into(),
        module: module.into(),
        function: function.into(),
    };
    vec![
        site("socket_sendmsg", "", "security_socket_sendmsg"),
        site("socket_sendmsg", "apparmor", "apparmor_socket_sendmsg"),
        site("sock_rcv_skb", "", "security_sock_rcv_skb"),
        site("file_open", HOSTILE, "x;y"),
    ]
}

/// A hook that took so many ms of the sends of a process, which took hardly longer.
pub fn one(interval: &mut Interval, pid: u32, ms: u64) {
    let mut row = LsmRow::default();
    (0..ms).for_each(|_| row.time.record(MS));
    interval.lsm.rows.insert(LsmKey { pid: Pid(pid), site: 0, nr: Some(44) }, row);
    super::calls(interval, pid, 44, &[(MS + MS / 10, ms)]);
}

pub fn add(stacks: &mut Stacks) {
    let send = &["security_socket_sendmsg", "__sock_sendmsg", "__sys_sendto"];
    // As 6.1 gives it: the function before and behind its trampoline, the module's at the leaf or not.
    let wrapped = stacks.kernel(
        50,
        &with_entry(&[
            "bpf_prog_6deef7357e7b4530_lsm_exit",
            "bpf_trampoline_6442539341",
            "apparmor_socket_sendmsg",
            "security_socket_sendmsg",
            "bpf_trampoline_6442539340",
            "security_socket_sendmsg",
            "__sock_sendmsg",
            "__sys_sendto",
        ]),
    );
    let plain = stacks.kernel(51, &with_entry(send));
    let softirq = stacks.kernel(52, &["sk_filter_trim_cap", "udp_queue_rcv_one_skb", "handle_softirqs"]);
    let lsm = &mut stacks.interval.lsm;
    let user = StackId(21);
    for (pid, site, nr, (count, ns), stack) in [
        (812, 0, Some(44), (9_000, 2_000), Some((plain, user, 17 * MS))),
        (812, 1, Some(44), (9_000, 1_500), Some((wrapped, user, 13 * MS))),
        (812, 0, Some(46), (10, 3_000), None),
        (812, 1, Some(46), (10, 2_000), None),
        (0, 2, None, (4_000, 400), Some((softirq, StackId::NONE, MS))),
        (813, 3, None, (1, 900), None),
        (813, 99, None, (1, 900), None),
    ] {
        let key = LsmKey { pid: Pid(pid), site, nr };
        let mut row = LsmRow::default();
        (0..count).for_each(|_| row.time.record(ns));
        lsm.rows.insert(key, row);
        if let Some((kernel, user, ns)) = stack {
            lsm.stacks.insert(LsmStackKey { row: key, kernel, user }, ns);
        }
    }
    super::calls(&mut stacks.interval, 812, 44, &[(9_000, 9_000)]);
}
