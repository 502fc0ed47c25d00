//! In: sources beside this file for interpreters and compilers at run time. Out: each running.

use std::process::Command;

use anyhow::Result;

use super::{
    running::{Group, Running},
    yard::{Yard, program},
};
use crate::command;

/// # Errors
/// When it cannot be started.
pub fn python(yard: &Yard) -> Result<Running> {
    let source = yard.file("work.py", include_str!("sources/work.py"))?;
    alone(yard, Command::new("/usr/bin/python3").arg(source))
}

/// # Errors
/// When it cannot be started.
pub fn bash(yard: &Yard) -> Result<Running> {
    let source = yard.file("work.sh", include_str!("sources/work.sh"))?;
    alone(yard, Command::new(program("bash")?).arg(source))
}

/// # Errors
/// When it cannot be started.
pub fn node(yard: &Yard, flags: &[&str]) -> Result<Running> {
    let source = yard.file("work.js", include_str!("sources/work.js"))?;
    alone(yard, Command::new(program("node")?).args(flags).arg(source))
}

/// # Errors
/// When it cannot be compiled or started.
pub fn java(yard: &Yard, flags: &[&str]) -> Result<Running> {
    let (source, dir) = (yard.file("Work.java", include_str!("sources/Work.java"))?, yard.text(""));
    command::run(Command::new(program("javac")?).args(["-d", &dir, &source]))?;
    let mut java = Command::new(program("java")?);
    let mut running = alone(yard, java.args(["-Xmx256m", "-cp", &dir]).args(flags).arg("Work"))?;
    let jcmd = program("jcmd")?.display().to_string();
    running.told = Some(vec![jcmd, running.list(), "Compiler.perfmap".to_owned()]);
    Ok(running)
}

fn alone(yard: &Yard, command: &mut Command) -> Result<Running> {
    Ok(Running::alone(Group::start(command, &yard.path("log"))?))
}
