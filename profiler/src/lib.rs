//! The profiler as a library: the stages of the data's path, one module each.
//!
//! `cli` → `target` → `attach` → `collect` → `symbol` → `capture` → `render`; all of them share
//! `profile`, a leaf. Stages never import each other; `command` puts them together.

pub mod attach;
pub mod capture;
pub mod check;
pub mod cli;
pub mod collect;
pub mod command;
pub mod diff;
pub mod environment;
pub mod export;
pub mod failure;
pub mod format;
pub mod hostile;
pub mod html;
pub mod machine;
pub mod plan;
pub mod probe;
pub mod probes;
pub mod profile;
pub mod redact;
pub mod render;
pub mod symbol;
pub mod sys;
pub mod target;

#[cfg(test)]
#[path = "../tests/fuzz/harness.rs"]
mod harness;
