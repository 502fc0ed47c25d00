//! The command line as typed: flags, their help, and nothing else.
//!
//! In: clap. Out: strings and numbers that `settings` validates. Every flag has one line of help;
//! units stand in the name of the value.

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::LazyLock;

use clap::builder::PossibleValue;
use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

use super::defaults::{DEFAULT_FREQUENCY, DEFAULT_MAX_SIZE, DEFAULT_SLOW, DEFAULT_STACK_BYTES};
use crate::format::ExportFormat;
use crate::probe::{picture_names, probe_names};

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
  profiler record -o out -- make -j8                    a command and its children
  ssh web1 profiler record -d 30s -o - >web1.profiler   on another machine, kept here";

const CRASH_EXAMPLES: &str = "\
Without -d it watches until Ctrl-C. Targets are those of `record`; no target: the whole machine.

Examples:
  profiler crash --container px                         each death of a container, restarts included
  profiler crash --pod shop/cart-7d9f -d 1h -o out      for an hour, into the directory out
  profiler crash --no-memory -- ./server                a command; no memory of it is kept";

const REPORT_EXAMPLES: &str = "\
Examples:
  profiler report out                                   the tables
  profiler report out --format json | jq .losses        the summary as JSON
  profiler report out --format svg --probe cpu >cpu.svg one flame graph
  profiler report out --format pprof >web.pb.gz         all pictures, for `go tool pprof`
  profiler report out --symbols debug -o named          with names for [no symbol], by build-id
  profiler report out/capture.partial -o pictures       all pictures of a recording that was killed";

const DIFF_EXAMPLES: &str = "\
Examples:
  profiler diff before after                            what moved, and what else changed
  profiler diff out@..30s out@30s..                     two halves of one recording
  profiler diff before after -o diff                    diff.json and differential flame graphs, too
  profiler diff before after --fail-if 'p99(sendto) > +20%'

A condition is STATISTIC(NAME) > +N% or < -N%. NAME: a call, lock, hook, function or counter.
STATISTIC: usual (mean without outliers), mean, p50, p99, rate (events a second), slow (slow ones a
second), time (a second). Exit codes: as elsewhere, and 4: a condition is met; 5: the recordings
cannot decide one.";

const COMPLETIONS_EXAMPLES: &str = "\
Examples:
  source <(profiler completions bash)
  profiler completions zsh >~/.zfunc/_profiler
  profiler completions fish >~/.config/fish/completions/profiler.fish";

const CHECK_EXAMPLES: &str = "\
Examples:
  profiler check
  profiler check --json | jq .probes

The report lists probes that cannot run, too. Exit code 3: no probe can run.";

/// The formats of other tools, then examples.
fn report_help() -> String {
    let row = |format: &ExportFormat| format!("  {:<12} {}\n", format.name(), format.opens());
    let formats: String = ExportFormat::ALL.iter().map(row).collect();
    format!("Formats of other tools, and what opens them:\n{formats}\n{REPORT_EXAMPLES}")
}

fn record_help() -> String {
    format!("Probes: {}.\n\n{RECORD_EXAMPLES}", probe_names().join(", "))
}

fn picture_help() -> String {
    let probes = probe_names();
    let further: Vec<_> = picture_names().into_iter().filter(|name| !probes.contains(name)).collect();
    format!("That of a probe by its name, or {}", further.join("|"))
}

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
    #[command(after_help = record_help())]
    Record(Box<Record>),
    /// Print each death as it happens: what, where, after what, how often; keep a capture
    #[command(after_help = CRASH_EXAMPLES)]
    Crash(Box<Crash>),
    /// Show a saved capture again, on any machine: tables, pictures and exports
    #[command(after_help = report_help())]
    Report(Report),
    /// Hold two captures against each other: what moved, what else changed, what would have been seen
    #[command(after_help = DIFF_EXAMPLES)]
    Diff(Diff),
    /// Say what this kernel and this user allow: the backend of each probe, and what it misses
    #[command(after_help = CHECK_EXAMPLES)]
    Check(Listing),
    /// List containers with runtime, image, pod and processes: what record can measure
    #[command(after_help = "Examples:\n  profiler targets\n  profiler targets --json | jq '.[].name'")]
    Targets(Listing),
    /// Print completions for a shell
    #[command(after_help = COMPLETIONS_EXAMPLES)]
    Completions {
        /// The shell
        #[arg(value_name = "SHELL")]
        shell: Shell,
    },
    /// Print a manual page
    #[command(after_help = "Examples:\n  profiler man | man -l -\n  profiler man record >profiler-record.1")]
    Man {
        /// The command whose page it is [default: the tool's own]
        #[arg(value_name = "COMMAND")]
        command: Option<String>,
    },
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

#[derive(Debug, Default, Args)]
pub(super) struct Target {
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
    /// Measure processes by their command name
    #[arg(long, value_name = "NAME", help_heading = "Target")]
    pub comm: Vec<String>,
    /// Measure threads by their own name; *: any text, ?: any byte
    #[arg(long, value_name = "GLOB", help_heading = "Target")]
    pub thread: Vec<String>,
    /// Wait until a target that matches nothing yet is there
    #[arg(long, help_heading = "Target")]
    pub wait: bool,
}

#[derive(Debug, Args)]
pub(super) struct Crash {
    #[command(flatten)]
    pub target: Target,
    /// Stop after this time, such as 30s or 1h [default: at Ctrl-C]
    #[arg(short, long, value_name = "TIME")]
    pub duration: Option<String>,
    /// Write the capture here [default: profiler-DATE-TIME]
    #[arg(short, long, value_name = "DIR")]
    pub output: Option<PathBuf>,
    /// End before the capture is larger, such as 2G
    #[arg(long, value_name = "SIZE", default_value = DEFAULT_MAX_SIZE)]
    pub max_size: String,
    /// Keep functions only: no registers, addresses or mappings
    #[arg(long)]
    pub no_memory: bool,
    #[command(flatten)]
    pub verbosity: Verbosity,
    /// Start this command, and watch until it ends
    #[arg(last = true, value_name = "CMD")]
    pub command: Vec<OsString>,
}

#[derive(Debug, Args)]
pub(super) struct Record {
    #[command(flatten)]
    pub target: Target,
    /// Only these of the probes below, such as syscall,lock [default: all]
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    pub probe: Vec<String>,
    /// Time these LSM hooks, such as file_open [default: those of sockets]
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    pub lsm_hooks: Vec<String>,
    /// Attach by this backend, such as lock=kprobe; `check -v` lists them
    #[arg(long, value_name = "PROBE=NAME")]
    pub backend: Vec<String>,
    /// Stop after this time, such as 30s or 1m30s [default: at Ctrl-C]
    #[arg(short, long, value_name = "TIME")]
    pub duration: Option<String>,
    /// Keep stacks of calls this long or longer; 0: of all
    #[arg(long, value_name = "TIME", default_value = DEFAULT_SLOW)]
    pub slow: String,
    /// Write here [default: profiler-DATE-TIME]; -: the capture to stdout
    #[arg(short, long, value_name = "DIR")]
    pub output: Option<PathBuf>,
    /// End before the capture is larger, such as 2G
    #[arg(long, value_name = "SIZE", default_value = DEFAULT_MAX_SIZE)]
    pub max_size: String,
    /// Take so many samples a second on each CPU, 1 to 9999
    #[arg(short = 'F', long, value_name = "HZ", default_value = DEFAULT_FREQUENCY)]
    pub frequency: String,
    /// How user stacks are walked: auto, dwarf or fp
    #[arg(long, value_name = "WAY", default_value = "auto", hide_possible_values = true)]
    pub unwind: Unwind,
    /// Copy so much of a user stack, 512 to 32760
    #[arg(long, value_name = "BYTES", default_value = DEFAULT_STACK_BYTES)]
    pub stack_bytes: String,
    /// Measure only on these CPUs, such as 0-3,8 [default: all]
    #[arg(long, value_name = "LIST")]
    pub cpu: Option<String>,
    /// Keep of deaths functions only: no registers, addresses or mappings
    #[arg(long)]
    pub no_memory: bool,
    /// Print the summary as JSON instead of tables
    #[arg(long)]
    pub json: bool,
    /// Show idle calls and waits among the others, by their time
    #[arg(long, conflicts_with = "no_idle")]
    pub idle: bool,
    /// Leave idle waits (epoll, nanosleep …) out of tables and pictures
    #[arg(long)]
    pub no_idle: bool,
    #[command(flatten)]
    pub verbosity: Verbosity,
    /// Exit with CMD's code, or 128 + its signal [default: 0]
    #[arg(long, requires = "command")]
    pub exit_code: bool,
    /// Start this command, and record until it ends
    #[arg(last = true, value_name = "CMD")]
    pub command: Vec<OsString>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Unwind {
    Auto,
    Dwarf,
    Fp,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    Text,
    Json,
    Folded,
    Svg,
    Heat,
    Html,
    Export(ExportFormat),
}

impl ValueEnum for Format {
    fn value_variants<'a>() -> &'a [Self] {
        static ALL: LazyLock<Vec<Format>> = LazyLock::new(|| {
            let own = [Format::Text, Format::Json, Format::Folded, Format::Svg, Format::Heat, Format::Html];
            own.into_iter().chain(ExportFormat::ALL.iter().copied().map(Format::Export)).collect()
        });
        &ALL
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(PossibleValue::new(match self {
            Self::Text => "text",
            Self::Json => "json",
            Self::Folded => "folded",
            Self::Svg => "svg",
            Self::Heat => "heat",
            Self::Html => "html",
            Self::Export(format) => format.name(),
        }))
    }
}

#[derive(Debug, Args)]
pub(super) struct Report {
    /// A capture, or the directory of `record -o` that holds one
    #[arg(value_name = "CAPTURE")]
    pub capture: PathBuf,
    /// Print text, json, html, folded, svg, heat, or one below
    #[arg(long, value_name = "FORMAT", default_value = "text", hide_possible_values = true)]
    pub format: Format,
    #[arg(long, value_name = "NAME", help = picture_help())]
    pub probe: Option<String>,
    /// Show idle calls and waits among the others, by their time
    #[arg(long, conflicts_with = "no_idle")]
    pub idle: bool,
    /// Leave idle waits (epoll, nanosleep …) out of tables and pictures
    #[arg(long)]
    pub no_idle: bool,
    /// Name code by files of the same build (build-id) in this directory
    #[arg(long, value_name = "DIR")]
    pub symbols: Option<PathBuf>,
    /// Replace paths, arguments, addresses and host names, the same everywhere
    #[arg(long)]
    pub redact: bool,
    /// Write report.html, summary.json, *.folded, *.svg here; print their paths
    #[arg(short, long, value_name = "DIR", conflicts_with_all = ["format", "probe"])]
    pub output: Option<PathBuf>,
    #[command(flatten)]
    pub verbosity: Verbosity,
}

#[derive(Debug, Args)]
pub(super) struct Diff {
    /// The recording before: a capture, its directory, or a stretch of it such as out@10s..20s
    #[arg(value_name = "BEFORE")]
    pub before: String,
    /// The recording after
    #[arg(value_name = "AFTER")]
    pub after: String,
    /// Exit with 4 if this holds, such as 'p99(sendto) > +20%'
    #[arg(long, value_name = "CONDITION")]
    pub fail_if: Vec<String>,
    /// Print JSON instead of tables
    #[arg(long)]
    pub json: bool,
    /// Write diff.json and differential flame graphs here
    #[arg(short, long, value_name = "DIR")]
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
