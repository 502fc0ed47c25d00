//! `profiler record`: measure, then write a capture and its pictures.
//!
//! In: validated settings. Out: the summary on stdout, files in the output directory.

mod ahead;
mod context;
mod copied;
mod death;
mod disks;
mod dying;
mod ended;
mod fault;
mod follow;
mod haste;
mod header;
mod identity;
mod launch;
mod limits;
mod losses;
mod nameless;
mod output;
mod overrun;
mod progress;
mod recorder;
mod scope;
mod stop;
mod stream;

use std::time::{Duration, Instant};

use anyhow::Context as _;

use crate::attach::{Attached, LSM_HOOKS, LsmRequest, Object, Request};
use crate::cli::settings::RecordSettings;
use crate::collect::Meter;
use crate::failure::Failure;
use crate::probe::Probe;
use ahead::SLICE;
use haste::Haste;
use header::Plan;
use launch::Launched;
use limits::Limits;
use output::Output;
use progress::Progress;
use recorder::Recorder;
use stop::{Impatience, Stop};

/// Rows are drained this often.
const INTERVAL: Duration = Duration::from_secs(1);
/// Processes without a name are asked for again after this.
const ASK_AGAIN: Duration = Duration::from_millis(10);
/// CPUs that come and go are looked for this often.
const LOOK_FOR_CPUS: Duration = Duration::from_millis(100);
/// Program run time is measured in one window of so many intervals.
const WINDOW_EVERY: u32 = 4;

/// Runs `profiler record`; its exit code, which is the command's if that was asked for.
///
/// # Errors
/// See [`Failure`]: usage when the target matches nothing, privilege when the kernel refuses.
pub fn run(settings: &RecordSettings) -> Result<u8, Failure> {
    run_with(settings, Object::own()?)
}

/// Runs it with another kernel side than the tool's own.
///
/// # Errors
/// As [`run`].
pub fn run_with(settings: &RecordSettings, object: Object) -> Result<u8, Failure> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().context("starting tokio")?;
    runtime.block_on(record(settings, object)).map_err(limits::explain)
}

async fn record(settings: &RecordSettings, object: Object) -> Result<u8, Failure> {
    online(settings.cpus.as_deref())?;
    // Before anything is attached: what is typed wrongly is told at once.
    header::forced(settings)?;
    let launched = Launched::prepare(&settings.command)?;
    // After the fork: the command must not inherit it.
    let haste = Haste::begin();
    let scope = scope::resolve(settings, launched.as_ref())?;
    let mut stop = Stop::new()?;
    // Before the output: who may not measure at all is told that, and not about a directory.
    let limits = Limits::read(settings);
    let mut probes = Attached::start(request(settings, &scope, (&limits, object)))?;
    let output = Output::create(settings)?;
    let plan = Plan::new(settings, limits)?;
    probes.complete(&plan.assessments)?;
    let meter = Meter::new(online_cpus(), possible_cpus());
    let mut recorder = Recorder::new(settings, scope, (probes, plan), meter, output)?;
    let mut progress = Progress::new(settings);
    if settings.wait && !recorder.has_target() {
        wait(&mut recorder, &mut stop, &progress).await?;
        recorder.begin(true)?;
    } else {
        recorder.begin(false)?;
    }
    let mut launched = launched.map(Launched::start).transpose()?;
    stop.start(settings.duration);
    let finished = measure(&mut recorder, &mut stop, &mut launched, &mut progress).await;
    progress.clear();
    launch::tell_running(launched.as_ref());
    let told = recorder.tell_last_deaths().await;
    drop(haste);
    // Whatever ended the loop, what was measured is kept.
    let result = recorder.finish(settings, Impatience::watch()).await;
    let ended = finished?.or_else(|| launch::ended_by_now(launched.as_ref()));
    result.and(told)?;
    if settings.exit_code && ended.is_none() {
        tracing::warn!("--exit-code: the command goes on, and has no exit code yet");
    }
    Ok(ended.filter(|_| settings.exit_code).unwrap_or(0))
}

/// Waits until the target is there.
async fn wait(recorder: &mut Recorder, stop: &mut Stop, progress: &Progress) -> Result<(), Failure> {
    progress.waiting(&recorder.awaited());
    while !recorder.has_target() {
        tokio::select! {
            biased;
            () = stop.wait() => {
                progress.clear();
                let line = format!("nothing measured: {} did not come", crate::render::clean::name(&recorder.awaited()));
                return Err(Failure::Usage(line));
            }
            result = recorder.events() => result?,
            () = tokio::time::sleep(ASK_AGAIN), if recorder.awaits_names() => recorder.ask_again(),
        }
    }
    Ok(())
}

/// The recording loop: drains until something says stop; the command's code if its end did.
async fn measure(
    recorder: &mut Recorder,
    stop: &mut Stop,
    launched: &mut Option<launch::Running>,
    progress: &mut Progress,
) -> Result<Option<u8>, Failure> {
    let start = Instant::now();
    let mut tick = tokio::time::interval_at(tokio::time::Instant::now() + INTERVAL, INTERVAL);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut look = tokio::time::interval(LOOK_FOR_CPUS);
    look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    recorder.interval().await?;
    let mut window_end = recorder.open_window();
    let mut intervals = 0u32;
    loop {
        tokio::select! {
            biased;
            () = stop.wait() => return Ok(None),
            result = launch::ended(launched) => return result.map(Some),
            result = recorder.events() => {
                result?;
                if recorder.has_deaths_to_tell() {
                    progress.clear();
                    recorder.tell_deaths().await?;
                }
            }
            () = tokio::time::sleep_until(window_end.into()), if recorder.window_open() => recorder.close_window().await?,
            () = tokio::time::sleep(ASK_AGAIN), if recorder.awaits_names() => recorder.ask_again(),
            () = tokio::task::yield_now(), if recorder.looks_ahead() => recorder.look_ahead(SLICE),
            _ = look.tick() => recorder.look(),
            _ = tick.tick() => {
                recorder.interval().await?;
                if recorder.is_full() {
                    return Ok(None);
                }
                intervals += 1;
                if intervals < WINDOW_EVERY || intervals.is_multiple_of(WINDOW_EVERY) {
                    window_end = recorder.open_window();
                }
                progress.show(start.elapsed(), recorder.profile());
            }
        }
    }
}

fn request(settings: &RecordSettings, scope: &scope::Scope, (limits, object): (&Limits, Object)) -> Request {
    Request {
        probes: settings.probes,
        lsm: settings.probes.has(Probe::Lsm).then(|| lsm_request(settings, scope)),
        slow: settings.slow,
        frequency_hz: limits.frequency_hz,
        stack_frames: limits.stack_frames,
        copy_bytes: settings.copies(),
        cpus: settings.cpus.clone(),
        object,
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
            crate::machine::fact("/sys/devices/system/cpu/online")
                .known()
                .map_or("unknown (not readable)", |list| list.trim())
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
