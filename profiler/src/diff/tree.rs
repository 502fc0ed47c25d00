//! The stacks of two sides, as far as they are wide enough to be drawn.
//!
//! In: paths with two weights, in order. Out: folded lines with both; a frame that is narrower than a part of
//! a pixel in both is cut off its path, and its weight stays with the frame below. Memory: a number for each
//! path. No recursion.

use super::paths::{Pair, Pairs};

/// A node narrower than this part of the whole, before and after, is left out: a quarter of a pixel of 1,200.
const NARROWEST: f64 = 4800.0;

/// A line of a differential graph.
pub struct Line {
    /// Frames, `;` between them.
    pub stack: String,
    /// Weight before.
    pub before: u64,
    /// Weight after.
    pub after: u64,
}

/// Lines that are drawn, neighbours in the tree next to each other.
pub fn lines(pairs: &Pairs) -> Vec<Line> {
    let depths = depths(&pairs.paths, narrowest(pairs));
    let mut lines: Vec<Line> = Vec::new();
    let mut sum = (0.0, 0.0);
    for (at, (pair, depth)) in pairs.paths.iter().zip(&depths).enumerate() {
        sum = (sum.0 + pair.before, sum.1 + pair.after);
        let shown = &pair.frames[..*depth];
        let next = pairs.paths.get(at + 1).zip(depths.get(at + 1));
        if next.is_some_and(|(next, depth)| &next.frames[..*depth] == shown) {
            continue;
        }
        let stack: Vec<&str> = shown.iter().map(|frame| pairs.name(*frame)).collect();
        let (before, after) = (rounded(sum.0), rounded(sum.1));
        if !stack.is_empty() && before + after > 0 {
            lines.push(Line { stack: stack.join(";"), before, after });
        }
        sum = (0.0, 0.0);
    }
    lines
}

/// Half of what inferno sums in: absurd weights must not overflow.
fn rounded(weight: f64) -> u64 {
    weight.clamp(0.0, (1u64 << 50) as f64).round() as u64
}

fn narrowest(pairs: &Pairs) -> (f64, f64) {
    let (before, after) = pairs.totals();
    (before / NARROWEST, after / NARROWEST)
}

/// How many frames of each path are drawn.
fn depths(paths: &[Pair], narrowest: (f64, f64)) -> Vec<usize> {
    let mut depths: Vec<usize> = paths.iter().map(|pair| pair.frames.len()).collect();
    // Open nodes: where each began, and its weights so far.
    let mut open: Vec<(usize, f64, f64)> = Vec::new();
    for at in 0..=paths.len() {
        let here = paths.get(at);
        let shared = match (at.checked_sub(1).and_then(|last| paths.get(last)), here) {
            (Some(last), Some(here)) => {
                last.frames.iter().zip(&here.frames).take_while(|(a, b)| a == b).count()
            }
            _ => 0,
        };
        while open.len() > shared {
            let Some((begin, before, after)) = open.pop() else { break };
            if before <= narrowest.0 && after <= narrowest.1 {
                let depth = open.len();
                depths[begin..at].iter_mut().for_each(|own| *own = (*own).min(depth));
            }
            if let Some(below) = open.last_mut() {
                (below.1, below.2) = (below.1 + before, below.2 + after);
            }
        }
        if let Some(here) = here {
            open.extend(here.frames.iter().skip(shared).map(|_| (at, 0.0, 0.0)));
            if let Some(leaf) = open.last_mut() {
                (leaf.1, leaf.2) = (leaf.1 + here.before, leaf.2 + here.after);
            }
        }
    }
    depths
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(paths: &[(&[u32], f64, f64)]) -> Pairs {
        let pair = |(frames, before, after): &(&[u32], f64, f64)| Pair {
            frames: frames.to_vec(),
            before: *before,
            after: *after,
        };
        let names = ["main", "a", "b", "c"].map(str::to_owned).to_vec();
        Pairs { names, paths: paths.iter().map(pair).collect(), left_out: (0.0, 0.0) }
    }

    #[test]
    fn what_is_narrow_on_both_sides_goes_to_the_frame_below() {
        let found = lines(&pairs(&[
            (&[0], 0.0, 5.0),
            (&[0, 1, 2], 1.0, 1.0),
            (&[0, 1, 3], 1.0, 0.0),
            (&[0, 2], 100_000.0, 1.0),
            (&[0, 3], 1.0, 100_000.0),
        ]));
        let found: Vec<_> = found.iter().map(|line| (line.stack.as_str(), line.before, line.after)).collect();
        assert_eq!(found, [("main", 2, 6), ("main;b", 100_000, 1), ("main;c", 1, 100_000)]);
    }

    #[test]
    fn no_weight_is_lost() {
        let mut paths: Vec<(Vec<u32>, f64, f64)> =
            (0..3_000u32).map(|at| (vec![0, 1 + at % 3, at], f64::from(at), 7.0)).collect();
        paths.sort_by(|a, b| a.0.cmp(&b.0));
        let borrowed: Vec<(&[u32], f64, f64)> =
            paths.iter().map(|(frames, before, after)| (frames.as_slice(), *before, *after)).collect();
        let found = lines(&pairs(&borrowed));
        assert_eq!(found.iter().map(|line| line.before).sum::<u64>(), (0..3_000).sum::<u64>());
        assert_eq!(found.iter().map(|line| line.after).sum::<u64>(), 21_000);
        assert!(lines(&pairs(&[])).is_empty());
    }
}
