//! The validated configuration: what `command` runs on. Its defaults are in `defaults`.
//!
//! In: arguments as typed. Out: [`Settings`], in which every value is in range, or one line that
//! names the flag and the mend. No I/O: whether a target exists is for `target` to say.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

pub use super::probe::{Picture, Probe, Probes};
use super::{duration, list, typed};
use crate::failure::Failure;

/// One validated command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Settings {
    /// `profiler record`.
    Record(Box<RecordSettings>),
    /// `profiler report`.
    Report(ReportSettings),
    /// `profiler check`.
    Check(ListingSettings),
    /// `profiler targets`.
    Targets(ListingSettings),
    /// The hidden `profiler bench-floor`, with the kind of floor.
    BenchFloor(String),
}

impl Settings {
    /// How much to say on stderr: below 0 less, above 0 more.
    pub fn verbosity(&self) -> i8 {
        match self {
            Self::Record(settings) => settings.verbosity,
            Self::Report(settings) => settings.verbosity,
            Self::Check(settings) | Self::Targets(settings) => settings.verbosity,
            Self::BenchFloor(_) => 0,
        }
    }
}

/// `profiler record`. Target kinds AND, repeats OR; all empty is the whole machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordSettings {
    /// Container names or beginnings of ids.
    pub containers: Vec<String>,
    /// Pods, `NAME` or `NAMESPACE/NAME`.
    pub pods: Vec<String>,
    /// cgroup paths.
    pub cgroups: Vec<PathBuf>,
    /// systemd units.
    pub units: Vec<String>,
    /// Processes.
    pub pids: Vec<u32>,
    /// Command names, at most 15 bytes each, as the kernel keeps them.
    pub comms: Vec<String>,
    /// Probes to run; at least one.
    pub probes: Probes,
    /// Backends that are forced, `PROBE=NAME` or `PROBE.PART=NAME` as typed.
    pub backends: Vec<String>,
    /// LSM hooks to time, without `security_`; empty: those of sockets.
    pub lsm_hooks: Vec<String>,
    /// Recorded time, above zero; none: until Ctrl-C or the command's end.
    pub duration: Option<Duration>,
    /// Calls at least this long keep their stacks; zero: all.
    pub slow: Duration,
    /// Directory for capture and pictures.
    pub output: Option<PathBuf>,
    /// CPU samples a second, 1..=9999.
    pub frequency_hz: u64,
    /// CPUs to measure, sorted, each once; none: all.
    pub cpus: Option<Vec<u32>>,
    /// Below 0 less, above 0 more on stderr.
    pub verbosity: i8,
    /// JSON instead of tables on stdout.
    pub json: bool,
    /// Idle waits are left out of tables and pictures; the capture and `summary.json` hold them.
    pub no_idle: bool,
    /// Switches to ignore on purpose, of 1,000.
    pub ignore_switches: u32,
    /// Comings to a CPU to ignore on purpose, of 1,000.
    pub ignore_arrivals: u32,
    /// Command to start; empty: none.
    pub command: Vec<OsString>,
    /// The arguments as typed, without the program's name.
    pub arguments: Vec<String>,
}

/// What `profiler report` prints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReportFormat {
    /// Tables.
    Text,
    /// The summary.
    Json,
    /// Folded stacks.
    Folded(Picture),
    /// A flame graph.
    Svg(Picture),
    /// Heat maps of the latencies of system calls.
    Heat,
}

/// `profiler report`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReportSettings {
    /// The capture, or the directory that holds it.
    pub capture: PathBuf,
    /// What goes to stdout; not used with `output`.
    pub format: ReportFormat,
    /// Idle waits are left out of tables and pictures.
    pub no_idle: bool,
    /// Directory that all pictures are written to.
    pub output: Option<PathBuf>,
    /// Below 0 less, above 0 more on stderr.
    pub verbosity: i8,
}

/// `profiler check` and `profiler targets`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListingSettings {
    /// JSON instead of a table.
    pub json: bool,
    /// Below 0 less, above 0 more on stderr.
    pub verbosity: i8,
}

/// Validates what was typed; `words` are the same arguments as text.
///
/// # Errors
/// `Usage`, naming the flag and the mend.
pub(super) fn validate(typed: typed::Arguments, words: Vec<String>) -> Result<Settings, Failure> {
    Ok(match typed.command {
        typed::Command::Record(typed) => Settings::Record(Box::new(record(*typed, words)?)),
        typed::Command::Report(typed) => Settings::Report(report(typed)?),
        typed::Command::Check(typed) => Settings::Check(listing(&typed)),
        typed::Command::Targets(typed) => Settings::Targets(listing(&typed)),
        typed::Command::BenchFloor(typed) => Settings::BenchFloor(typed.kind),
    })
}

fn record(typed: typed::Record, arguments: Vec<String>) -> Result<RecordSettings, Failure> {
    for (flag, names) in [
        ("--container", &typed.container),
        ("--pod", &typed.pod),
        ("--unit", &typed.unit),
        ("--comm", &typed.comm),
    ] {
        names.iter().try_for_each(|name| named(flag, name))?;
    }
    if typed.cgroup.iter().any(|path| path.as_os_str().is_empty()) {
        return Err(wrong("--cgroup", "it is empty; give a path such as /system.slice"));
    }
    if typed.output.as_ref().is_some_and(|path| path.as_os_str().is_empty()) {
        return Err(wrong("--output", "it is empty; give a directory"));
    }
    let limit =
        typed.duration.as_deref().map(|text| flag("--duration", duration::parse(text))).transpose()?;
    if limit == Some(Duration::ZERO) {
        return Err(wrong("--duration", "0 records nothing; leave it out to record until Ctrl-C"));
    }
    let probes = flag("--probe", list::probes(&typed.probe))?;
    if !typed.lsm_hooks.is_empty() && !probes.lsm {
        return Err(wrong("--lsm-hooks", "the lsm probe is off; add lsm to --probe"));
    }
    let pids: Result<Vec<u32>, String> = typed.pid.iter().map(|text| list::pid(text)).collect();
    Ok(RecordSettings {
        containers: typed.container,
        pods: typed.pod,
        cgroups: typed.cgroup,
        units: typed.unit,
        pids: flag("--pid", pids)?,
        comms: typed.comm,
        probes,
        lsm_hooks: flag("--lsm-hooks", list::hooks(&typed.lsm_hooks))?,
        backends: typed.backend,
        duration: limit,
        slow: flag("--slow", duration::parse(&typed.slow))?,
        output: typed.output,
        frequency_hz: flag("--frequency", frequency(&typed.frequency))?,
        cpus: typed.cpu.as_deref().map(|text| flag("--cpu", list::cpus(text))).transpose()?,
        verbosity: verbosity(&typed.verbosity),
        json: typed.json,
        no_idle: typed.no_idle,
        ignore_switches: typed.ignore_switches,
        ignore_arrivals: typed.ignore_arrivals,
        command: typed.command,
        arguments,
    })
}

fn report(typed: typed::Report) -> Result<ReportSettings, Failure> {
    let probe = typed.probe.as_deref().map(|name| flag("--probe", list::picture(name))).transpose()?;
    let need = || {
        wrong("--format", "folded and svg show one picture: add --probe syscall, lock, offcpu, runq, cpu, …")
    };
    let format = match (typed.format, probe) {
        (typed::Format::Text, None) => ReportFormat::Text,
        (typed::Format::Json, None) => ReportFormat::Json,
        (typed::Format::Heat, None | Some(Picture::Probe(Probe::Syscall))) => ReportFormat::Heat,
        (typed::Format::Heat, Some(_)) => {
            return Err(wrong("--probe", "--format heat shows system calls; leave it out"));
        }
        (typed::Format::Folded, probe) => ReportFormat::Folded(probe.ok_or_else(need)?),
        (typed::Format::Svg, probe) => ReportFormat::Svg(probe.ok_or_else(need)?),
        (typed::Format::Text | typed::Format::Json, Some(_)) => {
            return Err(wrong("--probe", "it goes with --format folded or --format svg; leave it out"));
        }
    };
    if typed.output.as_ref().is_some_and(|path| path.as_os_str().is_empty()) {
        return Err(wrong("--output", "it is empty; give a directory"));
    }
    let verbosity = verbosity(&typed.verbosity);
    Ok(ReportSettings {
        capture: typed.capture,
        format,
        no_idle: typed.no_idle,
        output: typed.output,
        verbosity,
    })
}

fn listing(typed: &typed::Listing) -> ListingSettings {
    ListingSettings { json: typed.json, verbosity: verbosity(&typed.verbosity) }
}

fn verbosity(typed: &typed::Verbosity) -> i8 {
    let steps = |count: u8| i8::try_from(count.min(3)).unwrap_or(3);
    steps(typed.verbose) - steps(typed.quiet)
}

fn frequency(text: &str) -> Result<u64, String> {
    let hertz = text.parse().ok().filter(|hertz| (1..=9999).contains(hertz));
    hertz.ok_or_else(|| format!("{text:?} is not a number of samples a second from 1 to 9999"))
}

/// A target's name must be there, and no longer than the kernel keeps one.
fn named(flag: &str, name: &str) -> Result<(), Failure> {
    if name.is_empty() {
        return Err(wrong(flag, "it is empty; `profiler targets` lists the names"));
    }
    if flag == "--comm" && name.len() > 15 {
        let kept = name.char_indices().map(|(at, c)| at + c.len_utf8()).take_while(|end| *end <= 15).last();
        let kept = &name[..kept.unwrap_or(0)];
        return Err(wrong(
            flag,
            &format!("the kernel keeps 15 bytes of a command name; write --comm {kept:?}"),
        ));
    }
    Ok(())
}

fn flag<T>(name: &str, value: Result<T, String>) -> Result<T, Failure> {
    value.map_err(|why| wrong(name, &why))
}

fn wrong(flag: &str, why: &str) -> Failure {
    Failure::Usage(format!("{flag}: {why}"))
}
