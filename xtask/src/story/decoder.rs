//! Story S1: a sidecar in .NET spins on frames whose texts say that they are longer than they are.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::{Ipv4Addr, SocketAddrV4, TcpStream},
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};

use super::client::connect;
use super::scene::{self, Scene, Told, until};
use crate::{command, workspace::Workspace};

const SERVER: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::LOCALHOST, 8080);
/// The load balancer, and who scans the network.
const BALANCER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 10);
const SCANNER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 77);
const BALANCER_EVERY: Duration = Duration::from_millis(5);
/// JIT code has names where the runtime writes them.
const ENVIRONMENT: [&str; 2] = ["COMPlus_PerfMapEnabled=1", "DOTNET_SYSTEM_GLOBALIZATION_INVARIANT=1"];
/// The picture that must be the same without the container.
const PICTURE: &str = "cpu.folded";

/// Plays it.
///
/// # Errors
/// When it cannot be played, or the first sentences do not tell it.
pub fn play(workspace: &Workspace, profiler: &Path, period: Duration) -> Result<Told> {
    let scene = Scene::new(workspace, "decoder", scene::DOTNET)?;
    let app = scene.dotnet_program(workspace, "agent")?;
    let words = ["/app/dotnetcore2/bin/dotnet", "/app/agent.dll", &SERVER.port().to_string()];
    let agent = scene.hosted("agent", &app, &words, &ENVIRONMENT)?;
    until("the agent", || connect(BALANCER, SERVER).is_ok_and(|mut stream| asks(&mut stream)))?;
    let recording = scene.record(profiler, &["agent"])?;
    let mut balancer = connect(BALANCER, SERVER)?;
    let mut scanner = connect(SCANNER, SERVER)?;
    scanner.write_all(&frame(1 << 30))?;
    let end = Instant::now() + period * 2;
    while Instant::now() < end {
        ensure!(asks(&mut balancer), "the agent gives no answer");
        std::thread::sleep(BALANCER_EVERY);
    }
    let told = recording.stop()?;
    drop((agent, scanner));
    told.leads(&["CPU", "agent", "ReadText"])?;
    told.leads(&[&SCANNER.to_string()])?;
    elsewhere(profiler, &told.out)?;
    Ok(told)
}

/// A frame whose text says that it is so long; it is 32 bytes.
fn frame(declared: u32) -> Vec<u8> {
    let text = [&declared.to_le_bytes()[..], &[b'x'; 32]].concat();
    [&(text.len() as u32).to_le_bytes()[..], &text].concat()
}

/// Asks once; whether there was an answer.
fn asks(stream: &mut TcpStream) -> bool {
    let mut answer = [0; 4];
    stream.write_all(&frame(32)).is_ok() && stream.read_exact(&mut answer).is_ok()
}

/// Makes the picture again from the capture alone, where there is neither the container nor its program.
fn elsewhere(profiler: &Path, out: &Path) -> Result<()> {
    let away = out.with_extension("away");
    fs::create_dir_all(&away)?;
    fs::copy(out.join("capture.profiler"), away.join("capture.profiler"))?;
    let mut report = Command::new(profiler);
    report.current_dir(&away).args(["report", "capture.profiler", "-o", "again"]);
    command::read(&mut report)?;
    let (there, here) = (fs::read(out.join(PICTURE))?, fs::read(away.join("again").join(PICTURE))?);
    ensure!(there == here, "{PICTURE} made from the capture alone differs");
    Ok(())
}
