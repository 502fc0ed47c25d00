//! `probes.peer` in `summary.json`; `docs/summary.md` is the schema.
//!
//! In: lines. Out: what serde writes, a row to a line, heaviest first.

use std::borrow::Cow;

use serde::Serialize;

use super::cpu::{self, PeerCpuLine, Whom};
use super::gate::{Gate, Unknown};
use super::lines::{PeerLine, peers};
use super::picture::DRAWING;
use super::rows::Sends;
use crate::profile::Profile;
use crate::render::json_row::{Events, Owner, Rows, owner};
use crate::render::scene::Scene;
use crate::render::sheet::{List, Sheet};
use crate::render::syscalls;

/// `probes.peer`.
#[derive(Serialize)]
pub struct Json<'a> {
    #[serde(flatten)]
    rows: Rows<'a, Row<'a>>,
    cpu: List<'a, CpuRow<'a>>,
    sends: List<'a, SendsRow<'a>>,
}

/// Receives of one (process, call, peer).
#[derive(Serialize)]
pub struct Row<'p> {
    #[serde(flatten)]
    owner: Owner<'p>,
    syscall: Cow<'static, str>,
    peer: String,
    address: String,
    port: Option<u16>,
    connected: bool,
    #[serde(flatten)]
    events: Events,
    wall_ns: u64,
    round_trip_ns: Option<u64>,
}

/// CPU samples of one (peer, process).
#[derive(Serialize)]
struct CpuRow<'p> {
    #[serde(flatten)]
    owner: Owner<'p>,
    address: Option<String>,
    unknown: &'static str,
    samples: u64,
    function: String,
    function_samples: u64,
}

/// How the sends of one process compared with its receives.
#[derive(Serialize)]
struct SendsRow<'p> {
    #[serde(flatten)]
    owner: Owner<'p>,
    unknown: &'static str,
    #[serde(flatten)]
    sends: Sends,
}

/// The probe's part of the document.
pub fn json<'a>(scene: &Scene<'a>, sheet: &Sheet<'a>) -> Json<'a> {
    let profile = scene.profile;
    let rows = peers(profile).iter().map(|line| row(profile, line)).collect();
    let cpu = scene.ranked.cpu_by_peer.iter().map(|line| cpu_row(profile, line)).collect();
    let gate = Gate::of(profile);
    let sends = profile.peer.sends.iter().map(|(pid, sends)| SendsRow {
        owner: owner(profile, *pid),
        unknown: gate.doubt(*pid).map_or("", Unknown::why),
        sends: *sends,
    });
    Json {
        rows: Rows { unit: DRAWING.unit, rows: sheet.list("probes.peer.rows", rows) },
        cpu: sheet.list("probes.peer.cpu", cpu),
        sends: sheet.list("probes.peer.sends", sends.collect()),
    }
}

fn cpu_row<'p>(profile: &'p Profile, line: &PeerCpuLine) -> CpuRow<'p> {
    let (function, function_samples) = cpu::top_function(std::iter::once(line));
    let (address, unknown) = match line.whom {
        Whom::Peer(host) => (Some(host.to_string()), ""),
        Whom::Unknown(unknown) => (None, unknown.why()),
    };
    let samples = line.samples;
    CpuRow { owner: owner(profile, line.pid), address, unknown, samples, function, function_samples }
}

fn row<'p>(profile: &'p Profile, line: &PeerLine<'p>) -> Row<'p> {
    let (key, row) = (line.key, line.row);
    Row {
        owner: owner(profile, key.pid),
        syscall: syscalls::name(key.nr),
        peer: key.peer.to_string(),
        address: key.peer.host.to_string(),
        port: (key.peer.port != 0).then_some(key.peer.port),
        connected: key.connected,
        events: Events::of(&row.waits),
        wall_ns: row.wall_ns,
        round_trip_ns: row.round_trip_ns(),
    }
}
