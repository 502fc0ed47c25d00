//! The table of CPU samples by peer.
//!
//! In: ranked lines. Out: for each peer and process its samples, and the function that most of them fell into.

use std::io;

use super::cpu::{self, PeerCpuLine, Whom};
use super::rows::HOSTS;
use crate::profile::Profile;
use crate::profile::peer::Host;
use crate::render::group::{self, Group};
use crate::render::humane;
use crate::render::page::{Page, decisive, number, text};
use crate::render::ranked::Ranked;
use crate::render::table::{ROWS, ranked_table};
use crate::render::who::process;

/// The table, if any thread received while it was sampled.
pub fn table(page: &mut Page<'_>, profile: &Profile, ranked: &Ranked<'_>) -> io::Result<()> {
    let lines = &ranked.cpu_by_peer;
    if lines.is_empty() {
        return Ok(());
    }
    page.heading("CPU BY PEER: samples, by whom their thread received from last")?;
    let columns = [
        decisive("peer"),
        text("process"),
        number("pid"),
        number("samples"),
        number("share"),
        text("top function"),
        number("of it"),
    ];
    let key = |line: &PeerCpuLine| group::key(profile, line.pid, line.whom);
    let groups = group::groups(lines, key, |line| line.samples);
    let weights: Vec<_> = groups.iter().map(Group::weight).collect();
    let all: u64 = weights.iter().fold(0, |sum, samples| sum.saturating_add(*samples));
    let row = |group: &Group<'_, PeerCpuLine>| {
        let (function, samples) = cpu::top_function(group.lines().iter().copied());
        vec![
            group.first().whom.to_string(),
            process(profile, group.first().pid),
            group.pid(profile, |line| line.pid),
            humane::count(group.weight()),
            humane::part(group.weight(), all),
            function,
            humane::part(samples, group.weight()),
        ]
    };
    let rows: Vec<_> = groups.iter().take(ROWS).map(row).collect();
    ranked_table(page, &columns, &rows, &weights)?;
    if lines.iter().any(|line| line.whom == Whom::Peer(Host::Others)) {
        let most = humane::count(HOSTS as u64);
        page.line(&format!(
            "  others: peers that came after the first {most} addresses, or with too many stacks"
        ))?;
    }
    Ok(())
}
