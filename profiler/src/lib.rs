//! The profiler as a library: the stages of the data's path, one module each.
//!
//! `cli` → `target` → `probe` → `collect` → `symbol` → `capture` → `render`; all of them share
//! `profile`, a leaf. Stages never import each other; `command` puts them together.

pub mod capture;
pub mod check;
pub mod cli;
pub mod collect;
pub mod command;
pub mod environment;
pub mod failure;
pub mod machine;
pub mod plan;
pub mod probe;
pub mod profile;
pub mod render;
pub mod symbol;
pub mod sys;
pub mod target;
