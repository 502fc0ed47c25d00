//! The machine of the session in a few lines.
//!
//! In: what the capture says about the machine. Out: one paragraph a topic; empty facts are left
//! out, unknown ones are in the paragraph `unknown`, with their reasons. All of it is in `summary.json`.

use std::io;

use super::page::Page;
use super::{clean, humane};
use crate::profile::{CgroupLimits, Environment, Header};

/// Names of a list that are spelled out at most.
const NAMED: usize = 8;
/// Characters of one value at most.
const VALUE: usize = 200;

/// Writes the block.
pub fn write(page: &mut Page<'_>, header: &Header) -> io::Result<()> {
    let environment = &header.environment;
    if *environment == Environment::default() && header.arguments.is_empty() {
        return Ok(());
    }
    page.heading("ENVIRONMENT")?;
    for (topic, text) in [
        ("kernel", kernel(environment, header.started_unix_s)),
        ("boot", clean::line(&environment.command_line, VALUE).into_owned()),
        ("machine", machine(environment)),
        ("security", security(environment)),
        ("tracers", tracers(environment)),
        ("target", target(header)),
        ("modules", modules(environment)),
        ("unknown", not_told(environment)),
        (
            "profiler",
            clean::line(&format!("{} {}", header.version, header.arguments.join(" ")), VALUE).into_owned(),
        ),
    ] {
        if !text.is_empty() {
            page.paragraph(&format!("  {topic:<9}"), &text)?;
        }
    }
    Ok(())
}

/// The parts that say something, separated.
fn joined(parts: impl IntoIterator<Item = String>, by: &str) -> String {
    parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(by)
}

/// `label value`, or nothing without a value.
fn labelled(label: &str, value: &str) -> String {
    match value {
        "" => String::new(),
        value => format!("{label} {}", clean::line(value, VALUE)),
    }
}

fn kernel(environment: &Environment, started_unix_s: u64) -> String {
    let up = match environment.boot_unix_s {
        0 => String::new(),
        boot => format!("up {}", days(started_unix_s.saturating_sub(boot))),
    };
    let words = [&environment.kernel_release, &environment.kernel_version, &environment.machine];
    let name = joined(words.map(|word| clean::line(word, VALUE).into_owned()), " ");
    joined([name, up, labelled("tainted", &environment.tainted)], "; ")
}

/// An uptime: `3 days`, `5 h`, `40 min`.
fn days(seconds: u64) -> String {
    match (seconds / 86_400, seconds / 3600, seconds / 60) {
        (0, 0, minutes) => format!("{minutes} min"),
        (0, hours, _) => format!("{hours} h"),
        (days, ..) => format!("{} days", humane::count(days)),
    }
}

fn machine(environment: &Environment) -> String {
    let cpus = match (environment.cpus_online, environment.cpus_possible) {
        (0, _) => String::new(),
        (online, possible) if possible > online => format!("{online} CPUs of {possible} possible"),
        (online, _) => format!("{online} CPUs"),
    };
    let memory = match environment.memory_bytes {
        0 => String::new(),
        bytes => humane::bytes(bytes),
    };
    let under = match environment.hypervisor.as_str() {
        "none" => "no hypervisor".to_owned(),
        name => labelled("under", name),
    };
    let model = clean::line(&environment.cpu_model, VALUE).into_owned();
    let clock = labelled("clock", &environment.clock_source);
    joined([cpus, model, memory, under, clock, labelled("cgroup", &environment.cgroup_layout)], ", ")
}

fn security(environment: &Environment) -> String {
    let vulnerable: Vec<String> = environment
        .mitigations
        .iter()
        .filter(|(_, state)| state.contains("ulnerable"))
        .map(|(name, _)| name.clone())
        .collect();
    let mitigations = match environment.mitigations.len() {
        0 => String::new(),
        all => {
            format!("{} of {all} CPU weaknesses unmitigated{}", vulnerable.len(), listed(": ", &vulnerable))
        }
    };
    let lsms = labelled("LSMs", &environment.lsms.join(","));
    joined([lsms, labelled("lockdown", &environment.lockdown), mitigations], "; ")
}

/// `: a, b and 3 more`, or nothing.
fn listed(before: &str, names: &[String]) -> String {
    if names.is_empty() {
        return String::new();
    }
    let shown: Vec<_> = names.iter().take(NAMED).map(|name| clean::line(name, 64)).collect();
    let more = match names.len().saturating_sub(NAMED) {
        0 => String::new(),
        more => format!(" and {} more", humane::count(more as u64)),
    };
    format!("{before}{}{more}", shown.join(", "))
}

fn tracers(environment: &Environment) -> String {
    let lsm = match environment.bpf_lsm_programs {
        0 => String::new(),
        1 => "one of them a BPF-LSM program".to_owned(),
        programs => format!("{programs} of them BPF-LSM programs"),
    };
    let tracer = match environment.tracer.as_str() {
        "nop" => String::new(),
        tracer => labelled("ftrace", tracer),
    };
    let asked = !environment.not_told.contains_key("other_bpf_programs") && !environment.hostname.is_empty();
    let programs = match environment.other_bpf_programs.as_slice() {
        [] if asked => "no BPF programs of others".to_owned(),
        programs => listed("BPF programs: ", programs),
    };
    joined(
        [
            programs,
            lsm,
            listed("probes: ", &environment.other_kprobes),
            listed("functions diverted by ftrace: ", &environment.traced_functions),
            tracer,
        ],
        "; ",
    )
}

fn target(header: &Header) -> String {
    let image = header.target.details.iter().filter(|(key, _)| key == "image");
    let images = image.map(|(_, value)| labelled("image", value));
    let limits = header.environment.cgroups.iter().filter(|cgroup| !cgroup.limits.is_empty()).take(NAMED);
    joined(images.chain(limits.map(cgroup)), "; ")
}

fn cgroup(cgroup: &CgroupLimits) -> String {
    let limits: Vec<_> =
        cgroup.limits.iter().map(|(file, value)| format!("{file} {}", clean::line(value, 64))).collect();
    let above = if cgroup.above { "above it, " } else { "" };
    format!(
        "{above}cgroup {} ({}): {}",
        clean::line(&cgroup.path, 96),
        clean::line(&cgroup.hierarchy, 32),
        limits.join(", ")
    )
}

fn modules(environment: &Environment) -> String {
    let modules = &environment.modules;
    let versioned: Vec<String> = modules.iter().filter(|module| module.contains(' ')).cloned().collect();
    match (modules.len(), versioned.len()) {
        (0, _) => String::new(),
        (all, 0) => format!("{} loaded", humane::count(all as u64)),
        (all, some) => {
            format!("{} loaded, {some} with a version{}", humane::count(all as u64), listed(": ", &versioned))
        }
    }
}

fn not_told(environment: &Environment) -> String {
    // A capture may be hostile: no more than this version could have written.
    let facts = environment.not_told.iter().take(32);
    let facts: Vec<_> =
        facts.map(|(fact, why)| format!("{} ({})", clean::line(fact, 32), clean::line(why, 160))).collect();
    facts.join("; ")
}
