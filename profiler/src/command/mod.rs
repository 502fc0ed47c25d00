//! Commands: each one puts the stages together.
//!
//! In: a validated configuration. Out: the command's output, or its [`crate::failure::Failure`].

pub mod check;
