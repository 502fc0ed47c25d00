//! The command line as typed: flags, their help, and nothing else.
//!
//! In: clap. Out: strings and numbers that `settings` validates. Every flag has one line of help;
//! units stand in the name of the value.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};

use super::defaults::{DEFAULT_FREQUENCY, DEFAULT_SLOW};

const EXAMPLES: &str = "\
Examples:
  profiler record --container web -d 30s -o out   measure a container, keep capture and pictures
  profiler report out                             the tables again, on any machine, without root
  profiler check                                  what this kernel and this user allow

Exit codes: 0 done, 1 failed, 2 wrong usage or nothing matched, 3 privilege or kernel support missing.";

const RECORD_EXAMPLES: &str = "\
Targets of one kind add up (--pid 1 --pid 2: either), different kinds narrow down (--container web
--comm nginx: both). No target: the whole machine. Without -d it records until Ctrl-C or, with a
command, until that ends.

Examples:
  profiler record                                       the whole machine until Ctrl-C
  profiler record --container web -d 30s -o out         a container, into the directory out
  profiler record --pod shop/cart-7d9f -d 1m --slow 1ms calls of 1 ms and more keep their stacks
  profiler record --pid 1234,1240 --probe lock          only lock waits of two processes
  profiler record -o out -- make -j8                    a command and its children";

const REPORT_EXAMPLES: &str = "\
Examples:
  profiler report out                                   the tables
  profiler report out --format json | jq .losses        the summary as JSON
  profiler report out --format svg --probe cpu >cpu.svg one flame graph
  profiler report out/capture.partial -o pictures       all pictures of a recording that was killed";

const CHECK_EXAMPLES: &str = "\
Examples:
  profiler check
  profiler check --json | jq .probes

A probe that cannot run is in the report. Exit code 3 when none can.";

/// Which system calls are slow, which locks are waited for, what burns CPU: by container.
#[derive(Debug, Parser)]
#[command(name = "profiler", version, after_help = EXAMPLES, disable_help_subcommand = true)]
pub(super) struct Arguments {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Measure, print where the time went, keep a capture and its pictures
    #[command(after_help = RECORD_EXAMPLES)]
    Record(Box<Record>),
    /// Tables, pictures and exports again, from a saved capture, on any machine
    #[command(after_help = REPORT_EXAMPLES)]
    Report(Report),
    /// What this kernel and this user allow: the backend of each probe, and what it will miss
    #[command(after_help = CHECK_EXAMPLES)]
    Check(Listing),
    /// Containers, pods and units with their processes: what record can be pointed at
    #[command(after_help = "Examples:\n  profiler targets\n  profiler targets --json | jq '.[].name'")]
    Targets(Listing),
    /// Attach the empty programs that `cargo xtask bench` measures against, until stdin ends
    #[command(hide = true)]
    BenchFloor(BenchFloor),
}

#[derive(Debug, Args)]
pub(super) struct BenchFloor {
    /// What to attach: empty, clock or switch
    #[arg(long, value_name = "KIND")]
    pub kind: String,
}

#[derive(Debug, Args)]
pub(super) struct Verbosity {
    /// Say more on stderr: backends and what they miss; twice: debugging
    #[arg(short, long, action = ArgAction::Count, conflicts_with = "quiet")]
    pub verbose: u8,
    /// Say less on stderr: errors only; twice: nothing but the final one
    #[arg(short, long, action = ArgAction::Count)]
    pub quiet: u8,
}

#[derive(Debug, Args)]
pub(super) struct Record {
    /// Measure a container, by name or by the beginning of its id
    #[arg(long, value_name = "NAME|ID-PREFIX", help_heading = "Target")]
    pub container: Vec<String>,
    /// Measure a Kubernetes pod
    #[arg(long, value_name = "[NS/]NAME", help_heading = "Target")]
    pub pod: Vec<String>,
    /// Measure a cgroup and all below it
    #[arg(long, value_name = "PATH", help_heading = "Target")]
    pub cgroup: Vec<PathBuf>,
    /// Measure a systemd unit
    #[arg(long, value_name = "NAME", help_heading = "Target")]
    pub unit: Vec<String>,
    /// Measure processes and the children they start
    #[arg(long, value_name = "N[,N]", value_delimiter = ',', help_heading = "Target")]
    pub pid: Vec<String>,
    /// Measure processes by command name
    #[arg(long, value_name = "NAME", help_heading = "Target")]
    pub comm: Vec<String>,
    /// Only these: syscall, lock, lsm, offcpu, runq, cpu [default: all]
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    pub probe: Vec<String>,
    /// Time these LSM hooks, such as file_open [default: of sockets]
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    pub lsm_hooks: Vec<String>,
    /// Attach a probe this way, such as lock=kprobe; `check -v` lists ways
    #[arg(long, value_name = "PROBE=NAME")]
    pub backend: Vec<String>,
    /// Stop after this time, such as 30s or 1m30s [default: at Ctrl-C]
    #[arg(short, long, value_name = "TIME")]
    pub duration: Option<String>,
    /// Keep the stacks of calls at least this long; 0: of all
    #[arg(long, value_name = "TIME", default_value = DEFAULT_SLOW)]
    pub slow: String,
    /// Where capture and pictures go [default: profiler-DATE-TIME]
    #[arg(short, long, value_name = "DIR")]
    pub output: Option<PathBuf>,
    /// CPU samples a second on each CPU, 1 to 9999
    #[arg(short = 'F', long, value_name = "HZ", default_value = DEFAULT_FREQUENCY)]
    pub frequency: String,
    /// Measure only on these CPUs, such as 0-3,8 [default: all]
    #[arg(long, value_name = "LIST")]
    pub cpu: Option<String>,
    /// Print the summary as JSON instead of tables
    #[arg(long)]
    pub json: bool,
    /// Leave idle waits (epoll, nanosleep …) out of tables and pictures
    #[arg(long)]
    pub no_idle: bool,
    /// Ignore this many of 1,000 switches, so that a test sees what becomes of their time
    #[arg(long, value_name = "PERMILLE", default_value_t = 0, hide = true)]
    pub ignore_switches: u32,
    /// Ignore this many of 1,000 comings to a CPU, so that a test sees the scheduler's accounts make up for them
    #[arg(long, value_name = "PERMILLE", default_value_t = 0, hide = true)]
    pub ignore_arrivals: u32,
    #[command(flatten)]
    pub verbosity: Verbosity,
    /// Start this command, and record until it ends
    #[arg(last = true, value_name = "CMD")]
    pub command: Vec<OsString>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    Text,
    Json,
    Folded,
    Svg,
    Heat,
}

#[derive(Debug, Args)]
pub(super) struct Report {
    /// A capture, or the directory of `record -o` that holds one
    #[arg(value_name = "CAPTURE")]
    pub capture: PathBuf,
    /// What to print: text, json, folded, svg or heat
    #[arg(long, value_name = "FORMAT", default_value = "text", hide_possible_values = true)]
    pub format: Format,
    /// For folded, svg: syscall, lock, lsm, offcpu, runq, cpu, latency, wakers
    #[arg(long, value_name = "NAME")]
    pub probe: Option<String>,
    /// Leave idle waits (epoll, nanosleep …) out of tables and pictures
    #[arg(long)]
    pub no_idle: bool,
    /// Write summary.json, *.folded and *.svg here, and print their paths
    #[arg(short, long, value_name = "DIR", conflicts_with_all = ["format", "probe"])]
    pub output: Option<PathBuf>,
    #[command(flatten)]
    pub verbosity: Verbosity,
}

#[derive(Debug, Args)]
pub(super) struct Listing {
    /// Print JSON instead of a table
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub verbosity: Verbosity,
}
