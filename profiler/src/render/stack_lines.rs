//! Stacks as single lines of the terminal summary, leaf first.
//!
//! In: a stack. Out: its functions in one line, cut between two functions.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io;

use super::fold::Folder;
use super::name::{kernel_functions, nameless};
use super::page::{Page, WIDTH};
use super::telling::telling_function;
use super::{clean, locks};
use crate::profile::{Profile, StackId};

/// Stacks shown of each probe.
pub const STACKS: usize = 5;

/// Functions of a line at most.
pub const FUNCTIONS: usize = 12;

/// A kernel stack in one line, leaf first, from where it gets telling.
pub fn kernel_line(profile: &Profile, kernel: StackId) -> String {
    let telling = telling_function(profile, kernel);
    let functions = kernel_functions(&profile.stacks, kernel).map(locks::base);
    let line = joined(functions.skip_while(|function| Some(*function) != telling));
    if line.is_empty() {
        without_names(profile, kernel).unwrap_or_else(|| "(no kernel stack)".to_owned())
    } else {
        line
    }
}

/// What stands in the place of functions when a stack was taken and none has a name.
pub fn without_names(profile: &Profile, kernel: StackId) -> Option<String> {
    nameless(&profile.stacks, kernel).map(|why| format!("(taken, but {why})"))
}

/// A whole kernel stack in one line, leaf first; empty without a stack.
pub fn whole_kernel_line(profile: &Profile, kernel: StackId) -> String {
    without_names(profile, kernel)
        .unwrap_or_else(|| joined(kernel_functions(&profile.stacks, kernel).map(locks::base)))
}

pub fn joined<'a>(functions: impl Iterator<Item = &'a str>) -> String {
    let functions: Vec<_> = functions.take(FUNCTIONS).map(clean::name).collect();
    functions.join(" < ")
}

/// Functions of a user or kernel stack, leaf first, in one line.
pub fn stack_line(folder: &mut Folder<'_>, id: StackId) -> String {
    folder.stack_end(id, FUNCTIONS);
    pushed_line(folder, |name| name)
}

/// Takes back what was pushed, as a line: its functions, leaf first, each as `of` shows it.
pub fn pushed_line(folder: &mut Folder<'_>, of: impl Fn(&str) -> &str) -> String {
    let line = joined(folder.pushed().iter().rev().map(|name| of(folder.name(*name))));
    folder.discard();
    line
}

/// A hash of what a table shows of a line: rows that look the same become one. Equal hashes of different
/// lines are one chance in billions.
pub fn line_hash(line: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    shown(line).hash(&mut hasher);
    hasher.finish()
}

pub fn labelled(page: &mut Page<'_>, label: &str, line: &str) -> io::Result<()> {
    if line.is_empty() { Ok(()) } else { page.line(&format!("      {label:<6} {}", cut_at_function(line))) }
}

/// Cuts a line of functions after a whole one.
pub fn cut_at_function(line: &str) -> String {
    match shown(line) {
        (head, true) => format!("{head} …"),
        (whole, false) => whole.to_owned(),
    }
}

/// What there is room for, and whether functions are missing behind it.
fn shown(line: &str) -> (&str, bool) {
    let Some((end, _)) = line.char_indices().nth(WIDTH - 16) else { return (line, false) };
    let short = &line[..end];
    short.rsplit_once(" < ").map_or((short, false), |(head, _)| (head, true))
}
