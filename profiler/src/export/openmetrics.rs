//! OpenMetrics: histograms of calls, locks, hooks and waits, for Prometheus by `promtool tsdb create-blocks-from openmetrics`.
//!
//! In: rows. Out: text with one time, that of the recording's end. Processes of one name in one container are one series: their
//! ids would make a series each. Notes are a family of their own, and so are losses.

use std::collections::BTreeMap;
use std::io::{self, BufWriter, Write};

use super::notes::{notes, target};
use super::openmetrics_text::{Text, seconds};
use crate::probe::Picture;
use crate::profile::{Histogram, Pid, Profile};
use crate::render::fold::Folder;
use crate::render::ranked::Ranked;
use crate::render::syscalls::{self, NO_CALL};
use crate::render::window::Window;
use crate::render::{Rendering, clean};

/// A series: container, process, then what is measured.
type Key = (String, String, String, String);

/// Writes the metrics.
///
/// # Errors
/// What the writer returns.
pub fn write(rendering: &Rendering<'_>, _: Option<Picture>, out: &mut dyn Write) -> anyhow::Result<()> {
    let profile = rendering.profile();
    let start = u128::from(profile.header.started_unix_s) * 1_000_000_000;
    let mut buffered = BufWriter::new(out);
    let mut text = Text::new(&mut buffered, start + u128::from(profile.duration_ns));
    about(rendering, &mut text)?;
    let ranked = Ranked::new(profile, &mut Folder::new(profile));
    calls(profile, &ranked, &mut text)?;
    locks(profile, &ranked, &mut text)?;
    hooks(profile, &ranked, &mut text)?;
    waits(profile, &mut text)?;
    samples(profile, &mut text)?;
    text.end()?;
    Ok(buffered.flush()?)
}

fn about(rendering: &Rendering<'_>, text: &mut Text<'_>) -> io::Result<()> {
    let profile = rendering.profile();
    text.family("profiler_recorded_seconds", "gauge", "seconds", "Recorded time.")?;
    text.sample("profiler_recorded_seconds", &[], &seconds(u128::from(profile.duration_ns)))?;
    text.family("profiler_capture", "info", "", "Whose recording it is, and what is missing from it.")?;
    for (place, note) in notes(rendering).iter().enumerate() {
        let labels = [("place", &*place.to_string()), ("about", note.key), ("text", &*note.text)];
        text.sample("profiler_capture_info", &labels, "1")?;
    }
    text.family("profiler_events_not_in_rows", "gauge", "", "Losses, and classes beside them.")?;
    for (class, events) in profile.ledger.occurred() {
        let kind = format!("{:?}", class.kind()).to_lowercase();
        let labels = [("class", class.text()), ("kind", kind.as_str())];
        text.sample("profiler_events_not_in_rows", &labels, &events.to_string())?;
    }
    text.family(
        "profiler_kernel_counter_change",
        "gauge",
        "",
        "How far a counter of the kernel went; units are in names.",
    )?;
    for (name, change) in Window::new(profile).deltas() {
        let name = clean::name(name);
        text.sample("profiler_kernel_counter_change", &[("counter", &name)], &change.to_string())?;
    }
    Ok(())
}

/// Sums of one family by series.
#[derive(Default)]
struct Series(BTreeMap<Key, Histogram>);

impl Series {
    fn add(&mut self, profile: &Profile, pid: Pid, (name, detail): (String, String), times: &Histogram) {
        let process = match pid {
            Pid(0) => "interrupt".to_owned(),
            pid => clean::name(profile.processes.comm(pid)).into_owned(),
        };
        let container = clean::name(profile.processes.container(pid)).into_owned();
        self.0.entry((container, process, name, detail)).or_default().merge(times);
    }

    fn write(&self, text: &mut Text<'_>, family: &str, names: (&str, &str)) -> io::Result<()> {
        for ((container, process, name, detail), times) in &self.0 {
            let labels = [
                ("container", container.as_str()),
                ("process", process.as_str()),
                (names.0, name.as_str()),
                (names.1, detail.as_str()),
            ];
            text.histogram(family, &labels, times)?;
        }
        Ok(())
    }
}

fn calls(profile: &Profile, ranked: &Ranked<'_>, text: &mut Text<'_>) -> io::Result<()> {
    const NAME: &str = "profiler_syscall_latency_seconds";
    text.family(NAME, "histogram", "seconds", "System calls, from enter to exit.")?;
    let mut series = Series::default();
    for line in &ranked.syscalls {
        let what = (line.name.clone().into_owned(), line.class.name().to_owned());
        series.add(profile, line.pid, what, &line.row.latency);
    }
    series.write(text, NAME, ("syscall", "class"))
}

fn locks(profile: &Profile, ranked: &Ranked<'_>, text: &mut Text<'_>) -> io::Result<()> {
    const NAME: &str = "profiler_lock_wait_seconds";
    text.family(NAME, "histogram", "seconds", "Waits for kernel locks.")?;
    let mut series = Series::default();
    for line in &ranked.locks {
        let lock = format!("{} [{}]", line.kind.name(), clean::name(&line.name.lock));
        series.add(profile, line.pid, (lock, clean::name(&line.name.caller).into_owned()), &line.wait);
    }
    series.write(text, NAME, ("lock", "caller"))
}

fn hooks(profile: &Profile, ranked: &Ranked<'_>, text: &mut Text<'_>) -> io::Result<()> {
    const NAME: &str = "profiler_lsm_hook_seconds";
    text.family(
        NAME,
        "histogram",
        "seconds",
        "Hooks of the security layer; module is empty for the hook itself.",
    )?;
    let mut series = Series::default();
    for line in &ranked.lsm {
        let (hook, module) = (clean::name(&line.site.hook), clean::name(&line.site.module));
        series.add(profile, line.pid, (hook.into_owned(), module.into_owned()), &line.time);
    }
    series.write(text, NAME, ("hook", "module"))
}

fn waits(profile: &Profile, text: &mut Text<'_>) -> io::Result<()> {
    const NAME: &str = "profiler_off_cpu_wait_seconds";
    text.family(NAME, "histogram", "seconds", "Waits off the CPU.")?;
    let mut series = Series::default();
    for (key, waits) in &profile.waits.rows {
        let call = key.nr.map_or(NO_CALL.into(), syscalls::name).into_owned();
        series.add(profile, key.pid, (call, key.wait.name().to_owned()), waits);
    }
    series.write(text, NAME, ("syscall", "state"))
}

fn samples(profile: &Profile, text: &mut Text<'_>) -> io::Result<()> {
    let mut sums: BTreeMap<(String, String), u64> = BTreeMap::new();
    for (key, row) in &profile.cpu.rows {
        let processes = &profile.processes;
        let who = (
            clean::name(processes.container(key.pid)).into_owned(),
            clean::name(processes.comm(key.pid)).into_owned(),
        );
        let sum = sums.entry(who).or_default();
        *sum = sum.saturating_add(row.samples);
    }
    text.family(
        "profiler_cpu_samples",
        "gauge",
        "",
        "CPU samples; at 99 Hz, 99 are one CPU for one second.",
    )?;
    for ((container, process), samples) in sums {
        let labels = [("container", container.as_str()), ("process", process.as_str())];
        text.sample("profiler_cpu_samples", &labels, &samples.to_string())?;
    }
    let target = target(profile);
    let frequency = profile.header.frequency_hz.to_string();
    text.family("profiler_sampling_frequency_hertz", "gauge", "hertz", "CPU samples a second and CPU.")?;
    text.sample("profiler_sampling_frequency_hertz", &[("target", &target)], &frequency)
}
