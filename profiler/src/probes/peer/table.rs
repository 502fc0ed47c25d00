//! The tables of peers.
//!
//! In: lines. Out: for each process, call and peer how often and how long it slept until something came; then CPU samples by peer.

use std::io;

use super::cpu_table;
use super::lines::{PeerLine, peers};
use crate::profile::Profile;
use crate::render::fold::Folder;
use crate::render::page::{Page, decisive, number, text};
use crate::render::scene::Scene;
use crate::render::table::{ROWS, ranked_table};
use crate::render::who::process;
use crate::render::{humane, syscalls};

/// All of it.
pub fn sections(page: &mut Page<'_>, scene: &Scene<'_>, _: &mut Folder<'_>) -> io::Result<()> {
    let profile = scene.profile;
    page.heading("PEERS: calls that slept until data came, by who sent it")?;
    let columns = [
        decisive("peer"),
        text("process"),
        number("pid"),
        text("call"),
        text("class"),
        number("count"),
        number("asleep"),
        number("p99"),
        number("max"),
        number("round trip"),
    ];
    let lines = peers(profile);
    let weights: Vec<_> = lines.iter().map(PeerLine::weight).collect();
    let rows: Vec<_> = lines.iter().take(ROWS).map(|line| row(profile, line)).collect();
    ranked_table(page, &columns, &rows, &weights)?;
    cpu_table::table(page, profile, scene.ranked)
}

fn row(profile: &Profile, line: &PeerLine<'_>) -> Vec<String> {
    let waits = &line.row.waits;
    vec![
        line.key.peer.to_string(),
        process(profile, line.key.pid),
        profile.processes.pid_text(line.key.pid),
        syscalls::name(line.key.nr).into_owned(),
        line.class().name().to_owned(),
        humane::count(waits.count()),
        humane::duration(waits.total_ns),
        humane::duration(waits.percentile_ns(990)),
        humane::duration(waits.max_ns),
        line.row.round_trip_ns().map_or_else(String::new, humane::duration),
    ]
}
