//! Story S5: a monitor's requests kill one back end after the other.

use std::{
    io,
    net::{Ipv4Addr, SocketAddrV4},
    path::Path,
    time::Duration,
};

use anyhow::Result;

use super::client::{Client, Kills, ask};
use super::scene::{self, Scene, Told, until};
use crate::workspace::Workspace;

const PORT: &str = "8078";
const FRONT: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(127, 0, 0, 20), 8078);
const BACK_ENDS: [&str; 2] = ["127.0.0.31", "127.0.0.32"];
/// Who looks at pictures, and who checks the service.
const VISITOR: [u8; 4] = [127, 0, 0, 10];
const MONITOR: [u8; 4] = [127, 0, 0, 77];
const VISITOR_EVERY: Duration = Duration::from_millis(20);
/// Rounds that make a period, and one more.
const ROUNDS: usize = 4;

/// Plays it.
///
/// # Errors
/// When it cannot be played, or the first sentences do not tell it.
pub fn play(workspace: &Workspace, profiler: &Path, period: Duration) -> Result<Told> {
    let scene = Scene::new(workspace, "requests", scene::C)?;
    let pictures = scene.program("pictures")?;
    let _first = scene.service("pictures-1", &pictures, &[BACK_ENDS[0], PORT])?;
    let _second = scene.service("pictures-2", &pictures, &[BACK_ENDS[1], PORT])?;
    let words = [&FRONT.ip().to_string(), PORT, BACK_ENDS[0], BACK_ENDS[1]];
    let _front = scene.service("front", &scene.program("front")?, &words)?;
    let get = |size: &str| format!("GET /picture/{size} HTTP/1.1\r\n\r\n");
    let small = get("64x64");
    let ok = |server| ask(VISITOR.into(), server, &small).is_ok_and(|answer| answer.contains("200"));
    let served = || ok(FRONT) && BACK_ENDS.iter().all(|address| ok(back_end(address)));
    until("the pictures", served)?;
    let recording = scene.record(profiler, &["front", "pictures-1", "pictures-2"])?;
    let visitor = Client::start(VISITOR, FRONT, small.clone(), VISITOR_EVERY);
    let insane = get("65536x65536");
    let refused = |answer: &io::Result<String>| answer.as_ref().is_ok_and(|answer| answer.contains("502"));
    let kills = Kills::play((MONITOR.into(), FRONT, &insane), (period, ROUNDS), served, refused)?;
    drop(visitor);
    let told = recording.stop()?;
    for container in ["pictures-1", "pictures-2"] {
        let deaths = format!("{container}/pictures: {ROUNDS} deaths by SIGSEGV");
        told.leads(&[&deaths, "draw", "render", "127.0.0.20"])?;
        told.has_period("deaths", container, kills.period())?;
    }
    told.has_period("deaths", &FRONT.ip().to_string(), kills.period())?;
    Ok(told)
}

fn back_end(address: &str) -> SocketAddrV4 {
    SocketAddrV4::new(address.parse().unwrap_or(Ipv4Addr::LOCALHOST), FRONT.port())
}
