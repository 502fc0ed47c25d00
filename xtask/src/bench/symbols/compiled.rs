//! In: sources beside this file and compilers from packages. Out: compiled programs, each running.

use std::{path::Path, process::Command};

use anyhow::Result;

use super::{
    running::{Group, Running, free_port},
    servers,
    yard::{Yard, program},
};
use crate::command;

/// A server in Go, without C.
///
/// # Errors
/// When it cannot be compiled or started.
pub fn go(yard: &Yard) -> Result<Running> {
    built_by_go(yard, include_str!("sources/server.go"), "0", "")
}

/// The same without symbols and debug information.
///
/// # Errors
/// When it cannot be compiled or started.
pub fn go_stripped(yard: &Yard) -> Result<Running> {
    built_by_go(yard, include_str!("sources/server.go"), "0", "-s -w")
}

/// A server in Go whose work is in C.
///
/// # Errors
/// When it cannot be compiled or started.
pub fn cgo(yard: &Yard) -> Result<Running> {
    built_by_go(yard, include_str!("sources/cgo.go"), "1", "")
}

fn built_by_go(yard: &Yard, source: &str, with_c: &str, flags: &str) -> Result<Running> {
    let (source, output) = (yard.file("server.go", source)?, yard.text("server"));
    let mut go = Command::new(program("go")?);
    go.args(["build", "-ldflags", flags, "-o", &output, &source]).env("CGO_ENABLED", with_c);
    go.env("GO111MODULE", "off").env("GOFLAGS", "").env("GOCACHE", &yard.cache);
    command::run(&mut go)?;
    let port = free_port()?;
    let mut server = Command::new(output);
    server.arg(format!("127.0.0.1:{port}"));
    servers::served(yard, server, port, "/")
}

/// A program in C, linked statically with musl.
///
/// # Errors
/// When it cannot be compiled or started.
pub fn musl(yard: &Yard) -> Result<Running> {
    let (source, output) = (yard.file("work.c", include_str!("sources/work.c"))?, yard.text("work"));
    let mut compiler = Command::new(program("musl-gcc")?);
    command::run(compiler.args(["-O2", "-static", "-o", &output, &source]))?;
    Ok(Running::alone(Group::start(&mut Command::new(output), &yard.path("log"))?))
}

/// ripgrep over what is installed, again and again.
///
/// # Errors
/// When it cannot be started.
pub fn ripgrep(yard: &Yard) -> Result<Running> {
    let mut search = Command::new(program("rg")?);
    search.args(["--no-messages", "--count", "--text", "[a-z]+_[0-9]+x"]);
    search.args(std::iter::repeat_n("/usr/share", 200));
    Ok(Running::alone(Group::start(&mut search, &yard.path("log"))?))
}

/// The project's own workload: Rust, static, with symbols.
///
/// # Errors
/// When it cannot be started.
pub fn workload(yard: &Yard, program: &Path) -> Result<Running> {
    let mut work = Command::new(program);
    Ok(Running::alone(Group::start(work.args(["burn-70-30", "600000"]), &yard.path("log"))?))
}
