//! Folded stacks as a file.
//!
//! In: [`Folded`]. Out: one line per path: `frame;frame;frame weight`, in name order, at most [`BYTES`]. Where there are more,
//! the heaviest paths are written, and the last lines sum the others by class: all weights add up as before.

use std::cmp::Reverse;
use std::io::{self, Write};

use super::fold::{Folded, Light, Path, left_out};

/// Bytes of a file at most.
pub const BYTES: u64 = 20_000_000;
/// What the last lines take of them at most.
const LAST_LINES: u64 = 1_000;

/// The paths of a file, if not all have room.
struct Cut {
    kept: Vec<bool>,
    light: Light,
}

/// How many stacks have no line of their own.
pub fn cut(folded: &Folded) -> u64 {
    folded.light() + choose(folded).map_or(0, |cut| cut.light.paths())
}

/// Writes the lines.
///
/// # Errors
/// Errors of the writer.
pub fn write(folded: &Folded, out: &mut dyn Write) -> io::Result<()> {
    let cut = choose(folded);
    let kept = |at: usize| cut.as_ref().is_none_or(|cut| cut.kept.get(at).copied().unwrap_or(false));
    for (_, path) in folded.paths().iter().enumerate().filter(|(at, _)| kept(*at)) {
        for (index, &frame) in folded.frames(path).iter().enumerate() {
            if index > 0 {
                out.write_all(b";")?;
            }
            out.write_all(folded.names.get(frame).as_bytes())?;
        }
        writeln!(out, " {}", path.weight)?;
    }
    let light = cut.iter().flat_map(|cut| cut.light.of_class());
    for (class, paths, weight) in light {
        writeln!(out, "[{}];{} {weight}", class.name(), left_out(paths))?;
    }
    Ok(())
}

/// Chooses the heaviest paths, if there is no room for all.
fn choose(folded: &Folded) -> Option<Cut> {
    let sizes: Vec<u64> = folded.paths().iter().map(|path| bytes(folded, path)).collect();
    if sizes.iter().sum::<u64>() <= BYTES {
        return None;
    }
    let mut heaviest: Vec<usize> = (0..sizes.len()).collect();
    heaviest.sort_by_key(|at| Reverse(folded.paths()[*at].weight));
    let mut cut = Cut { kept: vec![false; sizes.len()], light: Light::default() };
    let mut room = BYTES - LAST_LINES;
    for at in heaviest {
        if sizes[at] <= room {
            room -= sizes[at];
            cut.kept[at] = true;
        } else {
            // What is lighter does not take the place of what is heavier.
            room = 0;
            cut.light.add(&folded.paths()[at]);
        }
    }
    Some(cut)
}

/// Bytes of a path's line.
fn bytes(folded: &Folded, path: &Path) -> u64 {
    let names = folded.frames(path).iter().map(|frame| folded.names.get(*frame).len() as u64 + 1);
    names.sum::<u64>() + u64::from(path.weight.checked_ilog10().unwrap_or(0)) + 2
}

#[cfg(test)]
mod tests {
    use super::super::fold::Folder;
    use super::super::syscalls::CallClass;
    use super::*;
    use crate::profile::Profile;

    #[test]
    fn a_file_keeps_its_size_and_its_sum_and_says_what_it_left_out() {
        let profile = Profile::default();
        let mut folder = Folder::new(&profile);
        for at in 0..120_000u64 {
            folder.frame(&format!("{at:06}{}", "x".repeat(244)));
            folder.end(at + 1, if at % 2 == 0 { CallClass::Work } else { CallClass::Idle });
        }
        let folded = folder.finish();
        let mut out = Vec::new();
        write(&folded, &mut out).unwrap();
        assert!((BYTES * 99 / 100..=BYTES).contains(&(out.len() as u64)), "{}", out.len());
        let text = String::from_utf8(out).unwrap();
        let weight = |line: &str| line.rsplit_once(' ').unwrap().1.parse::<u64>().unwrap();
        assert_eq!(text.lines().map(weight).sum::<u64>(), 120_000 * 120_001 / 2);
        let (own, last): (Vec<_>, Vec<_>) =
            text.lines().partition(|line| !line.contains("lighter stacks: no room]"));
        assert_eq!((own.len() as u64 + cut(&folded), last.len()), (120_000, 2));
        let lightest = own.iter().map(|line| weight(line)).min().unwrap();
        assert_eq!(lightest, cut(&folded) + 1, "the lightest are left out");
    }
}
