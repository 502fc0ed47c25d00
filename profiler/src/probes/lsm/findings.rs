//! How much time the security layer takes.
//!
//! In: ranked functions of it. Out: one finding: the heaviest hook's share of the call it is in, and which
//! module takes most of that.

use super::lines::LsmLine;
use crate::profile::{Pid, Profile};
use crate::render::ranked::Ranked;
use crate::render::rule::{Confidence, Finding, Rule, rank};
use crate::render::who::process;
use crate::render::{clean, humane, syscalls};

/// All rules about the security layer.
pub const RULES: &[Rule] = &[layer];

/// A hook that takes this part of its call is worth a sentence …
const LSM_TELLING: f64 = 0.05;
/// … if it takes this part of the recorded time, of 100, too.
const LSM_COSTS: u64 = 1;

/// Which share of its call the heaviest hook takes, and which module takes most of the hook.
fn layer(profile: &Profile, ranked: &Ranked<'_>) -> Option<Finding> {
    // Time in interrupts is in no call.
    let hook = ranked.lsm.iter().find(|line| line.site.module.is_empty() && line.pid != Pid(0))?;
    let call = hook.calls.first()?;
    let share = call.share.filter(|share| *share >= LSM_TELLING)?;
    if hook.time.total_ns.saturating_mul(100) < profile.duration_ns.saturating_mul(LSM_COSTS) {
        return None;
    }
    let same = |line: &&LsmLine<'_>| line.pid == hook.pid && line.site.hook == hook.site.hook;
    let module = ranked.lsm.iter().filter(same).find(|line| !line.site.module.is_empty());
    let of_module = module.map_or_else(String::new, |line| {
        let part = humane::share(line.of_hook.unwrap_or(0.0));
        format!("; {} takes {part} of that", clean::name(&line.site.module))
    });
    let label = match profile.processes.label(hook.pid) {
        "" => String::new(),
        label => format!(" (runs as {})", clean::line(label, 60)),
    };
    Some(Finding {
        rule: "security_layer",
        rank: rank::SECURITY,
        sentence: format!(
            "Security layer: {} of {} in {} (pid {}){label} is {}{of_module}.",
            humane::share(share),
            syscalls::name(call.nr),
            process(profile, hook.pid),
            profile.processes.pid_text(hook.pid),
            clean::name(&hook.site.function),
        ),
        confidence: Confidence::High,
        cost_ns: Some(hook.time.total_ns),
        threshold: "≥ 5 % of the call, ≥ 1 % of the time",
        evidence: vec![
            ("total_ns", call.total_ns),
            ("module_ns", module.map_or(0, |line| line.time.total_ns)),
        ],
    })
}
