//! Story S3: a proxy dies in zlib, in a container without a core dump.

use std::{
    net::{Ipv4Addr, SocketAddrV4},
    path::Path,
    time::Duration,
};

use anyhow::Result;

use super::client::{Client, ask};
use super::scene::{self, Scene, Told, until};
use crate::workspace::Workspace;

const SERVER: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::LOCALHOST, 8077);
/// Who sends what a browser sends, and who does not.
const GOOD: [u8; 4] = [127, 0, 0, 10];
const BAD: [u8; 4] = [127, 0, 0, 77];
const GOOD_EVERY: Duration = Duration::from_millis(20);
/// Deaths that make a period, and one more.
const DEATHS: u32 = 4;

/// Plays it.
///
/// # Errors
/// When it cannot be played, or the first sentences do not tell it.
pub fn play(workspace: &Workspace, profiler: &Path, period: Duration) -> Result<Told> {
    let scene = Scene::new(workspace, "proxy", scene::C)?;
    let _px = scene.service("px", &scene.program("proxy")?, &[&SERVER.port().to_string()])?;
    let post =
        |length: usize, body: &str| format!("POST / HTTP/1.1\r\nContent-Length: {length}\r\n\r\n{body}");
    let good = post(5_000, &"compress me ".repeat(417)[..5_000]);
    until("the proxy", || ask(GOOD.into(), SERVER, &good).is_ok())?;
    let recording = scene.record(profiler, &["px"])?;
    let clients = [
        Client::start(GOOD, SERVER, good, GOOD_EVERY),
        Client::start(BAD, SERVER, post(900_000, "short"), period),
    ];
    std::thread::sleep(period * DEATHS + period / 2);
    drop(clients);
    let told = recording.stop()?;
    told.leads(&[
        "px/proxy: 4 deaths by SIGSEGV",
        "every",
        "deflate",
        "compress_body",
        "each within",
        "127.0.0.77",
    ])?;
    for track in ["SIGSEGV", "127.0.0.77"] {
        told.has_period("deaths", track, period)?;
    }
    Ok(told)
}
