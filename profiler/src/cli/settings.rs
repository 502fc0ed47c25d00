//! The validated configuration: what `command` runs on. Its defaults are in `defaults`.
//!
//! In: arguments as typed. Out: [`Settings`], in which every value is in range, or one line that
//! names the flag and says what to write. No I/O: `target` finds out whether a target exists.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use profiler_common::copy::{STACK_BYTES, STACK_BYTES_LEAST};

pub use super::stretch::Stretch;
use super::{crash, duration, list, shell, size, stretch, typed};
use crate::failure::Failure;
use crate::format::ExportFormat;
use crate::probe::{Picture, Probe, Probes, picture_names};

/// One validated command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Settings {
    /// `profiler record`, and `profiler crash`.
    Record(Box<RecordSettings>),
    /// `profiler report`.
    Report(ReportSettings),
    /// `profiler diff`.
    Diff(DiffSettings),
    /// `profiler check`.
    Check(ListingSettings),
    /// `profiler targets`.
    Targets(ListingSettings),
    /// `profiler completions` and `profiler man`: this text.
    Print(String),
}

impl Settings {
    /// How much to say on stderr: below 0 less, above 0 more.
    pub fn verbosity(&self) -> i8 {
        match self {
            Self::Record(settings) => settings.verbosity,
            Self::Report(settings) => settings.verbosity,
            Self::Diff(settings) => settings.verbosity,
            Self::Check(settings) | Self::Targets(settings) => settings.verbosity,
            Self::Print(_) => 0,
        }
    }
}

/// Where idle calls and waits stand in tables.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum IdleRows {
    /// In tables of their own, behind the others and shorter.
    #[default]
    Apart,
    /// Nowhere (`--no-idle`).
    LeftOut,
    /// Among the others (`--idle`).
    Among,
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
    /// Names of processes, at most 15 bytes each, as the kernel keeps them.
    pub comms: Vec<String>,
    /// Patterns on threads' names.
    pub threads: Vec<String>,
    /// What matches nothing yet is waited for.
    pub wait: bool,
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
    /// Bytes that the capture may take.
    pub max_size: u64,
    /// Directory for capture and pictures; `-`: the capture goes to stdout.
    pub output: Option<PathBuf>,
    /// CPU samples a second, 1..=9999.
    pub frequency_hz: u64,
    /// How user stacks are walked.
    pub unwind: Unwind,
    /// Bytes of a user stack that are copied at most, [`STACK_BYTES_LEAST`] to [`STACK_BYTES`].
    pub stack_bytes: u32,
    /// Of deaths only functions are kept.
    pub no_memory: bool,
    /// Each death is printed as it happens.
    pub tells_deaths: bool,
    /// CPUs to measure, sorted, each once; none: all.
    pub cpus: Option<Vec<u32>>,
    /// Below 0 less, above 0 more on stderr.
    pub verbosity: i8,
    /// JSON instead of tables on stdout.
    pub json: bool,
    /// Where idle calls and waits stand; the capture and `summary.json` hold them always.
    pub idle: IdleRows,
    /// Command to start; empty: none.
    pub command: Vec<OsString>,
    /// The exit code is the command's.
    pub exit_code: bool,
    /// The arguments as typed, without the program's name.
    pub arguments: Vec<String>,
}

/// How user stacks are walked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unwind {
    /// By unwind tables, joined with what frame pointers tell; of a stack whose beginning is known, no more is copied.
    Auto,
    /// The same, with copies of full size.
    Tables,
    /// By the kernel, along frame pointers.
    FramePointers,
}

impl RecordSettings {
    /// Bytes of a user stack that are copied at most; none when none are copied.
    pub fn copies(&self) -> Option<u32> {
        (self.unwind != Unwind::FramePointers).then_some(self.stack_bytes)
    }
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
    /// The page.
    Html,
    /// The format of another tool; of one picture, or of all.
    Export(ExportFormat, Option<Picture>),
}

/// `profiler report`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReportSettings {
    /// The capture, or the directory that holds it.
    pub capture: PathBuf,
    /// What goes to stdout; not used with `output`.
    pub format: ReportFormat,
    /// Where idle calls and waits stand.
    pub idle: IdleRows,
    /// Directory with files that name code by their build-ids.
    pub symbols: Option<PathBuf>,
    /// Paths, arguments, addresses and host names are replaced.
    pub redact: bool,
    /// Directory that all pictures are written to.
    pub output: Option<PathBuf>,
    /// Below 0 less, above 0 more on stderr.
    pub verbosity: i8,
}

/// `profiler diff`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiffSettings {
    /// The recording before.
    pub before: Stretch,
    /// The recording after.
    pub after: Stretch,
    /// Conditions as typed.
    pub fail_if: Vec<String>,
    /// JSON instead of tables on stdout.
    pub json: bool,
    /// Directory for `diff.json` and pictures.
    pub output: Option<PathBuf>,
    /// Below 0 less, above 0 more: all rows.
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
/// `Usage`, which names the flag and says what to write.
pub(super) fn validate(typed: typed::Arguments, words: Vec<String>) -> Result<Settings, Failure> {
    Ok(match typed.command {
        typed::Command::Record(typed) => Settings::Record(Box::new(record(*typed, words)?)),
        typed::Command::Crash(typed) => {
            let settings = record(crash::as_record(*typed)?, words)?;
            Settings::Record(Box::new(RecordSettings { tells_deaths: true, ..settings }))
        }
        typed::Command::Report(typed) => Settings::Report(report(typed)?),
        typed::Command::Diff(typed) => Settings::Diff(diff(typed)?),
        typed::Command::Check(typed) => Settings::Check(listing(&typed)),
        typed::Command::Targets(typed) => Settings::Targets(listing(&typed)),
        typed::Command::Completions { shell } => Settings::Print(shell::completions(shell)),
        typed::Command::Man { command } => Settings::Print(shell::manual(command.as_deref())?),
    })
}

fn record(typed: typed::Record, arguments: Vec<String>) -> Result<RecordSettings, Failure> {
    let target = typed.target;
    for (flag, names) in [
        ("--container", &target.container),
        ("--pod", &target.pod),
        ("--unit", &target.unit),
        ("--comm", &target.comm),
        ("--thread", &target.thread),
    ] {
        names.iter().try_for_each(|name| named(flag, name))?;
    }
    if target.cgroup.iter().any(|path| path.as_os_str().is_empty()) {
        return Err(wrong("--cgroup", "it is empty; give a path such as /system.slice"));
    }
    if typed.output.as_ref().is_some_and(|path| path.as_os_str().is_empty()) {
        return Err(wrong("--output", "it is empty; give a directory"));
    }
    let streams = typed.output.as_ref().is_some_and(|path| path.as_os_str() == "-");
    if streams && typed.json {
        return Err(wrong("--json", "with -o - the capture goes to stdout; leave one of them out"));
    }
    let limit =
        typed.duration.as_deref().map(|text| flag("--duration", duration::parse(text))).transpose()?;
    if limit == Some(Duration::ZERO) {
        return Err(wrong("--duration", "0 records nothing; leave it out to record until Ctrl-C"));
    }
    let named = [&target.container, &target.pod, &target.unit].iter().any(|names| !names.is_empty());
    if target.wait && !named && target.cgroup.is_empty() {
        return Err(wrong("--wait", "it waits for a --container, --pod, --unit or --cgroup; name one"));
    }
    let probes = flag("--probe", list::probes(&typed.probe))?;
    if !typed.lsm_hooks.is_empty() && !probes.has(Probe::Lsm) {
        return Err(wrong("--lsm-hooks", "the lsm probe is off; add lsm to --probe"));
    }
    let pids: Result<Vec<u32>, String> = target.pid.iter().map(|text| list::pid(text)).collect();
    Ok(RecordSettings {
        containers: target.container,
        pods: target.pod,
        cgroups: target.cgroup,
        units: target.unit,
        pids: flag("--pid", pids)?,
        comms: target.comm,
        threads: target.thread,
        wait: target.wait,
        probes,
        lsm_hooks: flag("--lsm-hooks", list::hooks(&typed.lsm_hooks))?,
        backends: typed.backend,
        duration: limit,
        slow: flag("--slow", duration::parse(&typed.slow))?,
        max_size: flag("--max-size", size::parse(&typed.max_size))?,
        output: typed.output,
        frequency_hz: flag("--frequency", frequency(&typed.frequency))?,
        unwind: match typed.unwind {
            typed::Unwind::Auto => Unwind::Auto,
            typed::Unwind::Dwarf => Unwind::Tables,
            typed::Unwind::Fp => Unwind::FramePointers,
        },
        stack_bytes: flag("--stack-bytes", stack_bytes(&typed.stack_bytes))?,
        no_memory: typed.no_memory,
        tells_deaths: false,
        cpus: typed.cpu.as_deref().map(|text| flag("--cpu", list::cpus(text))).transpose()?,
        verbosity: verbosity(&typed.verbosity),
        json: typed.json,
        idle: idle_rows(typed.idle, typed.no_idle),
        command: typed.command,
        exit_code: typed.exit_code,
        arguments,
    })
}

const fn idle_rows(idle: bool, no_idle: bool) -> IdleRows {
    match (idle, no_idle) {
        (_, true) => IdleRows::LeftOut,
        (true, false) => IdleRows::Among,
        (false, false) => IdleRows::Apart,
    }
}

fn report(typed: typed::Report) -> Result<ReportSettings, Failure> {
    let probe = typed.probe.as_deref().map(|name| flag("--probe", list::picture(name))).transpose()?;
    let need = || {
        let names = picture_names().join(", ");
        wrong("--format", &format!("folded and svg show one picture: add --probe with one of {names}"))
    };
    let format = match (typed.format, probe) {
        (typed::Format::Text, None) => ReportFormat::Text,
        (typed::Format::Json, None) => ReportFormat::Json,
        (typed::Format::Html, None) => ReportFormat::Html,
        (typed::Format::Heat, None | Some(Picture::Syscall)) => ReportFormat::Heat,
        (typed::Format::Heat, Some(_)) => {
            return Err(wrong("--probe", "--format heat shows system calls; leave it out"));
        }
        (typed::Format::Export(format), Some(_)) if !format.has_pictures() => {
            let text = format!("--format {} has no pictures to choose from; leave it out", format.name());
            return Err(wrong("--probe", &text));
        }
        (typed::Format::Export(format), probe) => ReportFormat::Export(format, probe),
        (typed::Format::Folded, probe) => ReportFormat::Folded(probe.ok_or_else(need)?),
        (typed::Format::Svg, probe) => ReportFormat::Svg(probe.ok_or_else(need)?),
        (typed::Format::Text | typed::Format::Json | typed::Format::Html, Some(_)) => {
            return Err(wrong("--probe", "it goes with --format folded or --format svg; leave it out"));
        }
    };
    directory(typed.output.as_deref())?;
    Ok(ReportSettings {
        capture: typed.capture,
        format,
        idle: idle_rows(typed.idle, typed.no_idle),
        symbols: typed.symbols,
        redact: typed.redact,
        output: typed.output,
        verbosity: verbosity(&typed.verbosity),
    })
}

fn diff(typed: typed::Diff) -> Result<DiffSettings, Failure> {
    directory(typed.output.as_deref())?;
    Ok(DiffSettings {
        before: flag("BEFORE", stretch::parse(&typed.before))?,
        after: flag("AFTER", stretch::parse(&typed.after))?,
        fail_if: typed.fail_if,
        json: typed.json,
        output: typed.output,
        verbosity: verbosity(&typed.verbosity),
    })
}

/// A directory that files are written to.
fn directory(path: Option<&Path>) -> Result<(), Failure> {
    match path.map(|path| path.as_os_str().as_encoded_bytes()) {
        Some(b"") => Err(wrong("--output", "it is empty; give a directory")),
        Some(b"-") => Err(wrong("--output", "it takes a directory here; without it, all goes to stdout")),
        _ => Ok(()),
    }
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

/// Whole words of the stack.
fn stack_bytes(text: &str) -> Result<u32, String> {
    let bytes = text.parse().ok().filter(|bytes| (STACK_BYTES_LEAST..=STACK_BYTES).contains(bytes));
    bytes
        .map(|bytes: u32| bytes & STACK_BYTES)
        .ok_or_else(|| format!("{text:?} is not a number of bytes from {STACK_BYTES_LEAST} to {STACK_BYTES}"))
}

/// A target's name must be there, and no longer than the kernel keeps one.
fn named(flag: &str, name: &str) -> Result<(), Failure> {
    if name.is_empty() {
        return Err(wrong(flag, "it is empty; `profiler targets` lists the names"));
    }
    if flag == "--comm" && name.len() > 15 {
        let kept = name.char_indices().map(|(at, c)| at + c.len_utf8()).take_while(|end| *end <= 15).last();
        let kept = &name[..kept.unwrap_or(0)];
        let text = format!("the kernel keeps 15 bytes of a command name; write --comm {kept:?}");
        return Err(wrong(flag, &text));
    }
    Ok(())
}

fn flag<T>(name: &str, value: Result<T, String>) -> Result<T, Failure> {
    value.map_err(|why| wrong(name, &why))
}

fn wrong(flag: &str, why: &str) -> Failure {
    Failure::Usage(format!("{flag}: {why}"))
}
