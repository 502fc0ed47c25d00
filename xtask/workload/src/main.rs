//! Programs that know the answer, for tests, demo and benchmarks to measure.
//!
//! In: `workload [--wait] [--linger] NAME [NUMBER…]`; with `--wait` it prints `ready` and starts at a line
//! on stdin, with `--linger` it stays until another line (or end of input) after its result.
//! Out: one JSON line with what the workload knows by its own clock. The control channel uses `readv`
//! and `poll` only, so that counts of `read` are the workload's own.

mod bare;
mod burn;
mod contend;
mod crowd;
mod exits;
mod fault;
mod fifo;
mod heirs;
mod hostile;
mod net;
mod objects;
mod parts;
mod report;
mod spin;
mod stall;
mod steady;
mod system;
mod timed;

use std::{
    io::{self, Write},
    process::ExitCode,
};

use report::Report;

const USAGE: &str = "workload [--wait] [--linger] NAME [NUMBER…]
  pipe-reads N MS          N reads, each answered after MS by a child
  nanosleep N MS           N sleeps of MS
  futex N MS               N futex waits, each woken after MS by a child
  interrupted-sleep N MS   N sleeps of MS, each stopped and continued half way
  getppid-loop N [THREADS] N calls per thread, by the threads' own CPU time
  dup-close THREADS MS     threads on one fd table
  dup-close-paused THREADS MS  as dup-close, with a pause in each turn
  dup-copied FDS MS        one fd table of FDS descriptors, copied while another thread uses it
  pipe-contend THREADS MS  threads on one pipe
  burn-70-30 MS            two functions that share the CPU 70 to 30
  many-stacks N DEPTH US [THREADS]  N distinct user stacks, each one call and US of CPU time
  fixed-work N STEPS       the same work N times, by the thread's CPU time
  ping-pong N              two threads of one CPU, N times back and forth through pipes
  paced-calls N US         N getppid, one every US, with the time of each
  crowd N                  N threads at once, 3 getppid each; prints a line, and at a line 3 more each
  crowd-processes N K      N children, K at a time: 3 getppid and one nanosleep of 2 ms each
  heir-threads N MS        N threads of one id one after the other: 7 getppid and a read answered after MS each
  heir-processes N MS      N processes of one id likewise, each killed in a read
  heir-execs N             N execs by a thread, 7 getppid before each
  spawn N                  N children: 5 getppid and one nanosleep of 2 ms each
  hang-read                blocks in read until killed; prints ready first
  exit-in-call MS          exit_group while a thread is blocked in read
  failing-opens N          N opens of a file that is not there
  refused N                N getppid that a seccomp filter refuses
  signalled-reads N MS R   N reads of MS, a signal half way; R=1: restarted, R=0: EINTR and read again
  random-reads N MIB       N reads of MIB of /dev/urandom: long calls that never sleep
  serve N THREADS          datagrams, opens and stats, as a proxy under AppArmor does
  udp-send N [THREADS]     N datagrams per thread over loopback, each received before the next
  late-datagrams N MS      N receives of a datagram over loopback, each sent after MS by a child
  stalled-pipe N MS        the pipe mutex held for MS over a page fault, N times
  stalled-fpos N MS        the file position lock held likewise
  zero-reads N MIB         N reads of MIB of /dev/zero, each with a witness of its parts
  late-reads N MS          N reads of a pipe, each answered after MS, with a witness of its parts
  crowded-late-reads N MS  as late-reads, sharing a CPU with a thread that never sleeps
  first-reads N MIB        as zero-reads, of SCHED_FIFO, so that nobody interrupts them
  outranked-reads N MIB    as first-reads, on a CPU that a thread of a higher rank takes again and again
  mixed-reads N MS MIB     crowded: N late reads of MS and N reads of MIB of /dev/zero, in turns
  preempted-reads N MIB    N reads of MIB of /dev/zero on a CPU that a SCHED_FIFO thread takes again and again
  objects MS               a call of MS on each kind of object: TCP, pipe, file, futex, closed, of one gone
  futex-spins N THREADS US N futex waits that spin behind visits to THREADS sleepers; US and more count
  disk-faults MIB          a mapped file of MIB, each page read from disk at its first touch
  stalled-inode N MS       an inode's rwsem held likewise
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
    if wait {
        report::line("ready")?;
        system::wait_for_line();
    }
    report::line(&dispatch(name, &numbers)?.finish(name))?;
    if linger {
        system::wait_for_line();
    }
    Ok(())
}

fn number(word: &str) -> io::Result<u64> {
    word.parse().map_err(|_| io::Error::other(format!("{word}: not a number\n{USAGE}")))
}

fn dispatch(name: &str, numbers: &[u64]) -> io::Result<Report> {
    match (name, numbers) {
        ("pipe-reads", &[count, ms]) => timed::pipe_reads(count, ms),
        ("nanosleep", &[count, ms]) => timed::nanosleep(count, ms),
        ("futex", &[count, ms]) => timed::futex(count, ms),
        ("interrupted-sleep", &[count, ms]) => timed::interrupted_sleep(count, ms),
        ("getppid-loop", &[count]) => burn::getppid_loop(count, 1),
        ("getppid-loop", &[count, threads]) => burn::getppid_loop(count, threads),
        ("dup-close", &[threads, ms]) => contend::dup_close(threads, ms),
        ("dup-close-paused", &[threads, ms]) => contend::dup_close_paused(threads, ms),
        ("dup-copied", &[descriptors, ms]) => contend::dup_copied(descriptors, ms),
        ("pipe-contend", &[threads, ms]) => contend::pipe_contend(threads, ms),
        ("burn-70-30", &[ms]) => Ok(burn::seventy_thirty(ms)),
        ("many-stacks", &[count, depth, us]) => burn::many_stacks(count, depth, us, 1),
        ("many-stacks", &[count, depth, us, threads]) => burn::many_stacks(count, depth, us, threads),
        ("fixed-work", &[chunks, steps]) => Ok(steady::fixed_work(chunks, steps)),
        ("ping-pong", &[count]) => steady::ping_pong(count),
        ("paced-calls", &[count, us]) => Ok(steady::paced_calls(count, us)),
        ("crowd", &[count]) => crowd::threads(count),
        ("crowd-processes", &[count, at_once]) => crowd::processes(count, at_once),
        ("heir-threads", &[count, ms]) => heirs::threads(count, ms),
        ("heir-processes", &[count, ms]) => heirs::processes(count, ms),
        ("heir-execs", &[count]) => heirs::execs(count, count, 0, 0),
        ("heir-execs", &[count, left, began_ns, total_ns]) => heirs::execs(count, left, began_ns, total_ns),
        ("spawn", &[count]) => exits::spawn(count),
        ("hang-read", &[]) => exits::hang_read(),
        ("exit-in-call", &[ms]) => exits::exit_in_call(ms),
        ("failing-opens", &[count]) => exits::failing_opens(count),
        ("refused", &[count]) => exits::refused(count),
        ("signalled-reads", &[count, ms, restart]) => exits::signalled_reads(count, ms, restart != 0),
        ("random-reads", &[count, mebibytes]) => timed::random_reads(count, mebibytes),
        ("serve", &[count, threads]) => net::serve(count, threads),
        ("late-datagrams", &[count, ms]) => net::late_datagrams(count, ms),
        ("udp-send", &[count]) => net::udp_send(count, 1),
        ("udp-send", &[count, threads]) => net::udp_send(count, threads),
        ("stalled-pipe", &[count, ms]) => stall::pipe(count, ms),
        ("stalled-fpos", &[count, ms]) => stall::file_position(count, ms),
        ("zero-reads", &[count, mebibytes]) => parts::zero_reads(count, mebibytes),
        ("first-reads", &[count, mebibytes]) => fifo::first_reads(count, mebibytes),
        ("outranked-reads", &[count, mebibytes]) => fifo::outranked_reads(count, mebibytes),
        ("late-reads", &[count, ms]) => parts::late_reads(count, ms, false),
        ("crowded-late-reads", &[count, ms]) => parts::late_reads(count, ms, true),
        ("mixed-reads", &[count, ms, mebibytes]) => parts::mixed_reads(count, ms, mebibytes),
        ("preempted-reads", &[count, mebibytes]) => parts::preempted_reads(count, mebibytes),
        ("objects", &[ms]) => objects::each(ms),
        ("futex-spins", &[count, sleepers, us]) => spin::futex_waits(count, sleepers, us),
        ("disk-faults", &[mebibytes]) => fault::disk_faults(mebibytes),
        ("stalled-inode", &[count, ms]) => stall::inode(count, ms),
        ("hostile-name", &[ms]) => hostile::names(ms),
        ("demo", &[ms]) => contend::demo(ms),
        _ => Err(io::Error::other(USAGE)),
    }
}
