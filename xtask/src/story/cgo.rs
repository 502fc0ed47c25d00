//! Story S4: a service in Go dies in C++, where a finalizer has freed what is in use.

use std::{
    net::{Ipv4Addr, SocketAddrV4},
    path::Path,
    time::Duration,
};

use anyhow::{Result, ensure};

use super::client::{Client, Kills, ask, died};
use super::scene::{self, Scene, Told, until};
use crate::workspace::Workspace;

const SERVER: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::LOCALHOST, 8079);
/// Who looks at the service, and who asks for large pictures.
const VISITOR: [u8; 4] = [127, 0, 0, 10];
const PAINTER: [u8; 4] = [127, 0, 0, 77];
const VISITOR_EVERY: Duration = Duration::from_millis(50);
/// Deaths that make a period, and one more.
const DEATHS: usize = 4;

/// Plays it.
///
/// # Errors
/// When it cannot be played, or the first sentences do not tell it.
pub fn play(workspace: &Workspace, profiler: &Path, period: Duration) -> Result<Told> {
    let scene = Scene::new(workspace, "cgo", scene::GO)?;
    let _thumbs = scene.service("thumbs", &scene.go_program("thumbs")?, &[&SERVER.to_string()])?;
    let get = |path: &str| format!("GET {path} HTTP/1.0\r\n\r\n");
    until("the service", || ask(VISITOR.into(), SERVER, &get("/")).is_ok())?;
    let recording = scene.record(profiler, &["thumbs"])?;
    let visitor = Client::start(VISITOR, SERVER, get("/"), VISITOR_EVERY);
    let served = || ask(VISITOR.into(), SERVER, &get("/")).is_ok();
    // A large picture takes longer than Go's collector takes to come by.
    let large = get("/thumb?ms=400");
    let kills = Kills::play((PAINTER.into(), SERVER, &large), (period, DEATHS), served, died)?;
    drop(visitor);
    let told = recording.stop()?;
    told.leads(&[
        "thumbs/thumbs: 4 exits with exit code 2",
        "Picture::checksum",
        "image_checksum",
        "main.(*picture).checksum",
    ])?;
    let stacks = told.deaths_through(&[
        "Picture::checksum",
        "image_checksum",
        "main.(*picture).checksum",
        "main.thumb",
    ]);
    ensure!(stacks == DEATHS, "{stacks} of {DEATHS} stacks lead from C++ to Go");
    told.has_period("deaths", "exit code 2", kills.period())?;
    Ok(told)
}
