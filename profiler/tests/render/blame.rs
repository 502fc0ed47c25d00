//! Who is to blame for long waits, made by hand.
//!
//! In: what `session` is made of. Out: [`blame`]: a program that waits for locks that a thread with a hostile name holds, and through
//! another process for a third; locks without an owner; threads that wait only for each other; and what the sentences rest on.

use profiler::probes::blame::rows::{HeldKey, HeldRow, How, LinkKey, LinkRow, LockHolder, Told};
use profiler::profile::slowest::SlowestCall;
use profiler::profile::waits::WaitKey;
use profiler::profile::{Pid, Profile, StackId, Tid, Wait};
use profiler::render::{Format, render};
use serde_json::Value;

use super::disks::profile;
use super::session::{HOSTILE, MS, Stacks, calls, with_entry};

const FUTEX: u32 = 202;
const READ: u32 = 0;
const NANOSLEEP: u32 = 35;

/// One link: its id and that of its parent, who waits in which call, how often, how long, and how much of it is explained.
type Link = ((u64, u64), (u32, u32), (u64, u64, u64));

fn link(stacks: &mut Stacks, kernel: StackId, ((link, parent), (pid, nr), (waits, total, explained)): Link) {
    let how = if parent == 0 { How::Ran } else { How::Inherited };
    let (outside, nr) = (pid == 4711, Some(nr));
    let key = LinkKey { link, parent, how, pid: Pid(pid), outside, nr, wait: Wait::Sleep, kernel };
    let row = LinkRow { waits, total_ns: total * MS, explained_ns: explained * MS, ..LinkRow::default() };
    stacks.interval.waits.blame.links.insert(key, row);
}

fn held(stacks: &mut Stacks, holder: LockHolder, (waits, ms): (u64, u64)) {
    let named = holder.told.unknown().is_none();
    let key = HeldKey { pid: Pid(812), lock: if named { 0x7f00_0000_1000 } else { 0 }, holder };
    let row = HeldRow { waits, total_ns: waits * ms * MS, max_ns: ms * MS, ended_by_holder: waits };
    stacks.interval.waits.blame.held.insert(key, row);
}

/// A thread's name as the kernel keeps it.
fn comm(name: &str) -> [u64; 2] {
    let mut bytes = [0; 16];
    name.bytes().take(15).zip(&mut bytes).for_each(|(from, to)| *to = from);
    [0, 8].map(|at| u64::from_ne_bytes(bytes[at..at + 8].try_into().unwrap()))
}

/// So many waits of one process in `futex`.
fn futexes(stacks: &mut Stacks, pid: u32, (count, ms): (u64, u64)) {
    let row = WaitKey { pid: Pid(pid), nr: Some(FUTEX), wait: Wait::Sleep };
    let waits = stacks.interval.waits.rows.entry(row).or_default();
    (0..count).for_each(|_| waits.record(ms * MS));
    calls(&mut stacks.interval, pid, FUTEX, &[(ms * MS, count)]);
}

fn made(links: &[Link], holders: &[(LockHolder, (u64, u64))]) -> Profile {
    let mut stacks = Stacks::default();
    let kernel = stacks.kernel(6, &with_entry(&["schedule", "futex_do_wait", "futex_wait"]));
    futexes(&mut stacks, 812, (40, 50));
    futexes(&mut stacks, 33, (50, 100));
    links.iter().for_each(|one| link(&mut stacks, kernel, *one));
    holders.iter().for_each(|(holder, waits)| held(&mut stacks, *holder, *waits));
    profile(stacks, Vec::new())
}

fn keeper(told: Told) -> LockHolder {
    LockHolder { told, pid: Pid(812), tid: Tid(815), ending: false, comm: comm(HOSTILE) }
}

/// 812 waits for 813, which waits for 4711, outside the target.
const CHAIN: [Link; 3] = [
    ((1, 0), (4711, NANOSLEEP), (40, 1_900, 0)),
    ((2, 1), (813, READ), (40, 1_950, 1_900)),
    ((3, 2), (812, FUTEX), (40, 2_000, 1_900)),
];
/// Threads of 33 wait for each other.
const CIRCLE: [Link; 2] = [((8, 0), (33, FUTEX), (25, 5_000, 0)), ((9, 8), (33, FUTEX), (25, 5_000, 4_900))];

/// The session.
pub fn blame() -> Profile {
    let ended = LockHolder { told: Told::Ended, tid: Tid(99), ..LockHolder::default() };
    let none = LockHolder { told: Told::NoOwner, ..LockHolder::default() };
    let links: Vec<Link> = CHAIN.into_iter().chain(CIRCLE).collect();
    made(&links, &[(keeper(Told::Glibc), (30, 50)), (none, (8, 50)), (ended, (2, 50))])
}

fn finding(profile: &Profile, rule: &str) -> Option<String> {
    let mut out = Vec::new();
    render(profile, Format::Json, &mut out).unwrap();
    let json: Value = serde_json::from_slice(&out).unwrap();
    let mut all = json["evidence"].as_array().unwrap().iter().filter(|finding| finding["rule"] == rule);
    all.next().map(|finding| finding["finding"].as_str().unwrap().to_owned())
}

#[test]
fn the_thread_that_holds_the_locks_is_named_with_what_it_cost() {
    let sentence = finding(&blame(), "user_lock_holder").unwrap();
    assert!(sentence.starts_with("75 % of futex in "), "{sentence}");
    assert!(
        sentence.contains("that thread ") && sentence.contains(" 815 holds: 30 waits, 1.50 s"),
        "{sentence}"
    );
}

#[test]
fn a_few_waits_and_a_lock_without_owner_name_nobody() {
    let none = LockHolder { told: Told::NoOwner, ..LockHolder::default() };
    for (holder, waits) in [(keeper(Told::Glibc), (4, 500)), (keeper(Told::Glibc), (9, 20)), (none, (30, 50))]
    {
        assert_eq!(finding(&made(&[], &[(holder, waits)]), "user_lock_holder"), None);
    }
}

#[test]
fn a_chain_is_told_from_who_waits_to_its_root() {
    let sentence = finding(&blame(), "wait_chain").unwrap();
    let (waits, root) = sentence.split_once(" of that for ").unwrap();
    assert!(waits.contains("[812] in futex (futex_do_wait) waited 2.00 s: 93 %"), "{sentence}");
    let (by, root) = root.split_once(" ← ").unwrap();
    assert!(by.contains("[813] in read") && root.contains("backup[4711] in nanosleep"), "{sentence}");
}

#[test]
fn threads_that_wait_for_each_other_in_one_call_are_no_finding() {
    assert_eq!(finding(&made(&CIRCLE, &[]), "wait_chain"), None);
    let few = CHAIN.map(|(ids, who, (_, total, explained))| (ids, who, (4, total, explained)));
    assert_eq!(finding(&made(&few, &[]), "wait_chain"), None, "four waits are a coincidence");
}

#[test]
fn threads_that_were_woken_are_named_before_those_that_wait_for_work() {
    let futex = |thread: &str, start_ns, ret, ms: u64| SlowestCall {
        pid: Pid(33),
        thread: thread.to_owned(),
        nr: FUTEX,
        start_ns,
        wall_ns: ms * MS,
        ret,
        ..SlowestCall::default()
    };
    let named = |calls: &[SlowestCall]| {
        let profile = Profile { slowest: calls.to_vec(), ..made(&[], &[]) };
        finding(&profile, "user_locks").unwrap()
    };
    let pool = [futex("VM Periodic", MS, -110, 990), futex("Service", 0, 0, 980)];
    let idle = named(&pool);
    assert!(idle.contains(", the longest in threads VM Periodic, Service"), "{idle}");
    let [timed, before] = pool;
    let busy = named(&[timed, before, futex("till-1", MS, 0, 300), futex("java", MS, 0, 200)]);
    assert!(
        busy.contains(", the longest that were woken in thread till-1") && !busy.contains("VM "),
        "{busy}"
    );
}
