//! The profiler as a library: the stages of the data's path, one module each.
//!
//! `cli` → `target` → `probe` → `collect` → `symbol` → `capture` → `render`; all of them share
//! `profile`, the leaf. Stages never import each other; `command` puts them together.

pub mod capture;
pub mod cli;
pub mod command;
pub mod failure;
pub mod profile;
pub mod render;
