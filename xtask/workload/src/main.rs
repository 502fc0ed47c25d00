//! Programs that know the answer, for tests, demo and benchmarks to measure.
//!
//! In: `workload [--wait] [--linger] NAME [NUMBER…]`. With `--wait` it prints `ready` (and, if its calls are
//! sized by time, the ns that one takes here), and starts at a line on stdin. With `--linger` it stays after
//! its result until another line or the end of input. Out: one JSON line with what the workload knows by its
//! own clock. The control channel uses `readv` and `poll` only, so that counts of `read` are the workload's
//! own.

mod bare;
mod burn;
mod chain;
mod compat;
mod contend;
mod crowd;
mod die;
mod disk;
mod exits;
mod fault;
mod fifo;
mod frameless;
mod heirs;
mod held;
mod hostile;
mod jumps;
mod locks;
mod long_read;
mod named;
mod net;
mod objects;
mod parts;
mod peers;
mod report;
mod spin;
mod stall;
mod steady;
mod system;
mod timed;
mod unit;

use std::{
    io::{self, Write},
    process::ExitCode,
};

use long_read::LongRead;
use report::Report;

const USAGE: &str = "workload [--wait] [--linger] NAME [NUMBER…]
  pipe-reads N MS          N reads, each answered after MS by a child
  nanosleep N MS           N sleeps of MS
  futex N MS               N futex waits, each woken after MS by a child
  interrupted-sleep N MS   N sleeps of MS, each stopped and continued half way
  getppid-loop N [THREADS] N calls per thread, by the threads' own CPU time
  dup-close THREADS MS     threads on one fd table
  dup-close-paused THREADS MS  as dup-close, with a pause in each turn
  dup-copied US MS         one fd table that takes US to copy, copied while another thread uses it
  pipe-contend THREADS MS  threads on one pipe
  burn-70-30 MS            two functions that share the CPU 70 to 30
  frameless MS N T         MS of CPU time and N sleeps of T ms, below callers without frame pointers
  many-stacks N DEPTH US [THREADS]  N distinct user stacks, each one call and US of CPU time
  fixed-work N STEPS       the same work N times, by the thread's CPU time
  ping-pong N              two threads of one CPU, N times back and forth through pipes
  futex-ping-pong N        the same through futexes that look like mutexes of glibc
  paced-calls N US         N getppid, one every US, with the time of each
  crowd N                  N threads at once, 3 getppid each; prints a line, and at a line 3 more each
  sleepers N K MS          N threads at once that only sleep, K times MS each
  crowd-processes N K      N children, K at a time: 3 getppid and one nanosleep of 2 ms each
  heir-threads N MS        N threads of one id one after the other: 7 getppid and a read answered after MS each
  heir-processes N MS      N processes of one id, one after the other, each killed in a read
  heir-execs N             N execs by a thread, 7 getppid before each
  spawn N                  N children: 5 getppid and one nanosleep of 2 ms each
  i386-calls N MS          N naps and reads of MS by int 0x80, and reads of MS of the own table, in turns
  hang-i386                as hang-read, by int 0x80
  named-threads N MS       threads pool-0, pool-1, gc worker: N getppid each, and a read of MS
  run-in-call              one call on the CPU until SIGUSR1, then hangs; prints ready first
  hang-read                blocks in read until killed; prints ready first
  held-in-vfork N          N processes that wait in vfork until killed; prints ready first
  exit-in-call MS          exit_group while a thread is blocked in read
  failing-opens N          N opens of a file that is not there
  fast-and-failing N THREADS OPENS  getppid-loop, then failing-opens
  refused N                N getppid that a seccomp filter refuses
  signalled-reads N MS R   N reads of MS, a signal half way; R=1: restarted, R=0: EINTR and read again
  left-reads N MS M        N reads of an empty pipe, each left after MS by a jump out of a signal's handler; M=1: that makes a call first
  random-reads N MS        N reads of /dev/urandom that each compute for MS: long calls that never sleep
  serve N THREADS          datagrams, opens and stats, as a proxy under AppArmor does
  udp-send N [THREADS]     N datagrams per thread over loopback, each received before the next
  udp-send-for MS          the same for MS of CPU time
  late-datagrams N MS      N receives of a datagram over loopback, each sent after MS by a child
  stalled-pipe N MS        the pipe mutex held for MS over a page fault, N times
  stalled-fpos N MS        the same with the file position lock
  long-reads N MS          N reads that compute for MS, each with a witness of its parts; more where they are shorter
  late-reads N MS          N reads of a pipe, each answered after MS, with a witness of its parts
  crowded-late-reads N MS  as late-reads, sharing a CPU with a thread that never sleeps
  first-reads N MS         as long-reads, of SCHED_FIFO, so that nobody interrupts them
  outranked-reads N MS     as first-reads, on a CPU that a thread of a higher rank takes again and again
  mixed-reads N MS         crowded: N late reads of MS and N long ones of MS, in turns
  preempted-reads N MS     long-reads on a CPU that a SCHED_FIFO thread takes again and again
  held-mutex KIND N MS     N waits of MS for a mutex that a thread holds; KIND 0: plain, 1: recursive, 2: checking, 3: robust,
                           4: priority inheritance, 5: shared with a process, 6: robust and left, 7: plain and left
  chain N MS               N waits for a mutex whose holder reads a pipe whose writer reads a pipe whose writer sleeps for MS
  objects MS               a call of MS on each kind of object: TCP, pipe, file, futex, closed, of one gone
  futex-spins N MS MOST    N futex waits that spin behind visits of MS to up to MOST sleepers; a quarter and more counts
  disk-faults MIB          a mapped file of MIB, each page read from disk at its first touch
  disk-requests R W S KIB  R reads, W writes, S syncs of the disk WORKLOAD_DISK past the page cache, KIB each
  disk-storm N KIB MS      N threads that write pieces of KIB there for MS
  stalled-inode N MS       the same with an inode's rwsem
  stalled-both N MS        the pipe mutex, then the inode's rwsem
  deaths N                 N children that die in each of the known ways
  faults N                 N children that write to a null pointer, three functions deep
  die                      writes to a null pointer itself, three functions deep
  caught-faults N          a child whose handler catches N faults, and that ends well
  periodic-faults N MS     N children that die like that, one every MS
  talk-peers N MS          N reads of a connection to 127.0.0.9, each answered after MS by a thread
  ask-peers N S PORT A…    asks servers at 127.0.0.A (0: ::1, 1000 + A: by IPv6) N times each, then S receives of nothing
  serve-peers PORT K       answers on K connections, a thread each
  serve-turns PORT K       receives once on each of K connections, one after the other
  call-turns PORT A…       connects to it from each 127.0.0.A, one after the other, and sends after 20, 30 … ms
  call-peers PORT N MS A…  asks the server at 127.0.0.1 N times from each 127.0.0.A, MS between
  die-after-peer PORT A MS a child that receives from 127.0.0.A, and dies MS later
  hostile-name MS          children with attacking command names, MS of CPU time each
  demo MS                  late pipes, contention and CPU together";

fn main() -> ExitCode {
    let mut words: Vec<String> = std::env::args().skip(1).collect();
    let mut flag = |name: &str| {
        let before = words.len();
        words.retain(|word| word != name);
        words.len() != before
    };
    let (wait, linger) = (flag("--wait"), flag("--linger"));
    match run(&words, wait, linger) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "workload: {error}");
            ExitCode::from(2)
        }
    }
}

fn run(words: &[String], wait: bool, linger: bool) -> io::Result<()> {
    let Some((name, numbers)) = words.split_first() else { return Err(io::Error::other(USAGE)) };
    let numbers = numbers.iter().map(|word| number(word)).collect::<io::Result<Vec<u64>>>()?;
    // What must last is sized on this machine here, before anybody looks.
    let work = dispatch(name, &numbers)?;
    if wait {
        match work.unit_ns {
            Some(ns) => report::line(&format!("ready {ns}"))?,
            None => report::line("ready")?,
        }
        system::wait_for_line();
    }
    report::line(&(work.run)()?.finish(name))?;
    if linger {
        system::wait_for_line();
    }
    Ok(())
}

/// What a workload does when it is let go.
struct Work {
    /// What one of its calls takes alone, where it was sized by time.
    unit_ns: Option<u64>,
    run: Box<dyn FnOnce() -> io::Result<Report>>,
}

fn plain(run: impl FnOnce() -> io::Result<Report> + 'static) -> io::Result<Work> {
    Ok(Work { unit_ns: None, run: Box::new(run) })
}

/// Long reads of `ms`, sized now.
fn long(ms: u64, run: impl FnOnce(LongRead) -> io::Result<Report> + 'static) -> io::Result<Work> {
    let read = LongRead::lasting(ms)?;
    Ok(Work { unit_ns: Some(read.ns()), run: Box::new(move || run(read)) })
}

/// A table of descriptors that takes `us` to copy.
fn copied(us: u64, ms: u64) -> io::Result<Work> {
    let table = contend::long_table(us)?;
    Ok(Work { unit_ns: Some(table.ns), run: Box::new(move || contend::dup_copied(table, ms)) })
}

/// Sleepers whose visit takes `ms`.
fn spins(count: u64, ms: u64, most: u64) -> io::Result<Work> {
    let crowd = spin::Crowd::gather(ms, most)?;
    Ok(Work { unit_ns: Some(2 * crowd.long_ns()), run: Box::new(move || spin::futex_waits(count, &crowd)) })
}

fn number(word: &str) -> io::Result<u64> {
    word.parse().map_err(|_| io::Error::other(format!("{word}: not a number\n{USAGE}")))
}

fn dispatch(name: &str, numbers: &[u64]) -> io::Result<Work> {
    match (name, numbers) {
        ("pipe-reads", &[count, ms]) => plain(move || timed::pipe_reads(count, ms)),
        ("nanosleep", &[count, ms]) => plain(move || timed::nanosleep(count, ms)),
        ("futex", &[count, ms]) => plain(move || timed::futex(count, ms)),
        ("interrupted-sleep", &[count, ms]) => plain(move || timed::interrupted_sleep(count, ms)),
        ("getppid-loop", &[count]) => plain(move || burn::getppid_loop(count, 1)),
        ("getppid-loop", &[count, threads]) => plain(move || burn::getppid_loop(count, threads)),
        ("dup-close", &[threads, ms]) => plain(move || contend::dup_close(threads, ms)),
        ("dup-close-paused", &[threads, ms]) => plain(move || contend::dup_close_paused(threads, ms)),
        ("dup-copied", &[us, ms]) => copied(us, ms),
        ("pipe-contend", &[threads, ms]) => plain(move || contend::pipe_contend(threads, ms)),
        ("burn-70-30", &[ms]) => plain(move || Ok(burn::seventy_thirty(ms))),
        ("frameless", &[ms, sleeps, sleep_ms]) => {
            plain(move || Ok(frameless::frameless(ms, sleeps, sleep_ms)))
        }
        ("many-stacks", &[count, depth, us]) => plain(move || burn::many_stacks(count, depth, us, 1)),
        ("many-stacks", &[count, depth, us, threads]) => {
            plain(move || burn::many_stacks(count, depth, us, threads))
        }
        ("fixed-work", &[chunks, steps]) => plain(move || Ok(steady::fixed_work(chunks, steps))),
        ("ping-pong", &[count]) => plain(move || steady::ping_pong(count)),
        ("futex-ping-pong", &[count]) => plain(move || steady::futex_ping_pong(count)),
        ("paced-calls", &[count, us]) => plain(move || Ok(steady::paced_calls(count, us))),
        ("crowd", &[count]) => plain(move || crowd::threads(count)),
        ("sleepers", &[count, naps, ms]) => plain(move || crowd::sleepers(count, naps, ms)),
        ("crowd-processes", &[count, at_once]) => plain(move || crowd::processes(count, at_once)),
        ("heir-threads", &[count, ms]) => plain(move || heirs::threads(count, ms)),
        ("heir-processes", &[count, ms]) => plain(move || heirs::processes(count, ms)),
        ("heir-execs", &[count]) => plain(move || heirs::execs(count, count, 0, 0)),
        ("heir-execs", &[count, left, began_ns, total_ns]) => {
            plain(move || heirs::execs(count, left, began_ns, total_ns))
        }
        ("spawn", &[count]) => plain(move || exits::spawn(count)),
        ("held-in-vfork", &[count]) => plain(move || held::vforks(count)),
        ("hang-read", &[]) => plain(exits::hang_read),
        ("run-in-call", &[]) => plain(exits::run_in_call),
        ("i386-calls", &[count, ms]) => plain(move || compat::calls(count, ms)),
        ("hang-i386", &[]) => plain(compat::hang),
        ("named-threads", &[count, ms]) => plain(move || named::threads(count, ms)),
        ("exit-in-call", &[ms]) => plain(move || exits::exit_in_call(ms)),
        ("failing-opens", &[count]) => plain(move || exits::failing_opens(count)),
        ("fast-and-failing", &[count, threads, opens]) => {
            let failing = move || exits::failing_opens(opens);
            plain(move || Ok(burn::getppid_loop(count, threads)?.with_part("failing", &failing()?)))
        }
        ("refused", &[count]) => plain(move || exits::refused(count)),
        ("signalled-reads", &[count, ms, restart]) => {
            plain(move || exits::signalled_reads(count, ms, restart != 0))
        }
        ("left-reads", &[count, ms, mask]) => plain(move || jumps::left_reads(count, ms, mask != 0)),
        ("random-reads", &[count, ms]) => long(ms, move |read| Ok(timed::random_reads(count, read))),
        ("serve", &[count, threads]) => plain(move || net::serve(count, threads)),
        ("late-datagrams", &[count, ms]) => plain(move || net::late_datagrams(count, ms)),
        ("udp-send", &[count]) => plain(move || net::udp_send(count, 1)),
        ("udp-send-for", &[ms]) => plain(move || net::udp_send_for(ms)),
        ("udp-send", &[count, threads]) => plain(move || net::udp_send(count, threads)),
        ("stalled-pipe", &[count, ms]) => plain(move || stall::pipe(count, ms)),
        ("stalled-fpos", &[count, ms]) => plain(move || stall::file_position(count, ms)),
        ("long-reads", &[count, ms]) => long(ms, move |read| parts::long_reads(count, ms, read)),
        ("first-reads", &[count, ms]) => long(ms, move |read| fifo::first_reads(count, ms, read)),
        ("outranked-reads", &[count, ms]) => long(ms, move |read| fifo::outranked_reads(count, ms, read)),
        ("late-reads", &[count, ms]) => plain(move || parts::late_reads(count, ms, false)),
        ("crowded-late-reads", &[count, ms]) => plain(move || parts::late_reads(count, ms, true)),
        ("mixed-reads", &[count, ms]) => long(ms, move |read| parts::mixed_reads(count, ms, read)),
        ("preempted-reads", &[count, ms]) => long(ms, move |read| parts::preempted_reads(count, ms, read)),
        ("held-mutex", &[kind, count, ms]) => plain(move || locks::held(kind, count, ms)),
        ("chain", &[count, ms]) => plain(move || chain::mutex_pipe_pipe_sleep(count, ms)),
        ("objects", &[ms]) => long(ms, move |read| objects::each(ms, read)),
        ("futex-spins", &[count, ms, most]) => spins(count, ms, most),
        ("disk-faults", &[mebibytes]) => plain(move || fault::disk_faults(mebibytes)),
        ("disk-requests", &[reads, writes, syncs, kib]) => {
            plain(move || disk::requests(reads, writes, syncs, kib))
        }
        ("disk-storm", &[threads, kib, ms]) => plain(move || disk::storm(threads, kib, ms)),
        ("stalled-inode", &[count, ms]) => plain(move || stall::inode(count, ms)),
        ("stalled-both", &[count, ms]) => plain(move || stall::pipe_and_inode(count, ms)),
        ("deaths", &[count]) => plain(move || die::deaths(count)),
        ("faults", &[count]) => plain(move || die::faults(count)),
        ("die", &[]) => plain(die::itself()),
        ("caught-faults", &[count]) => plain(move || die::caught(count)),
        ("periodic-faults", &[count, ms]) => plain(move || die::periodic(count, ms)),
        ("talk-peers", &[count, ms]) => plain(move || peers::talk(count, ms)),
        ("ask-peers", &[count, silent, port, ref servers @ ..]) => {
            let servers = servers.to_vec();
            plain(move || peers::ask(count, silent, port, &servers))
        }
        ("serve-peers", &[port, connections]) => {
            let server = peers::Server::bind(port)?;
            plain(move || server.serve(connections))
        }
        ("serve-turns", &[port, connections]) => {
            let server = peers::Server::bind(port)?;
            plain(move || server.take_turns(connections))
        }
        ("call-turns", &[port, ref clients @ ..]) => {
            let clients = clients.to_vec();
            plain(move || peers::call_by_turns(port, &clients))
        }
        ("call-peers", &[port, count, ms, ref clients @ ..]) => {
            let clients = clients.to_vec();
            plain(move || peers::call(port, count, ms, &clients))
        }
        ("die-after-peer", &[port, server, ms]) => plain(move || peers::die_after(port, server, ms)),
        ("hostile-name", &[ms]) => plain(move || hostile::names(ms)),
        ("demo", &[ms]) => plain(move || contend::demo(ms)),
        _ => Err(io::Error::other(USAGE)),
    }
}
