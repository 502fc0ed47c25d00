//! `profiler record`: measure, then write a capture and its pictures.
//!
//! In: validated settings. Out: the summary on stdout, files in the output directory.

mod context;
mod haste;
mod header;
mod identity;
mod launch;
mod losses;
mod nameless;
mod output;
mod progress;
mod recorder;
mod scope;
mod stop;

use std::time::{Duration, Instant};

use anyhow::Context as _;

use crate::cli::settings::RecordSettings;
use crate::collect::Meter;
use crate::failure::Failure;
use crate::probe::{LSM_HOOKS, LsmRequest, Probes, Request};
use haste::Haste;
use header::Plan;
use launch::Launched;
use output::Output;
use progress::Progress;
use recorder::Recorder;
use stop::Stop;

/// Rows are drained this often.
const INTERVAL: Duration = Duration::from_secs(1);
/// Events that come within this time of others share a wake-up.
const COALESCE: Duration = Duration::from_millis(2);
/// Processes without a name are asked for again after this.
const ASK_AGAIN: Duration = Duration::from_millis(10);
/// Program run time is measured in one window of this length …
const WINDOW: Duration = Duration::from_millis(200);
/// … out of this many intervals.
const WINDOW_EVERY: u32 = 4;

/// Runs `profiler record`.
///
/// # Errors
/// See [`Failure`]: usage when the target matches nothing, privilege when the kernel refuses.
pub fn run(settings: &RecordSettings) -> Result<(), Failure> {
    crate::probe::object()?;
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().context("starting tokio")?;
    runtime.block_on(record(settings))
}

async fn record(settings: &RecordSettings) -> Result<(), Failure> {
    online(settings.cpus.as_deref())?;
    // Before anything is attached: what is typed wrongly is told at once.
    header::forced(settings)?;
    let launched = Launched::prepare(&settings.command)?;
    // After the fork: the command must not inherit it.
    let haste = Haste::begin();
    let scope = scope::resolve(settings, launched.as_ref())?;
    let mut stop = Stop::new()?;
    // Before the output: who may not measure at all is told that, and not about a directory.
    let mut probes = Probes::start(request(settings, &scope))?;
    let output = Output::create(settings)?;
    let plan = Plan::new(settings)?;
    probes.complete(&plan.assessments)?;
    let meter = Meter::new(online_cpus(), possible_cpus());
    let mut recorder = Recorder::new(settings, scope, (probes, plan), meter, output)?;
    let mut launched = launched.map(Launched::start).transpose()?;
    stop.start(settings.duration);
    let mut progress = Progress::new(settings);
    let finished = measure(&mut recorder, &mut stop, &mut launched, &mut progress).await;
    progress.clear();
    launch::tell_running(launched.as_ref());
    drop(haste);
    // Whatever ended the loop, what was measured is kept.
    let result = recorder.finish(settings).await;
    finished?;
    result
}

/// The recording loop: drains until something says stop.
async fn measure(
    recorder: &mut Recorder,
    stop: &mut Stop,
    launched: &mut Option<launch::Running>,
    progress: &mut Progress,
) -> Result<(), Failure> {
    let start = Instant::now();
    let mut tick = tokio::time::interval_at(tokio::time::Instant::now() + INTERVAL, INTERVAL);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut window_end = recorder.open_window();
    let mut intervals = 0u32;
    loop {
        tokio::select! {
            biased;
            () = stop.wait() => return Ok(()),
            result = launch::ended(launched) => { result?; return Ok(()) }
            result = recorder.events() => result?,
            () = tokio::time::sleep_until(window_end.into()), if recorder.window_open() => recorder.close_window(),
            () = tokio::time::sleep(ASK_AGAIN), if recorder.awaits_names() => recorder.ask_again(),
            _ = tick.tick() => {
                recorder.interval().await?;
                intervals += 1;
                if intervals.is_multiple_of(WINDOW_EVERY) {
                    window_end = recorder.open_window();
                }
                progress.show(start.elapsed(), recorder.profile());
            }
        }
    }
}

fn request(settings: &RecordSettings, scope: &scope::Scope) -> Request {
    Request {
        syscall: settings.probes.syscall,
        lock: settings.probes.lock,
        lsm: settings.probes.lsm.then(|| lsm_request(settings, scope)),
        offcpu: settings.probes.offcpu,
        runq: settings.probes.runq,
        cpu: settings.probes.cpu,
        slow: settings.slow,
        frequency_hz: settings.frequency_hz,
        cpus: settings.cpus.clone(),
        ignore_switches: settings.ignore_switches,
        ignore_arrivals: settings.ignore_arrivals,
        filter: scope.filter.clone(),
        verbose: settings.verbosity > 0,
        log: settings.verbosity > 1,
    }
}

/// Modules that are looked for where the kernel does not tell which are active.
const UNTOLD_MODULES: [&str; 3] = ["apparmor", "selinux", "smack"];

/// What of the security layer is timed.
fn lsm_request(settings: &RecordSettings, scope: &scope::Scope) -> LsmRequest {
    let hooks = match settings.lsm_hooks.as_slice() {
        [] => LSM_HOOKS.iter().map(|hook| (*hook).to_owned()).collect(),
        named => named.to_vec(),
    };
    let environment = &scope.environment;
    // Functions of the bpf module are empty where nobody has attached a program to them.
    let programs = environment.bpf_lsm_programs > 0;
    let told = !environment.lsms.is_empty();
    let modules = environment.lsms.iter().map(String::as_str).filter(|module| *module != "bpf" || programs);
    let modules: Vec<&str> = if told { modules.collect() } else { UNTOLD_MODULES.to_vec() };
    LsmRequest { hooks, modules: modules.into_iter().map(str::to_owned).collect() }
}

/// Refuses CPUs that cannot be measured.
fn online(asked: Option<&[u32]>) -> Result<(), Failure> {
    let Ok(online) = aya::util::online_cpus() else { return Ok(()) };
    match asked.unwrap_or_default().iter().find(|cpu| !online.contains(cpu)) {
        Some(cpu) => Err(Failure::Usage(format!(
            "--cpu: there is no CPU {cpu} here, or it is offline; online: {}",
            crate::machine::fact("/sys/devices/system/cpu/online").known().map_or("?", |list| list.trim())
        ))),
        None => Ok(()),
    }
}

fn online_cpus() -> u32 {
    aya::util::online_cpus().map_or(1, |cpus| cpus.len() as u32)
}

fn possible_cpus() -> u32 {
    aya::util::nr_cpus().map_or(1, |cpus| cpus as u32)
}
