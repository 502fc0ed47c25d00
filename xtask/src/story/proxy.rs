//! Story S3: a proxy dies in zlib, in a container without a core dump.

use std::{
    net::{Ipv4Addr, SocketAddrV4},
    path::Path,
    time::Duration,
};

use anyhow::Result;

use super::client::{Client, Kills, ask, died};
use super::scene::{self, Scene, Told, until};
use crate::workspace::Workspace;

const SERVER: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::LOCALHOST, 8077);
/// Who sends what a browser sends, and who does not.
const GOOD: [u8; 4] = [127, 0, 0, 10];
const BAD: [u8; 4] = [127, 0, 0, 77];
const GOOD_EVERY: Duration = Duration::from_millis(20);
/// Deaths that make a period, and one more.
const DEATHS: usize = 4;

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
    let browser = Client::start(GOOD, SERVER, good.clone(), GOOD_EVERY);
    let served = || ask(GOOD.into(), SERVER, &good).is_ok();
    let bad = post(900_000, "short");
    let kills = Kills::play((BAD.into(), SERVER, &bad), (period, DEATHS), served, died)?;
    drop(browser);
    let told = recording.stop()?;
    told.leads(&["px/proxy: 4 deaths by SIGSEGV", "deflate", "compress_body", "each within", "127.0.0.77"])?;
    for track in ["SIGSEGV", "127.0.0.77"] {
        told.has_period("deaths", track, kills.period())?;
    }
    Ok(told)
}
