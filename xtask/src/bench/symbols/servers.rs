//! In: servers from packages and what loads them. Out: each running under load, on a socket or on loopback.

use std::{
    fs,
    os::unix::{net::UnixStream, process::CommandExt as _},
    path::PathBuf,
    process::Command,
};

use anyhow::{Context, Result};

use super::{
    running::{Group, Running, free_port, wait_for, wait_for_port},
    yard::{USER, Yard, program},
};
use crate::command;

/// Longer than all recordings of one program.
const SECONDS: &str = "600";

/// # Errors
/// When it cannot be started.
pub fn redis(yard: &Yard) -> Result<Running> {
    let socket = yard.text("socket");
    let mut server = Command::new(program("redis-server")?);
    server.args(["--port", "0", "--save", "", "--appendonly", "no", "--unixsocket", &socket]);
    let server = Group::start(&mut server, &yard.path("log"))?;
    wait_for("answer of Redis", || UnixStream::connect(&socket).ok())?;
    let mut load = Command::new(program("redis-benchmark")?);
    // Short tests, so that each recording has all of them in the same parts.
    load.args(["-s", &socket, "-l", "-q", "-c", "20", "-n", "2000", "-r", "100000"]);
    load.args(["-t", "get,set,incr,hset,zadd"]);
    Ok(Running::loaded(server, Group::start(&mut load, &yard.path("load"))?))
}

/// A loop of requests for a page.
///
/// # Errors
/// When it cannot be started.
pub fn requests(yard: &Yard, port: u16, page: &str) -> Result<Group> {
    let mut load = Command::new(program("wrk")?);
    load.args(["-t1", "-c16", "-d", SECONDS, &format!("http://127.0.0.1:{port}{page}")]);
    Group::start(&mut load, &yard.path("load"))
}

/// # Errors
/// When it cannot be started.
pub fn nginx(yard: &Yard) -> Result<Running> {
    let (port, dir) = (free_port()?, yard.text(""));
    fs::create_dir(yard.path("www"))?;
    yard.file("www/page.html", &"<p>A line of a page.</p>\n".repeat(100))?;
    let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
    let temporary = temporary.map(|path| format!("{path}_temp_path {dir}temporary;")).concat();
    let configuration = format!(
        "daemon off; worker_processes 1; user root; pid {dir}pid; error_log {dir}errors; events {{ }}\n\
         http {{ access_log off; gzip on; gzip_min_length 1; {temporary}\n\
         server {{ listen 127.0.0.1:{port}; root {dir}www; }} }}\n"
    );
    let configuration = yard.file("conf", &configuration)?;
    let mut server = Command::new(program("nginx")?);
    server.args(["-e", &yard.text("errors"), "-c", &configuration]);
    let server = Group::start(&mut server, &yard.path("log"))?;
    wait_for_port(port)?;
    Running::loaded(server, requests(yard, port, "/page.html")?).by_children()
}

/// # Errors
/// When it cannot be started.
pub fn postgresql(yard: &Yard) -> Result<Running> {
    let programs = postgresql_programs()?;
    let (dir, data) = (yard.text(""), yard.text("data"));
    let as_user = |name: &str| {
        let mut command = Command::new(programs.join(name));
        command.uid(USER).gid(USER).current_dir("/");
        command
    };
    let mut initdb = as_user("initdb");
    initdb.args([
        "--no-sync",
        "--auth=trust",
        "--username=postgres",
        "-E",
        "UTF8",
        "--locale=C",
        "-D",
        &data,
    ]);
    command::read(&mut initdb)?;
    let mut server = as_user("postgres");
    server.args(["-D", &data, "-k", &dir, "-c", "listen_addresses=", "-c", "fsync=off"]);
    let server = Group::start(&mut server, &yard.path("log"))?.ended_by_interrupt();
    let pgbench = |words: &[&str]| {
        let mut command = as_user("pgbench");
        command.args(["-h", &dir, "-U", "postgres", "-n"]).args(words).arg("postgres");
        command
    };
    wait_for("answer of PostgreSQL", || UnixStream::connect(yard.path(".s.PGSQL.5432")).ok())?;
    wait_for("tables of pgbench", || command::read(&mut pgbench(&["-i", "-q", "-s", "2"])).ok())?;
    let load = Group::start(&mut pgbench(&["-c", "4", "-T", SECONDS]), &yard.path("load"))?;
    std::thread::sleep(std::time::Duration::from_secs(1));
    Running::loaded(server, load).by_children()
}

fn postgresql_programs() -> Result<PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql").context("PostgreSQL is not installed")?;
    let mut programs = versions.flatten().map(|version| version.path().join("bin"));
    programs.find(|bin| bin.join("initdb").exists()).context("PostgreSQL's initdb is not installed")
}

/// # Errors
/// When it cannot be started.
pub fn mariadb(yard: &Yard) -> Result<Running> {
    let (data, socket) = (yard.text("data"), yard.text("socket"));
    fs::create_dir(yard.path("data"))?;
    let mut install = Command::new(program("mariadb-install-db")?);
    install.args([
        "--no-defaults",
        "--user=root",
        "--auth-root-authentication-method=normal",
        "--skip-test-db",
    ]);
    command::read(install.arg(format!("--datadir={data}")))?;
    let mut server = Command::new(program("mariadbd")?);
    server.args(["--no-defaults", "--user=root", "--skip-networking", "--innodb-flush-log-at-trx-commit=0"]);
    server.args([
        format!("--datadir={data}"),
        format!("--socket={socket}"),
        format!("--pid-file={data}/pid"),
    ]);
    let server = Group::start(&mut server, &yard.path("log"))?;
    wait_for("answer of MariaDB", || UnixStream::connect(&socket).ok())?;
    let mut load = Command::new(program("mariadb-slap")?);
    load.args([
        "--no-defaults",
        "--user=root",
        "--auto-generate-sql",
        "--concurrency=4",
        "--iterations=1000",
    ]);
    load.args(["--auto-generate-sql-load-type=mixed", "--number-of-queries=20000"]);
    load.arg(format!("--socket={socket}"));
    Ok(Running::loaded(server, Group::start(&mut load, &yard.path("load"))?))
}

/// A service written in Go, as Debian strips it: it serves what it measures.
///
/// # Errors
/// When it cannot be started.
pub fn exporter(yard: &Yard) -> Result<Running> {
    let port = free_port()?;
    let mut server = Command::new(program("prometheus-node-exporter")?);
    server.args([format!("--web.listen-address=127.0.0.1:{port}"), "--log.level=error".to_owned()]);
    server.args([
        "--collector.disable-defaults",
        "--collector.stat",
        "--collector.meminfo",
        "--collector.vmstat",
    ]);
    served(yard, server, port, "/metrics")
}

/// A server that listens on a port of loopback, with a loop of requests.
///
/// # Errors
/// When it cannot be started.
pub fn served(yard: &Yard, mut server: Command, port: u16, page: &str) -> Result<Running> {
    let server = Group::start(&mut server, &yard.path("log"))?;
    wait_for_port(port)?;
    Ok(Running::loaded(server, requests(yard, port, page)?))
}
