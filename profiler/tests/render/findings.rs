//! What findings rest on, and in which order they stand.
//!
//! In: sessions made by hand that each have one trap. Out: the rules in the order they are told, and their sentences.

use profiler::profile::chunk::{Chunk, End};
use profiler::profile::parts::{Part, PartKey, PartRow, Parts};
use profiler::profile::process::Role;
use profiler::profile::rows::{CpuKey, SlowKey, StackSource};
use profiler::profile::waits::{WaitKey, WaitStackKey, WaitStackRow, Waker};
use profiler::profile::{CpuRow, Pid, Process, Profile, SlowRow, StackId, Wait};
use profiler::render::Format;
use serde_json::Value;

use super::rendered;
use super::session::{MS, Stacks, calls, header, with_entry};

const FSYNC: u32 = 74;
const READ: u32 = 0;
const PREAD: u32 = 17;
const POLL: u32 = 7;
const FUTEX: u32 = 202;
const NANOSLEEP: u32 = 230;
const EPOLL: u32 = 232;
const URING: u32 = 426;

/// A profile of ten seconds.
fn profile(stacks: Stacks, processes: Vec<Process>) -> Profile {
    let mut profile = Profile::default();
    let mut header = header();
    (header.environment.at_start, header.environment.at_end) = Default::default();
    profile.apply(Chunk::Header(Box::new(header)));
    let Stacks { mut interval, symbols, .. } = stacks;
    interval.processes = processes;
    interval.end_ns = 10_000 * MS;
    profile.apply(Chunk::Interval(Box::new(interval)));
    profile.apply(Chunk::Symbols(symbols));
    profile.apply(Chunk::End(Box::new(End { duration_ns: 10_000 * MS, ..End::default() })));
    profile
}

fn of(pid: u32, comm: &str) -> Process {
    Process { pid: Pid(pid), comm: comm.into(), container: "db".into(), ..Process::default() }
}

fn json(profile: &Profile) -> Value {
    serde_json::from_str(&rendered(profile, Format::Json)).unwrap()
}

/// Rules and sentences, the most telling first.
fn found(profile: &Profile) -> Vec<(String, String)> {
    let json = json(profile);
    let text = |found: &Value, field: &str| found[field].as_str().unwrap().to_owned();
    json["evidence"].as_array().unwrap().iter().map(|f| (text(f, "rule"), text(f, "finding"))).collect()
}

fn wait(
    stacks: &mut Stacks,
    (pid, nr, kind): (u32, u32, Wait),
    (kernel, user): (StackId, StackId),
    waker: Waker,
    (count, ns): (u64, u64),
) {
    let row = WaitKey { pid: Pid(pid), nr: Some(nr), wait: kind };
    let waits = &mut stacks.interval.waits;
    let histogram = waits.rows.entry(row).or_default();
    (0..count).for_each(|_| histogram.record(ns));
    let long = WaitStackRow { waits: count, total_ns: count * ns, max_ns: ns };
    waits.stacks.entry(WaitStackKey { row, kernel, user, waker }).or_default().add(&long);
    calls(&mut stacks.interval, pid, nr, &[(ns, count)]);
}

/// Slow calls that ran in the kernel all the time: so many with this stack, so many without.
fn on_cpu(stacks: &mut Stacks, (pid, nr): (u32, u32), sampled: (StackId, u64), others: u64, ns: u64) {
    for (kernel, count) in [sampled, (StackId::NONE, others)].into_iter().filter(|(_, count)| *count > 0) {
        let source = if kernel == StackId::NONE { StackSource::None } else { StackSource::Sample };
        let key = SlowKey { pid: Pid(pid), nr, kernel, user: StackId::NONE, source };
        let parts = Parts::new([count * ns, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        let row = SlowRow { count, total_ns: count * ns, max_ns: ns, off_cpu_ns: 0, parts };
        stacks.interval.syscall.slow.insert(key, row);
        let key = PartKey { pid: Pid(pid), nr, part: Part::OnCpu, kernel };
        stacks.interval.syscall.parts.insert(key, PartRow { ns: count * ns, calls: count });
    }
    calls(&mut stacks.interval, pid, nr, &[(ns, sampled.1 + others)]);
}

#[test]
fn the_load_is_told_over_all_lengths_and_all_processes_of_a_name() {
    let mut stacks = Stacks::default();
    // Twenty processes whose waits are nearly all below the threshold, and one with two long calls.
    for pid in 1..=20 {
        calls(&mut stacks.interval, pid, FSYNC, &[(850_000, 730)]);
        super::session::slow(
            &mut stacks.interval,
            (pid, FSYNC),
            (StackId::NONE, StackId::NONE),
            (2, 16 * MS),
        );
        calls(&mut stacks.interval, pid, FSYNC, &[(16 * MS, 2)]);
    }
    calls(&mut stacks.interval, 99, READ, &[(400 * MS, 2)]);
    super::session::slow(&mut stacks.interval, (99, READ), (StackId::NONE, StackId::NONE), (2, 400 * MS));
    let processes = (1..=20).map(|pid| of(pid, "postgres")).chain([of(99, "cron")]).collect();
    let found = found(&profile(stacks, processes));
    assert_eq!(found[0].0, "much_in_one_call", "{found:#?}");
    assert!(
        found[0].1.starts_with("fsync in db/postgres (20 processes): 13.1 s in all while 10.0 s"),
        "{found:#?}"
    );
    assert!(
        found[0].1.contains("14,640 calls") && found[0].1.contains("4.9 % of it in calls ≥ 10 ms"),
        "{found:#?}"
    );
    assert!(!found.iter().any(|(_, sentence)| sentence.contains("cron")), "less than a tenth: {found:#?}");
}

#[test]
fn a_function_stands_in_a_sentence_only_if_samples_carry_it() {
    let sentence = |sampled, others| {
        let mut stacks = Stacks::default();
        let kernel = stacks.kernel(1, &with_entry(&["__kvmalloc_node_noprof", "vfs_read"]));
        on_cpu(&mut stacks, (1, READ), (kernel, sampled), others, 11 * MS);
        let found = found(&profile(stacks, vec![of(1, "web")]));
        assert_eq!(found[0].0, "slow_call");
        found[0].1.clone()
    };
    let one_of_many = sentence(1, 900);
    assert!(one_of_many.contains("is running in the kernel: 901 calls"), "{one_of_many}");
    assert!(!sentence(9, 0).contains("kvmalloc"), "too few to tell");
    assert!(!sentence(12, 10).contains("kvmalloc"), "not surely more than half");
    let carried = sentence(90, 10);
    assert!(carried.contains("82 to 95 % of that in __kvmalloc_node_noprof (by 90 samples)"), "{carried}");
}

#[test]
fn a_wait_is_named_with_the_part_that_its_stacks_show() {
    let sentence = |with: u64, without: u64| {
        let mut stacks = Stacks::default();
        let pipe = stacks.kernel(1, &with_entry(&["schedule", "anon_pipe_read", "vfs_read"]));
        super::session::slow(&mut stacks.interval, (1, READ), (pipe, StackId(7)), (with, 20 * MS));
        if without > 0 {
            super::session::slow(
                &mut stacks.interval,
                (1, READ),
                (StackId(404), StackId(8)),
                (without, 20 * MS),
            );
        }
        calls(&mut stacks.interval, 1, READ, &[(20 * MS, with + without)]);
        found(&profile(stacks, vec![of(1, "web")]))[0].1.clone()
    };
    assert!(
        sentence(1, 0).contains("is asleep in anon_pipe_read (pipe)"),
        "measured, not sampled: {}",
        sentence(1, 0)
    );
    assert!(
        sentence(7, 3).contains("is asleep, 70 % of that in anon_pipe_read (pipe)"),
        "{}",
        sentence(7, 3)
    );
    assert!(!sentence(4, 6).contains("pipe"), "{}", sentence(4, 6));
}

#[test]
fn who_burns_a_cpu_is_always_told_and_its_function_only_if_surely() {
    let mut stacks = Stacks::default();
    let spin = stacks.user(201, &["spin", "run"]);
    for id in 2..50 {
        let user = stacks.user(200 + id, &[["a", "b", "c"][id as usize % 3], "run"]);
        stacks
            .interval
            .cpu
            .rows
            .insert(CpuKey { pid: Pid(2), kernel: StackId::NONE, user }, CpuRow { samples: 9 });
    }
    // Six calls that cost more, of six programs.
    for (pid, nr) in (10..16).zip([0, 1, 17, 18, 74, 75]) {
        calls(&mut stacks.interval, pid, nr, &[(9_999 * MS, 4)]);
    }
    let key = CpuKey { pid: Pid(1), kernel: StackId::NONE, user: spin };
    stacks.interval.cpu.rows.insert(key, CpuRow { samples: 980 });
    let processes =
        [of(1, "java"), of(2, "other")].into_iter().chain((10..16).map(|pid| of(pid, &format!("p{pid}"))));
    let mut profile = profile(stacks, processes.collect());
    let told = json(&profile)["findings"].to_string();
    assert!(told.contains("in db/java (pid 1), 9.90 s of CPU time: 99 to 100 % of that in spin"), "{told}");
    profile.cpu.rows.retain(|key, _| key.pid != Pid(1));
    let cpu = found(&profile).into_iter().find(|(rule, _)| rule == "cpu").unwrap().1;
    assert!(cpu.contains("no function is surely more than half of that"), "{cpu}");
}

#[test]
fn a_memory_limit_ranks_by_what_it_cost_and_a_cheap_hook_is_none() {
    let mut stacks = Stacks::default();
    calls(&mut stacks.interval, 1, READ, &[(11 * MS, 1)]);
    super::session::slow(&mut stacks.interval, (1, READ), (StackId::NONE, StackId::NONE), (1, 11 * MS));
    super::session::layer_of(&mut stacks.interval, 1, 24);
    let mut profile = profile(stacks, vec![of(1, "web")]);
    let environment = &mut profile.header.environment;
    for (name, delta) in [("cgroup_memory_max", 3_795), ("cgroup_pressure_memory_some_us", 2_400_000)] {
        environment.at_start.insert(name.into(), 0);
        environment.at_end.insert(name.into(), delta);
    }
    let rules: Vec<_> = found(&profile).into_iter().map(|(rule, _)| rule).collect();
    assert_eq!(rules[0], "memory_limit", "{rules:?}");
    assert!(!rules.contains(&"security_layer".to_owned()), "24 ms of 10 s: {rules:?}");
}

/// Wakers' stacks, by how they end waits.
fn wakers(stacks: &mut Stacks) -> [StackId; 5] {
    [
        stacks.kernel(100, &["try_to_wake_up", "hrtimer_wakeup", "__hrtimer_run_queues"]),
        stacks.kernel(101, &with_entry(&["ep_poll_callback", "sock_def_readable", "unix_stream_sendmsg"])),
        stacks.kernel(
            102,
            &with_entry(&[
                "ep_poll_callback",
                "signalfd_notify",
                "__send_signal_locked",
                "kill_something_info",
            ]),
        ),
        stacks.kernel(
            103,
            &["io_req_task_work_add", "io_complete_rw", "blkdev_bio_end_io", "blk_mq_end_request"],
        ),
        stacks.kernel(104, &with_entry(&["try_to_wake_up", "wake_up_q", "futex_wake", "do_futex"])),
    ]
}

fn by(pid: u32, kernel: StackId) -> Waker {
    Waker::Process { pid: Pid(pid), kernel, user: StackId::NONE }
}

/// (pid, call, class, basis) of the rows of waits.
fn classes(profile: &Profile) -> Vec<(u64, String, String, String)> {
    let rows = json(profile)["probes"]["offcpu"]["stacks"].clone();
    let text = |row: &Value, field: &str| row[field].as_str().unwrap().to_owned();
    let row = |row: &Value| {
        (row["pid"].as_u64().unwrap(), text(row, "syscall"), text(row, "class"), text(row, "class_by"))
    };
    rows.as_array().unwrap().iter().map(row).collect()
}

fn class(pid: u64, call: &str, class: &str, by: &str) -> (u64, String, String, String) {
    (pid, call.into(), class.into(), by.into())
}

#[test]
fn a_lock_that_another_backend_holds_is_work_and_a_clients_request_is_not() {
    let mut stacks = Stacks::default();
    let poll = stacks.kernel(1, &with_entry(&["schedule", "ep_poll", "do_epoll_wait"]));
    let read = stacks.kernel(2, &with_entry(&["schedule", "unix_stream_read_generic", "sock_recvmsg"]));
    let [timer, message, signal, ..] = wakers(&mut stacks);
    let main = stacks.user(201, &["epoll_wait", "WaitEventSetWait", "secure_read", "PostgresMain", "main"]);
    let lock =
        stacks.user(202, &["epoll_wait", "WaitLatch", "ProcSleep", "LockAcquire", "PostgresMain", "main"]);
    let asleep = |pid, nr| (pid, nr, Wait::Sleep);
    // The holder's commit ends it; before that its own timer looked for a deadlock.
    wait(&mut stacks, asleep(1, EPOLL), (poll, lock), by(2, signal), (1, 3_000 * MS));
    wait(&mut stacks, asleep(1, EPOLL), (poll, lock), Waker::Interrupt { kernel: timer }, (1, 1_000 * MS));
    wait(&mut stacks, asleep(1, EPOLL), (poll, main), by(9, message), (1, 5_000 * MS));
    // A worker of a server that reads its client's socket, and a client that polls for its answer.
    wait(&mut stacks, asleep(3, READ), (read, StackId::NONE), by(9, message), (3, 700 * MS));
    wait(&mut stacks, asleep(9, POLL), (poll, StackId::NONE), by(1, message), (1, 4_000 * MS));
    wait(&mut stacks, asleep(8, POLL), (poll, StackId::NONE), by(1, message), (4, 900 * MS));
    calls(&mut stacks.interval, 9, 44, &[(1_000, 1)]);
    let role = |process: Process, role| Process { role, ..process };
    let processes = vec![
        role(of(1, "postgres"), Role::Server),
        role(of(2, "postgres"), Role::Server),
        role(of(3, "postgres"), Role::Server),
        role(of(9, "psql"), Role::Client),
        role(of(8, "listener"), Role::Client),
    ];
    let profile = profile(stacks, processes);
    assert_eq!(
        classes(&profile),
        [
            class(1, "epoll_wait", "idle", "waker"),
            class(9, "poll", "work", "waker"),
            class(8, "poll", "idle", "waker"),
            class(1, "epoll_wait", "work", "place"),
            class(3, "read", "idle", "waker"),
            class(1, "epoll_wait", "work", "place"),
        ]
    );
    let found = found(&profile);
    assert!(
        found[0]
            .1
            .starts_with("epoll_wait in db/postgres (pid 1) waited 4.00 s for something other than new work"),
        "{found:#?}"
    );
    assert!(found[0].1.contains("ended by 75 % db/postgres[2]"), "{found:#?}");
    assert!(found[1].1.contains("psql"), "{found:#?}");
}

#[test]
fn a_signal_from_inside_is_work_where_no_work_is_taken_and_from_another_container_never() {
    let classes_with = |role, user: [&[&str]; 2]| {
        let mut stacks = Stacks::default();
        let poll = stacks.kernel(1, &with_entry(&["schedule", "ep_poll", "do_epoll_wait"]));
        let [timer, _, signal, ..] = wakers(&mut stacks);
        let user = [stacks.user(201, user[0]), stacks.user(202, user[1])];
        let asleep = (1, EPOLL, Wait::Sleep);
        wait(&mut stacks, asleep, (poll, user[0]), Waker::Interrupt { kernel: timer }, (1, 2_000 * MS));
        for (waker, at, ns) in [(2, 0, 900), (2, 1, 850), (7, 1, 800), (1, 1, 700)] {
            wait(&mut stacks, asleep, (poll, user[at]), by(waker, signal), (1, ns * MS));
        }
        let outside = Process { container: "other".into(), ..of(7, "postgres") };
        let own = Process { role, ..of(1, "postgres") };
        let classes = classes(&profile(stacks, vec![own, of(2, "postgres"), outside]));
        classes.into_iter().map(|(.., class, by)| format!("{class} by {by}")).collect::<Vec<_>>()
    };
    let (home, lock) = (&["epoll_wait", "WalWriterMain"][..], &["epoll_wait", "SyncRepWaitForLSN"][..]);
    // Without connections, work comes from inside: it waits for that where it waits most.
    let own = ["idle by waker", "idle by waker", "work by waker", "idle by waker", "idle by call"];
    assert_eq!(classes_with(Role::Unknown, [home, lock]), own);
    // A server's work comes by messages: what another of the target ends is a release, and so its timers are there.
    let server = ["work by place", "work by waker", "work by waker", "idle by waker", "idle by call"];
    assert_eq!(classes_with(Role::Server, [home, lock]), server);
    // In a function that waits for a lock it waits for a lock, whoever ended that.
    let row_lock = &["epoll_wait", "WaitLatch", "ProcSleep"][..];
    let locked = ["idle by waker", "idle by waker", "work by place", "work by place", "work by place"];
    assert_eq!(classes_with(Role::Unknown, [home, row_lock]), locked);
}

#[test]
fn a_disk_behind_io_uring_is_work() {
    let mut stacks = Stacks::default();
    let ring = stacks.kernel(1, &with_entry(&["schedule", "io_cqring_wait", "__do_sys_io_uring_enter"]));
    let [_, message, _, disk, _] = wakers(&mut stacks);
    wait(
        &mut stacks,
        (1, URING, Wait::Sleep),
        (ring, StackId::NONE),
        Waker::Interrupt { kernel: disk },
        (90, 30 * MS),
    );
    wait(&mut stacks, (1, URING, Wait::Sleep), (ring, StackId::NONE), by(5, message), (1, 900 * MS));
    let profile = profile(stacks, vec![of(1, "store")]);
    assert_eq!(
        classes(&profile),
        [class(1, "io_uring_enter", "work", "waker"), class(1, "io_uring_enter", "idle", "call")]
    );
    let found = found(&profile);
    assert!(found[0].1.starts_with("io_uring_enter in db/store (pid 1) waited 2.70 s"), "{found:#?}");
    let rows = &json(&profile)["probes"]["offcpu"]["rows"][0];
    assert_eq!(
        (&rows["by_class"]["work"], &rows["by_class"]["idle"]),
        (&(2_700 * MS).into(), &(900 * MS).into())
    );
}

#[test]
fn a_sleep_in_a_request_is_work_and_a_loops_own_is_not() {
    let classes_of = |named: bool, sleeps: u64| {
        let mut stacks = Stacks::default();
        let poll = stacks.kernel(1, &with_entry(&["schedule", "ep_poll", "do_epoll_wait"]));
        let nap = stacks.kernel(2, &with_entry(&["schedule", "hrtimer_nanosleep"]));
        let [timer, message, ..] = wakers(&mut stacks);
        let event_loop = stacks.user(201, &["epoll_wait", "aeApiPoll", "aeMain", "main"]);
        let debug =
            stacks.user(202, &["clock_nanosleep", "nanosleep", "debugCommand", "call", "aeMain", "main"]);
        let ticker = stacks.user(203, &["clock_nanosleep", "usleep", "sysmon", "start_thread", "clone3"]);
        let user = |stack| if named { stack } else { StackId::NONE };
        let timer = Waker::Interrupt { kernel: timer };
        wait(&mut stacks, (1, EPOLL, Wait::Sleep), (poll, user(event_loop)), by(5, message), (70, 100 * MS));
        wait(&mut stacks, (1, NANOSLEEP, Wait::Sleep), (nap, user(debug)), timer, (1, sleeps * 1_000 * MS));
        if named {
            wait(&mut stacks, (1, NANOSLEEP, Wait::Sleep), (nap, user(ticker)), timer, (10, 90 * MS));
        }
        let profile = profile(stacks, vec![of(1, "redis-server")]);
        let rows = classes(&profile).into_iter().filter(|(_, call, ..)| call == "clock_nanosleep");
        rows.map(|(.., class, by)| (class, by)).collect::<Vec<_>>()
    };
    let told = |class: &str, by: &str| (class.to_owned(), by.to_owned());
    assert_eq!(classes_of(true, 3), [told("work", "place"), told("idle", "waker")]);
    assert_eq!(
        classes_of(false, 3),
        [told("work", "place")],
        "the sleep is what the loop's thread did meanwhile"
    );
    assert_eq!(classes_of(false, 9), [told("idle", "waker")], "two threads: one sleeps beside the loop");
}

#[test]
fn pread_and_futex_keep_the_class_of_their_names() {
    let mut stacks = Stacks::default();
    let disk = stacks.kernel(1, &with_entry(&["io_schedule", "folio_wait_bit_common", "filemap_read"]));
    let futex = stacks.kernel(2, &with_entry(&["schedule", "futex_do_wait", "futex_wait"]));
    let [.., wake] = wakers(&mut stacks);
    wait(&mut stacks, (1, PREAD, Wait::Uninterruptible), (disk, StackId::NONE), Waker::Unseen, (2, 90 * MS));
    wait(&mut stacks, (1, FUTEX, Wait::Sleep), (futex, StackId::NONE), by(1, wake), (2, 80 * MS));
    let classes = classes(&profile(stacks, vec![of(1, "db")]));
    assert_eq!((classes[0].2.as_str(), classes[1].2.as_str()), ("work", "user-lock"), "{classes:?}");
}
