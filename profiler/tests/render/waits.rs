//! A session of waits off the CPU, made by hand.
//!
//! In: what `session` is made of. Out: [`waits`]: blocked and queued waits in calls and outside, with wakers and
//! neighbours that have hostile names, and a kernel thread that waits for work.

use profiler::profile::chunk::{Chunk, End};
use profiler::profile::waits::{
    NeighbourKey, NeighbourRow, QueueKey, WaitKey, WaitStackKey, WaitStackRow, Waker,
};
use profiler::profile::{Pid, ProbePlan, Process, Profile, StackId, Wait, WaitRows};
use profiler::render::{Format, Idle, Rendering};

use super::session::{HOSTILE, MS, Stacks, header, processes, with_entry};

const US: u64 = 1_000;

/// One kind of wait: (process, call, what for), lengths as (ns, count), and which of them have which stacks.
type Kind<'a> = ((u32, Option<u32>, Wait), &'a [(u64, u64)]);

fn key(pid: u32, nr: Option<u32>, wait: Wait) -> WaitKey {
    WaitKey { pid: Pid(pid), nr, wait }
}

fn rows(waits: &mut WaitRows) {
    let kinds: &[Kind<'_>] = &[
        ((812, Some(0), Wait::Sleep), &[(20 * MS, 120), (80 * US, 4_000)]),
        ((812, Some(0), Wait::Lock), &[(3 * MS, 90)]),
        ((812, Some(74), Wait::Uninterruptible), &[(30 * MS, 12)]),
        ((812, None, Wait::Uninterruptible), &[(25 * MS, 80), (90 * US, 200)]),
        ((813, Some(1), Wait::Sleep), &[(6 * MS, 50)]),
        ((813, None, Wait::Stopped), &[(400 * MS, 1)]),
        ((33, Some(202), Wait::Sleep), &[(900 * MS, 40)]),
        ((33, Some(232), Wait::Sleep), &[(2_000 * MS, 30)]),
        ((7, None, Wait::Uninterruptible), &[(900 * MS, 10), (50 * US, 100)]),
        ((812, Some(0), Wait::Woken), &[(40 * US, 4_000), (4 * MS, 150)]),
        ((812, None, Wait::Preempted), &[(3 * MS, 200)]),
        ((812, None, Wait::Throttled), &[(80 * MS, 20)]),
        ((813, Some(1), Wait::Woken), &[(9 * US, 50)]),
    ];
    for &((pid, nr, wait), lengths) in kinds {
        let row = waits.rows.entry(key(pid, nr, wait)).or_default();
        for &(ns, count) in lengths {
            (0..count).for_each(|_| row.record(ns));
            if wait.is_runnable() {
                let queue = waits.queues.entry(QueueKey { pid: Pid(pid), cpu: (ns / MS % 2) as u32 });
                let queue = queue.or_default();
                (0..count).for_each(|_| queue.record(ns));
            }
        }
    }
}

fn stacks(stacks: &mut Stacks) {
    let pipe = stacks.kernel(1, &with_entry(&["__schedule", "schedule", "anon_pipe_read", "vfs_read"]));
    let mutex = stacks.kernel(2, &with_entry(&["__schedule", "schedule", "__mutex_lock", "anon_pipe_read"]));
    let disk = stacks.kernel(3, &with_entry(&["io_schedule", "folio_wait_bit_common", "ext4_sync_file"]));
    let fault = stacks.kernel(
        4,
        &["io_schedule", "folio_wait_bit_common", "__do_fault", "handle_mm_fault", "exc_page_fault"],
    );
    let stopped = stacks.kernel(5, &["schedule", "do_signal_stop", "get_signal", "exit_to_user_mode_loop"]);
    let futex = stacks.kernel(6, &with_entry(&["schedule", "futex_do_wait", "futex_wait"]));
    let epoll = stacks.kernel(7, &with_entry(&["schedule", "ep_poll", "do_epoll_wait"]));
    let worker = stacks.kernel(8, &["schedule", "worker_thread", "kthread", "ret_from_fork"]);
    let wakes = stacks.kernel(9, &with_entry(&["try_to_wake_up", "anon_pipe_write", "vfs_write"]));
    let irq = stacks.kernel(10, &["try_to_wake_up", "blk_mq_complete_request", "nvme_irq"]);
    let timer = stacks.kernel(
        11,
        &["hrtimer_wakeup", "asm_sysvec_apic_timer_interrupt", "burn_a_page", "asm_exc_page_fault"],
    );
    let softirq = stacks.kernel(
        12,
        &with_entry(&[
            "tcp_v4_rcv",
            "handle_softirqs",
            "do_softirq.part.0",
            "__local_bh_enable_ip",
            "tcp_sendmsg",
        ]),
    );
    let handler = stacks.user(21, &["read", "handle", "main"]);
    let hostile = stacks.user(22, &["write", HOSTILE, "main"]);
    let none = StackId::NONE;
    let of = |pid| Waker::Process { pid: Pid(pid), kernel: wakes, user: hostile };
    let sent_by = |pid| Waker::OnTop { pid: Pid(pid), kernel: softirq };
    // It hit user code of that process, so that its own stack is that of the thread.
    let by_timer = Waker::Process { pid: Pid(812), kernel: timer, user: hostile };
    let by_irq = Waker::Interrupt { kernel: irq };
    let waits = &mut stacks.interval.waits;
    for ((pid, nr, wait), kernel, user, waker, (count, ns)) in [
        ((812, Some(0), Wait::Sleep), pipe, handler, of(813), (90, 20 * MS)),
        ((812, Some(0), Wait::Sleep), pipe, handler, of(99), (30, 20 * MS)),
        ((812, Some(0), Wait::Lock), mutex, handler, of(812), (90, 3 * MS)),
        ((812, Some(74), Wait::Uninterruptible), disk, StackId(404), by_irq, (12, 30 * MS)),
        ((812, None, Wait::Uninterruptible), fault, none, by_irq, (80, 25 * MS)),
        ((813, Some(1), Wait::Sleep), none, hostile, Waker::Unseen, (40, 6 * MS)),
        ((813, Some(1), Wait::Sleep), none, hostile, sent_by(99), (9, 6 * MS)),
        (
            (813, Some(1), Wait::Sleep),
            none,
            hostile,
            Waker::OnTop { pid: Pid(99), kernel: timer },
            (1, 6 * MS),
        ),
        ((813, None, Wait::Stopped), stopped, none, of(99), (1, 400 * MS)),
        ((33, Some(202), Wait::Sleep), futex, none, of(33), (40, 900 * MS)),
        ((33, Some(232), Wait::Sleep), epoll, none, by_timer, (30, 2_000 * MS)),
        ((7, None, Wait::Uninterruptible), worker, none, of(5555), (10, 900 * MS)),
    ] {
        let key = WaitStackKey { row: key(pid, nr, wait), kernel, user, waker };
        waits.stacks.insert(key, WaitStackRow { waits: count, total_ns: count * ns, max_ns: ns });
    }
    for (neighbour, turns, ns) in [(813, 300, 900 * MS), (99, 40, 200 * MS), (0, 3, MS)] {
        let key = NeighbourKey { pid: Pid(812), neighbour: Pid(neighbour) };
        waits.neighbours.insert(key, NeighbourRow { turns, ns });
    }
}

/// The session.
pub fn waits() -> Profile {
    let mut made = Stacks::default();
    made.interval.processes = processes();
    let outside =
        Process { pid: Pid(99), comm: "postgres".into(), container: "db".into(), ..Process::default() };
    made.interval.processes.push(outside);
    made.interval.end_ns = 10_000 * MS;
    rows(&mut made.interval.waits);
    stacks(&mut made);
    let mut header = header();
    let plan = |probe: &str| ProbePlan {
        probe: probe.into(),
        backend: "BTF tracepoints".into(),
        misses: vec![],
        active: true,
    };
    header.probes = vec![plan("offcpu"), plan("runq")];
    let mut profile = Profile::default();
    profile.apply(Chunk::Header(Box::new(header)));
    profile.apply(Chunk::Interval(Box::new(made.interval)));
    profile.apply(Chunk::Symbols(made.symbols));
    profile.apply(Chunk::End(Box::new(End { duration_ns: 10_000 * MS, ..End::default() })));
    profile
}

/// Waits of any kind at random: stacks of a part of them, of more than all of them, and of none.
pub fn random(seed: u64) -> Profile {
    let mut state = seed | 1;
    let mut below = |limit: u64| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state % limit
    };
    let mut waits = WaitRows::default();
    for _ in 0..200 {
        let wait = Wait::ALL[below(7) as usize];
        let nr = [None, Some(0), Some(202), Some(232)][below(4) as usize];
        let row = key(1 + below(3) as u32, nr, wait);
        let ns = 1 << below(40);
        if below(5) > 0 {
            waits.rows.entry(row).or_default().record(ns);
        }
        if below(2) > 0 {
            let waker = match below(4) {
                0 => Waker::Unseen,
                2 => Waker::OnTop { pid: Pid(9), kernel: StackId(below(4)) },
                1 => Waker::Interrupt { kernel: StackId(below(4)) },
                _ => Waker::Process { pid: Pid(9), kernel: StackId(below(4)), user: StackId(below(4)) },
            };
            let key = WaitStackKey { row, kernel: StackId(below(4)), user: StackId(below(4)), waker };
            let total_ns = if below(9) == 0 { u64::MAX } else { ns };
            waits.stacks.insert(key, WaitStackRow { waits: 1, total_ns, max_ns: ns });
        }
    }
    Profile { waits, ..Profile::default() }
}

#[test]
fn idle_waits_stand_among_the_others_when_asked() {
    let profile = waits();
    let write = |idle| {
        let mut out = Vec::new();
        Rendering::new(&profile).with_idle(idle).write(Format::Text, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    };
    let (apart, among) = (write(Idle::Apart), write(Idle::Among));
    let headings = |text: &str| text.lines().filter(|line| line.starts_with("OFF THE CPU")).count();
    assert!(apart.contains("OFF THE CPU idle") && !among.contains("OFF THE CPU idle"), "{among}");
    assert!(headings(&among) < headings(&apart), "{among}");
    // Each row names its class, and the longest is first, whatever its class.
    let rows = among.lines().skip_while(|line| !line.starts_with("OFF THE CPU")).skip(2);
    let is_class = |word: &&str| ["work", "user-lock", "idle"].contains(word);
    let classes: Vec<_> =
        rows.take_while(|line| !line.is_empty()).filter_map(|row| row.split(' ').find(is_class)).collect();
    assert_eq!(classes[..3], ["idle", "idle", "work"], "60 s and 9 s of idle waits are most of it: {among}");
    assert_eq!(classes.iter().filter(|class| **class == "idle").count(), 2, "{among}");
}
