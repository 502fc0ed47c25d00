//! In: what was counted per program. Out: the block of `docs/symbols.md`: a table, whether each row keeps its bar, and what
//! ours lacks where it lacks something.

use std::{collections::BTreeMap, fmt::Write as _};

use super::{
    count,
    programs::{Bar, Program},
    share::Share,
    tools::{FREQUENCY, Measured, PERF, SECONDS},
};
use crate::bench::machine;

/// What a share must be, in per cent.
const ENOUGH: f64 = 99.0;
/// What a computed bound may be off by.
const ROUNDING: f64 = 1e-6;
/// A lack below this share of the samples is not told, in per cent.
const TELLING: f64 = 0.5;

/// A row: a program and what became of it.
pub type Row<'p> = (&'p Program, Result<Measured, String>);

pub fn described(rows: &[Row<'_>]) -> String {
    let mut text = format!(
        "CPU samples of programs under load, {SECONDS} s each at {FREQUENCY} Hz by `cpu-clock`: ours, `perf record -g` and \
         `perf record --call-graph dwarf,16384`, all three at the same time (ours 2 s longer). {}. In %, with 95 % intervals; a row keeps its bar beside perf unless the 95 % interval of \
         the difference says that ours is less.\n\n\
         | Program | samples: ours, perf -g, perf dwarf | roots: ours | perf -g | perf dwarf | names: ours | perf -g \
         | perf dwarf | named frames of a stack: ours, perf -g, perf dwarf | bar |\n|---|---|---|---|---|---|---|---|---|---|\n",
        machine::described()
    );
    for (program, measured) in rows {
        match measured {
            Ok(measured) => push_row(&mut text, program, measured),
            Err(reason) => {
                let _ = writeln!(text, "| {} | not measured: {reason} | | | | | | | | |", program.name);
            }
        }
    }
    let _ = write!(
        text,
        "\nStarts of threads, for all tools: {}, names that begin with `__libc_start_main`.\n",
        count::starts()
    );
    let lacks: String =
        rows.iter().filter_map(|(program, measured)| lack(program, measured.as_ref().ok()?)).collect();
    if !lacks.is_empty() {
        let _ = write!(text, "\nWhat ours lacks, in % of the row's samples:\n\n{lacks}");
    }
    text
}

fn push_row(text: &mut String, program: &Program, measured: &Measured) {
    let [pointers, tables] = &measured.perf;
    let tallies = [&measured.ours, pointers, tables];
    let samples = tallies.map(|tally| tally.samples().to_string()).join(", ");
    let frames = tallies.map(|tally| format!("{:.1}", tally.named_frames())).join(", ");
    let roots = tallies.map(|tally| tally.roots());
    let names = tallies.map(|tally| tally.names());
    let cells = [roots, names].concat().iter().map(shown).collect::<Vec<_>>().join(" | ");
    let misses = misses(program.bar, &roots, &names);
    let bar = if misses.is_empty() { "kept".to_owned() } else { format!("missed: {}", misses.join(", ")) };
    let _ = writeln!(text, "| {} | {samples} | {cells} | {frames} | {bar} |", program.name);
}

fn shown(share: &Share) -> String {
    if share.value.is_nan() {
        return "–".to_owned();
    }
    format!("{:.1} ({:.1} – {:.1})", share.value, share.low, share.high)
}

/// What a row misses. Less than a peer is what the 95 % interval of the difference tells from it.
fn misses(bar: Bar, roots: &[Share; 3], names: &[Share; 3]) -> Vec<String> {
    let mut misses = Vec::new();
    for (what, [ours, perf @ ..], held) in [("roots", roots, bar.roots), ("names", names, bar.names)] {
        if held && (ours.value.is_nan() || ours.value < ENOUGH) {
            misses.push(format!("{what} below {ENOUGH} %"));
        }
        for ((peer, _), theirs) in PERF.iter().zip(perf) {
            if is_less(ours, theirs) {
                misses.push(format!("fewer {what} than {peer}"));
            }
        }
    }
    misses
}

fn is_less(ours: &Share, theirs: &Share) -> bool {
    let spread = (ours.high - ours.value).hypot(theirs.value - theirs.low);
    ours.value + spread + ROUNDING < theirs.value || (ours.value.is_nan() && theirs.value > 0.0)
}

fn lack(program: &Program, measured: &Measured) -> Option<String> {
    let samples = measured.ours.samples();
    let told: Vec<String> = [("no root", &measured.ours.ends), ("no name", &measured.ours.nameless)]
        .into_iter()
        .filter_map(|(what, found)| Some(format!("{what}: {}", most(found, samples)?)))
        .collect();
    (!told.is_empty()).then(|| format!("- {}: {}.\n", program.name, told.join("; ")))
}

/// The three heaviest; `None` if none is worth telling.
fn most(found: &BTreeMap<String, u64>, samples: u64) -> Option<String> {
    let share = |weight: u64| 100.0 * weight as f64 / samples.max(1) as f64;
    let mut found: Vec<(&String, f64)> = found.iter().map(|(what, weight)| (what, share(*weight))).collect();
    found.retain(|(_, share)| *share >= TELLING);
    found.sort_by(|a, b| b.1.total_cmp(&a.1));
    let told: Vec<String> =
        found.iter().take(3).map(|(what, share)| format!("{what} ({share:.1})")).collect();
    (!told.is_empty()).then(|| told.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn share(low: f64, value: f64, high: f64) -> Share {
        Share { value, low, high }
    }

    #[test]
    fn a_row_misses_what_it_is_held_to_and_what_a_peer_has_more_of() {
        let all = Bar { roots: true, names: true };
        let full = share(99.5, 100.0, 100.0);
        assert!(misses(all, &[full; 3], &[full; 3]).is_empty());
        let half = share(45.0, 50.0, 55.0);
        assert_eq!(
            misses(all, &[half, share(50.0, 54.0, 58.0), full], &[full; 3]),
            ["roots below 99 %", "fewer roots than perf dwarf"]
        );
        assert!(misses(Bar { roots: false, names: false }, &[half; 3], &[half; 3]).is_empty());
    }

    #[test]
    fn the_heaviest_lacks_are_told_and_light_ones_are_not() {
        let found = [("a", 1), ("b", 30), ("c", 50)].map(|(what, weight)| (what.to_owned(), weight));
        assert_eq!(most(&BTreeMap::from(found), 1000).as_deref(), Some("c (5.0), b (3.0)"));
        assert_eq!(most(&BTreeMap::new(), 1000), None);
    }
}
