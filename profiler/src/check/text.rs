//! The report as a table.
//!
//! In: judged facts and probes. Out: lines of at most 100 columns: mark, subject, state, then indented notes.

use std::io::{self, Write};

use super::line::{Line, Mark};
use super::verdict::Verdict;
use crate::plan::table::backends;

/// Columns a line may take.
const COLUMNS: usize = 100;
/// Where the state begins: two blanks, the mark, the subject.
const STATE: usize = 25;

/// Writes facts, probes and verdicts.
pub fn write(
    (version, lines, verdicts): (&str, &[Line], &[Verdict]),
    verbose: bool,
    out: &mut dyn Write,
) -> io::Result<()> {
    writeln!(out, "profiler {version}: what this kernel and this user may do\n")?;
    for line in lines {
        write_line(line, verbose, out)?;
    }
    writeln!(out, "\nprobes")?;
    for verdict in verdicts {
        write_probe(verdict, verbose, out)?;
    }
    if verbose {
        write_candidates(out)?;
    }
    writeln!(out, "\nverdict")?;
    for verdict in verdicts {
        write_row(verdict.mark, verdict.assessment.probe.name(), &conclusion(verdict), out)?;
    }
    Ok(())
}

fn write_line(line: &Line, verbose: bool, out: &mut dyn Write) -> io::Result<()> {
    let joined = match line.notes.as_slice() {
        [note] => format!("{}; {note}", line.state),
        _ => line.state.clone(),
    };
    let short = joined.chars().count() + STATE <= COLUMNS;
    write_row(line.mark, &line.subject, if short { &joined } else { &line.state }, out)?;
    // What is as it should be needs no second line, unless it was asked for.
    let (shown, told) = (verbose || line.mark != Mark::Ok, short && line.notes.len() == 1);
    for note in line.notes.iter().filter(|_| shown && !told) {
        write_note("", note, out)?;
    }
    if line.mend.is_empty() { Ok(()) } else { write_note("fix: ", &line.mend, out) }
}

fn write_probe(verdict: &Verdict, verbose: bool, out: &mut dyn Write) -> io::Result<()> {
    let backend = if verdict.backend.is_empty() { "cannot run" } else { &verdict.backend };
    write_row(verdict.mark, verdict.assessment.probe.name(), backend, out)?;
    if verbose && !verdict.attach.is_empty() {
        write_note("hooks: ", &verdict.attach.join(", "), out)?;
    }
    for alternative in &verdict.alternatives {
        write_note("else: ", alternative, out)?;
    }
    for miss in &verdict.assessment.misses {
        write_note("misses: ", miss, out)?;
    }
    let obstacles = &verdict.assessment.obstacles;
    for (position, obstacle) in obstacles.iter().enumerate() {
        write_note("why: ", &obstacle.cause, out)?;
        // If several causes have the same fix, it stands once, after the last of them.
        if obstacles.get(position + 1).is_none_or(|next| next.mend != obstacle.mend) {
            write_note("fix: ", &obstacle.mend, out)?;
        }
    }
    Ok(())
}

fn write_candidates(out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "\nbackends, best first")?;
    for backend in backends() {
        let built = if backend.built { "" } else { " (not in this version)" };
        let place = backend.part.of(backend.probe);
        write_row_text("", &place, &format!("{}{built}", backend.name), out)?;
        write_note("hooks: ", &backend.hooks.places().join(", "), out)?;
        for extra in backend.extras {
            write_note("with: ", &format!("{} {}", extra.name, extra.attach.join(", ")), out)?;
        }
    }
    Ok(())
}

fn conclusion(verdict: &Verdict) -> String {
    match verdict.mark {
        Mark::Ok => "can run".to_owned(),
        Mark::Warn => match verdict.assessment.obstacles.first() {
            Some(obstacle) => format!("can run in part: {}", obstacle.cause),
            None => "can run in part".to_owned(),
        },
        Mark::No => match verdict.assessment.obstacles.first() {
            Some(obstacle) => format!("cannot run: {}", obstacle.cause),
            None => "cannot run".to_owned(),
        },
    }
}

fn write_row(mark: Mark, subject: &str, state: &str, out: &mut dyn Write) -> io::Result<()> {
    write_row_text(mark.name(), subject, state, out)
}

fn write_row_text(mark: &str, subject: &str, state: &str, out: &mut dyn Write) -> io::Result<()> {
    let mut head = format!("  {mark:<5} {subject:<16} ");
    for part in wrap(state, COLUMNS - STATE) {
        writeln!(out, "{}", format!("{head:<STATE$}{part}").trim_end())?;
        head.clear();
    }
    Ok(())
}

fn write_note(label: &str, text: &str, out: &mut dyn Write) -> io::Result<()> {
    let mut head = label.to_owned();
    for part in wrap(text, COLUMNS - STATE - label.len()) {
        writeln!(out, "{:STATE$}{head}{part}", "")?;
        head = " ".repeat(label.len());
    }
    Ok(())
}

/// Breaks text at blanks into parts of at most `width` characters; longer words are cut.
fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut parts = vec![String::new()];
    for word in text.split(' ') {
        let mut word: Vec<char> = word.chars().collect();
        loop {
            let used = parts.last().map_or(0, |part| part.chars().count());
            let gap = usize::from(used > 0);
            if used + gap + word.len() <= width || used == 0 {
                let rest = word.split_off(word.len().min(width));
                if let Some(part) = parts.last_mut() {
                    part.extend(std::iter::repeat_n(' ', gap).chain(word));
                }
                word = rest;
            } else {
                parts.push(String::new());
                continue;
            }
            if word.is_empty() {
                break;
            }
            parts.push(String::new());
        }
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_breaks_at_blanks_and_words_that_are_too_long_are_cut() {
        assert_eq!(wrap("ab cd efg", 5), ["ab cd", "efg"]);
        assert_eq!(wrap("abcdefgh i", 3), ["abc", "def", "gh", "i"]);
        assert_eq!(wrap("", 3), [""]);
    }

    #[test]
    fn widths_count_characters_not_bytes() {
        assert_eq!(wrap("ää öö", 5), ["ää öö"]);
    }
}
