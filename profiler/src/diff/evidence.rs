//! The stacks that moved most.
//!
//! In: paths with two weights. Out: the heaviest changes of each picture. They are evidence, not verdicts: single stacks have no noise floor.

use super::paths::{Pair, Pairs};
use super::side::Side;
use crate::probe::Picture;
use crate::render::pictures::drawing;

/// A stack that moved.
#[derive(Clone, Debug)]
pub struct Moved {
    /// Of which picture.
    pub picture: Picture,
    /// Unit of the weights: `ns` or `samples`.
    pub unit: &'static str,
    /// Frames, the root first.
    pub stack: Vec<String>,
    /// Before, a second.
    pub before: f64,
    /// After, a second.
    pub after: f64,
}

/// The stacks of a picture whose weight a second changed most, at most `most`.
pub fn moved(before: &Side, after: &Side, picture: Picture, most: usize) -> Vec<Moved> {
    let pairs = Pairs::new(before, after, picture);
    let seconds = after.seconds();
    if seconds <= 0.0 {
        return Vec::new();
    }
    let change = |pair: &Pair| (pair.after - pair.before).abs();
    let mut order: Vec<&Pair> = pairs.paths.iter().filter(|pair| change(pair) > 0.0).collect();
    order.sort_by(|a, b| change(b).total_cmp(&change(a)).then_with(|| a.frames.cmp(&b.frames)));
    let row = |pair: &Pair| Moved {
        picture,
        unit: drawing(picture).unit,
        stack: pair.frames.iter().map(|frame| pairs.name(*frame).to_owned()).collect(),
        before: pair.before / seconds,
        after: pair.after / seconds,
    };
    order.into_iter().take(most).map(row).collect()
}
