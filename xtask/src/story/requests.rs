//! Story S5: a monitor's requests kill one back end after the other.

use std::{
    net::{Ipv4Addr, SocketAddrV4},
    path::Path,
    time::Duration,
};

use anyhow::Result;

use super::client::{Client, ask};
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
const ROUNDS: u32 = 4;

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
    // Twice: each of the two back ends.
    for _ in BACK_ENDS {
        until("the pictures", || {
            ask(VISITOR.into(), FRONT, &small).is_ok_and(|answer| answer.contains("200"))
        })?;
    }
    let recording = scene.record(profiler, &["front", "pictures-1", "pictures-2"])?;
    let clients = [
        Client::start(VISITOR, FRONT, small, VISITOR_EVERY),
        Client::start(MONITOR, FRONT, get("65536x65536"), period),
    ];
    std::thread::sleep(period * ROUNDS + period / 2);
    drop(clients);
    let told = recording.stop()?;
    for container in ["pictures-1", "pictures-2"] {
        told.leads(&[container, "SIGSEGV", "draw", "render", "127.0.0.20"])?;
        told.has_period("deaths", container, period)?;
    }
    told.has_period("deaths", &FRONT.ip().to_string(), period)?;
    Ok(told)
}
