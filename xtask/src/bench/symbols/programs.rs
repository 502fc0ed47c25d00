//! In: nothing. Out: the list of programs: how each is started under load, and what it is held to.

use anyhow::Result;

use super::{compiled, running::Running, runtimes, servers, yard::Yard};
use crate::{bench::place::Place, statics};

/// Packages of programs, of what loads them, and of libc's symbols, which all tools read.
pub const PACKAGES: [&str; 14] = [
    "redis-server",
    "redis-tools",
    "nginx-light",
    "wrk",
    "postgresql",
    "mariadb-server",
    "python3",
    "nodejs",
    "openjdk-17-jdk-headless",
    "golang-go",
    "prometheus-node-exporter",
    "ripgrep",
    "musl-tools",
    "libc6-dbg",
];

/// What a row is held to beside its peers.
#[derive(Clone, Copy)]
pub struct Bar {
    /// C, C++, Rust or Go: nearly all of its stacks must reach their root.
    pub roots: bool,
    /// It has a symbol for all of its code: nearly all frames must be named.
    pub names: bool,
}

const NOTHING: Bar = Bar { roots: false, names: false };
const NATIVE: Bar = Bar { roots: true, names: false };
const NAMED: Bar = Bar { roots: false, names: true };
const NATIVE_NAMED: Bar = Bar { roots: true, names: true };

/// One row.
pub struct Program {
    /// What it is asked for by.
    pub key: &'static str,
    pub name: &'static str,
    pub bar: Bar,
    pub start: fn(&Yard, &Place<'_>) -> Result<Running>,
}

/// All of them, most important first.
pub const PROGRAMS: [Program; 17] = [
    program("redis", "Redis, `redis-benchmark` (C, stripped)", NATIVE, |yard, _| servers::redis(yard)),
    program("nginx", "nginx, a worker, `wrk` (C, stripped)", NATIVE, |yard, _| servers::nginx(yard)),
    program("postgresql", "PostgreSQL, backends, `pgbench` (C, stripped)", NATIVE, |yard, _| {
        servers::postgresql(yard)
    }),
    program("python", "python3 (C, stripped), a script", NATIVE, |yard, _| runtimes::python(yard)),
    program("bash", "bash (C, stripped), a loop", NATIVE, |yard, _| runtimes::bash(yard)),
    program("node", "Node (C++ and JavaScript)", NOTHING, |yard, _| runtimes::node(yard, &[])),
    program("node-map", "Node, `--perf-basic-prof`", NAMED, |yard, _| {
        runtimes::node(yard, &["--perf-basic-prof"])
    }),
    program("java", "OpenJDK, `jcmd Compiler.perfmap`", NAMED, |yard, _| runtimes::java(yard, &[])),
    program("java-fp", "the same, `-XX:+PreserveFramePointer`", NAMED, |yard, _| {
        runtimes::java(yard, &["-XX:+PreserveFramePointer"])
    }),
    program("go", "Go server, `wrk`", NATIVE_NAMED, |yard, _| compiled::go(yard)),
    program("go-stripped", "the same, built `-s -w`", NATIVE_NAMED, |yard, _| compiled::go_stripped(yard)),
    program("go-service", "prometheus-node-exporter, `wrk` (Go, stripped)", NATIVE_NAMED, |yard, _| {
        servers::exporter(yard)
    }),
    program("cgo", "Go server with work in C (cgo)", NATIVE_NAMED, |yard, _| compiled::cgo(yard)),
    program("ripgrep", "ripgrep (Rust, stripped)", NATIVE, |yard, _| compiled::ripgrep(yard)),
    program("workload", "the project's workload (Rust, static)", NATIVE_NAMED, |yard, place| {
        compiled::workload(yard, &statics::binary(place.workspace, "workload"))
    }),
    program("musl", "C, static, musl", NATIVE_NAMED, |yard, _| compiled::musl(yard)),
    program("mariadb", "MariaDB, `mariadb-slap` (C++, stripped)", NATIVE, |yard, _| servers::mariadb(yard)),
];

const fn program(
    key: &'static str,
    name: &'static str,
    bar: Bar,
    start: fn(&Yard, &Place<'_>) -> Result<Running>,
) -> Program {
    Program { key, name, bar, start }
}
