//! Differences of the environment: what else changed between two recordings.
//!
//! In: two sides. Out: facts that differ, each with what it was and is; lists with what came and went. Settings of the recordings
//! come first, because a difference in them makes other numbers differ.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use serde_json::Value;

use super::side::Side;
use crate::profile::{Header, Profile};
use crate::render::{clean, humane, who};

/// Entries of a list that are told at most.
const ENTRIES: usize = 12;
/// Characters of a fact at most.
const CHARS: usize = 400;
/// Fields that differ between any two recordings, or that are compared in words of their own.
const APART: [&str; 4] = ["at_start", "at_end", "boot_unix_s", "cgroups"];

/// One fact that differs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Fact {
    /// Which.
    pub what: String,
    /// What it was; empty: unknown, or none. Of a list: what went.
    pub before: Vec<String>,
    /// What it is. Of a list: what came.
    pub after: Vec<String>,
    /// It is a list; items that did not change are left out.
    pub is_list: bool,
}

/// All facts that differ.
pub fn differences(before: &Side, after: &Side) -> Vec<Fact> {
    let (before, after) = (&before.profile, &after.profile);
    let mut facts = settings(&before.header, &after.header);
    facts.extend(labels(before, after));
    facts.extend(machine(before, after));
    facts
}

/// Two values of a fact.
fn one(what: &str, before: &str, after: &str) -> Option<Fact> {
    let list = |text: &str| {
        if text.is_empty() { Vec::new() } else { vec![clean::line(text, CHARS).into_owned()] }
    };
    (before != after).then(|| Fact {
        what: clean::name(what).into_owned(),
        before: list(before),
        after: list(after),
        is_list: false,
    })
}

/// Two lists; their order counts where nothing came or went.
fn lists(what: &str, before: &[String], after: &[String]) -> Option<Fact> {
    let (was, is): (BTreeSet<&String>, BTreeSet<&String>) = (before.iter().collect(), after.iter().collect());
    if was == is {
        return one(what, &before.join(","), &after.join(","));
    }
    let told = |entries: Vec<&&String>| {
        let mut told: Vec<String> =
            entries.iter().take(ENTRIES).map(|entry| clean::line(entry, CHARS).into_owned()).collect();
        if entries.len() > ENTRIES {
            told.push(format!("and {} more", humane::count((entries.len() - ENTRIES) as u64)));
        }
        told
    };
    Some(Fact {
        what: clean::name(what).into_owned(),
        before: told(was.difference(&is).collect()),
        after: told(is.difference(&was).collect()),
        is_list: true,
    })
}

fn settings(before: &Header, after: &Header) -> Vec<Fact> {
    let cpus = |header: &Header| header.cpus.iter().map(u32::to_string).collect::<Vec<_>>().join(",");
    let slow = |header: &Header| humane::setting(header.slow_ns);
    let frequency = |header: &Header| format!("{} Hz", header.frequency_hz);
    let mut facts = vec![
        one("target", &before.target.label, &after.target.label),
        one("target told apart by", &before.target.way, &after.target.way),
        one("slow-call threshold", &slow(before), &slow(after)),
        one("sampling frequency", &frequency(before), &frequency(after)),
        one("CPUs measured", &cpus(before), &cpus(after)),
        one("profiler", &before.version, &after.version),
        lists("limits of the recording", &before.limits, &after.limits),
    ];
    let details = |header: &Header| -> BTreeMap<String, String> {
        let mut details: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (key, value) in &header.target.details {
            details.entry(format!("target's {key}")).or_default().push(value.clone());
        }
        details.into_iter().map(|(key, values)| (key, values.join(", "))).collect()
    };
    facts.extend(maps("", &details(before), &details(after)).into_iter().map(Some));
    let backends = |header: &Header| -> BTreeMap<String, String> {
        let backend = |plan: &crate::profile::ProbePlan| match plan.active {
            true => plan.backend.clone(),
            false => "not running".to_owned(),
        };
        header.probes.iter().map(|plan| (plan.probe.clone(), backend(plan))).collect()
    };
    facts.extend(maps("backend of ", &backends(before), &backends(after)).into_iter().map(Some));
    facts.into_iter().flatten().collect()
}

fn maps(prefix: &str, before: &BTreeMap<String, String>, after: &BTreeMap<String, String>) -> Vec<Fact> {
    let keys: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let of = |map: &BTreeMap<String, String>, key: &String| map.get(key).cloned().unwrap_or_default();
    keys.into_iter()
        .filter_map(|key| one(&format!("{prefix}{key}"), &of(before, key), &of(after, key)))
        .collect()
}

/// What the active security module calls the label of a process.
fn label_name(profile: &Profile) -> &'static str {
    let lsms = &profile.header.environment.lsms;
    let is = |name: &str| lsms.iter().any(|own| own == name);
    match (is("apparmor"), is("selinux")) {
        (true, false) => "AppArmor profile",
        (false, true) => "SELinux context",
        _ => "security label",
    }
}

/// Profiles or contexts of processes of one name.
fn labels(before: &Profile, after: &Profile) -> Vec<Fact> {
    let of = |profile: &Profile| -> BTreeMap<String, String> {
        let mut labels: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for process in profile.processes.iter().filter(|process| !process.label.is_empty()) {
            let of_name = labels.entry(who::process(profile, process.pid)).or_default();
            of_name.insert(process.label.clone());
        }
        labels
            .into_iter()
            .map(|(who, labels)| (who, labels.into_iter().collect::<Vec<_>>().join(", ")))
            .collect()
    };
    let (was, is) = (of(before), of(after));
    // A process that only one of them saw has no label that changed.
    let both =
        |own: &BTreeMap<String, String>, other: &BTreeMap<String, String>| -> BTreeMap<String, String> {
            own.iter()
                .filter(|(who, _)| other.contains_key(*who))
                .map(|(who, label)| (who.clone(), label.clone()))
                .collect()
        };
    maps(&format!("{} of ", label_name(after)), &both(&was, &is), &both(&is, &was))
}

/// All other facts of the machine, field by field.
fn machine(before: &Profile, after: &Profile) -> Vec<Fact> {
    let age = |profile: &Profile| {
        let header = &profile.header;
        match header.environment.boot_unix_s {
            0 => String::new(),
            boot => {
                format!("{:.1} days before", header.started_unix_s.saturating_sub(boot) as f64 / 86_400.0)
            }
        }
    };
    let mut facts: Vec<Fact> = Vec::new();
    let boots = (before.header.environment.boot_unix_s, after.header.environment.boot_unix_s);
    // The clock is set now and then: the same boot may differ by seconds.
    if boots.0.abs_diff(boots.1) > 60 {
        facts.extend(one("booted", &age(before), &age(after)));
    }
    let (was, is) = (fields(before), fields(after));
    let keys: BTreeSet<&String> = was.keys().chain(is.keys()).collect();
    for key in keys.into_iter().filter(|key| !APART.contains(&key.as_str())) {
        let (was, is) = (was.get(key).unwrap_or(&Value::Null), is.get(key).unwrap_or(&Value::Null));
        facts.extend(field(key, was, is));
    }
    facts.extend(maps("limit ", &limits(before), &limits(after)));
    facts
}

fn fields(profile: &Profile) -> BTreeMap<String, Value> {
    match serde_json::to_value(&profile.header.environment) {
        Ok(Value::Object(fields)) => fields.into_iter().collect(),
        _ => BTreeMap::new(),
    }
}

fn field(key: &str, before: &Value, after: &Value) -> Vec<Fact> {
    let strings =
        |value: &Value| -> Vec<String> { value.as_array().into_iter().flatten().map(plain).collect() };
    let map = |value: &Value| -> BTreeMap<String, String> {
        let entries = value.as_object().into_iter().flatten();
        entries.map(|(key, value)| (key.clone(), plain(value))).collect()
    };
    if before.is_array() || after.is_array() {
        return lists(key, &strings(before), &strings(after)).into_iter().collect();
    }
    if before.is_object() || after.is_object() {
        return maps(&format!("{key}: "), &map(before), &map(after));
    }
    one(key, &plain(before), &plain(after)).into_iter().collect()
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

/// Limits of the target's cgroups; the cgroups of two instances have different paths.
fn limits(profile: &Profile) -> BTreeMap<String, String> {
    let mut limits: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for cgroup in &profile.header.environment.cgroups {
        let of = if cgroup.above { "above the target" } else { "of the target" };
        for (file, value) in &cgroup.limits {
            limits.entry(format!("{file} {of}")).or_default().insert(value.clone());
        }
    }
    limits
        .into_iter()
        .map(|(file, values)| (file, values.into_iter().collect::<Vec<_>>().join(", ")))
        .collect()
}
