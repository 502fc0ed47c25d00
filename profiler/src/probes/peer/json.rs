//! `probes.peer` in `summary.json`; `docs/summary.md` is the schema.
//!
//! In: lines. Out: what serde writes, a row to a line, heaviest first.

use std::borrow::Cow;

use serde::Serialize;

use super::lines::{PeerLine, peers};
use super::picture::DRAWING;
use crate::profile::Profile;
use crate::render::json_row::{Events, Owner, Rows, owner};
use crate::render::scene::Scene;
use crate::render::sheet::Sheet;
use crate::render::syscalls;

/// `probes.peer`.
pub type Json<'a> = Rows<'a, Row<'a>>;

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

/// The probe's part of the document.
pub fn json<'a>(scene: &Scene<'a>, sheet: &Sheet<'a>) -> Json<'a> {
    let rows = peers(scene.profile).iter().map(|line| row(scene.profile, line)).collect();
    Rows { unit: DRAWING.unit, rows: sheet.list("probes.peer.rows", rows) }
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
