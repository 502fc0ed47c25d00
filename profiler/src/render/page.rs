//! A page of text, at most 100 columns wide.
//!
//! In: headings, paragraphs, tables. Out: wrapped and aligned lines; or the same as [`Block`]s, for pages that wrap and align by
//! themselves. Cells are expected clean.

use std::io::{self, Write};

use serde::Serialize;

/// Columns of a page.
pub const WIDTH: usize = 100;

/// A column of a table.
#[derive(Clone, Copy, Debug)]
pub struct Column {
    title: &'static str,
    right: bool,
    /// It gives way last.
    decides: bool,
}

/// A column of text: gives way where the page is too narrow.
pub const fn text(title: &'static str) -> Column {
    Column { title, right: false, decides: false }
}

/// A column of text that the reader needs whole: gives way when no other can.
pub const fn decisive(title: &'static str) -> Column {
    Column { title, right: false, decides: true }
}

/// A column of numbers.
pub const fn number(title: &'static str) -> Column {
    Column { title, right: true, decides: false }
}

/// A part of a page, not yet wrapped and aligned.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Block {
    /// What follows is about this.
    Heading(String),
    /// A line or paragraph: its mark, and its text.
    Text(String, String),
    /// A table: titles, which columns are numbers, rows.
    Table(Vec<&'static str>, Vec<bool>, Vec<Vec<String>>),
}

/// Where the page is written to.
pub struct Page<'w> {
    out: Out<'w>,
}

enum Out<'w> {
    Lines(&'w mut dyn Write),
    Blocks(&'w mut Vec<Block>),
}

impl<'w> Page<'w> {
    /// An empty page.
    pub fn new(out: &'w mut dyn Write) -> Self {
        Self { out: Out::Lines(out) }
    }

    /// An empty page that is neither wrapped nor aligned.
    pub fn of_blocks(blocks: &'w mut Vec<Block>) -> Self {
        Self { out: Out::Blocks(blocks) }
    }

    /// A heading after an empty line.
    pub fn heading(&mut self, heading: &str) -> io::Result<()> {
        match &mut self.out {
            Out::Lines(out) => writeln!(out, "\n{}", cut(heading, WIDTH))?,
            Out::Blocks(blocks) => blocks.push(Block::Heading(heading.to_owned())),
        }
        Ok(())
    }

    /// One line, cut at the page's edge.
    pub fn line(&mut self, line: &str) -> io::Result<()> {
        match &mut self.out {
            Out::Lines(out) => writeln!(out, "{}", cut(line, WIDTH).trim_end())?,
            Out::Blocks(blocks) => blocks.push(Block::Text(String::new(), line.trim().to_owned())),
        }
        Ok(())
    }

    /// Text wrapped at words; `mark` opens its first line, the others are indented alike.
    pub fn paragraph(&mut self, mark: &str, paragraph: &str) -> io::Result<()> {
        if let Out::Blocks(blocks) = &mut self.out {
            blocks.push(Block::Text(mark.trim().to_owned(), paragraph.to_owned()));
            return Ok(());
        }
        let indent = mark.chars().count();
        let mut line = mark.to_owned();
        let mut length = indent;
        for word in words(paragraph) {
            let word = cut(&word, WIDTH - indent);
            let more = word.chars().count();
            if length > indent && length + 1 + more > WIDTH {
                self.line(&line)?;
                line = " ".repeat(indent);
                length = indent;
            }
            if length > indent {
                line.push(' ');
                length += 1;
            }
            line.push_str(&word);
            length += more;
        }
        self.line(&line)
    }

    /// A table, indented by two. What does not fit a decisive column goes on in the lines below.
    pub fn table(&mut self, columns: &[Column], rows: &[Vec<String>]) -> io::Result<()> {
        if let Out::Blocks(blocks) = &mut self.out {
            let titles = columns.iter().map(|column| column.title).collect();
            let numbers = columns.iter().map(|column| column.right).collect();
            blocks.push(Block::Table(titles, numbers, rows.to_vec()));
            return Ok(());
        }
        let widths = widths(columns, rows);
        let titles: Vec<_> = columns.iter().map(|column| column.title.to_owned()).collect();
        for row in std::iter::once(&titles).chain(rows) {
            let cells = row.iter().zip(columns).zip(&widths);
            let cells: Vec<_> = cells.map(|((cell, column), &width)| parts(cell, column, width)).collect();
            for at in 0..cells.iter().map(Vec::len).max().unwrap_or(0) {
                let mut line = String::new();
                for ((parts, column), &width) in cells.iter().zip(columns).zip(&widths) {
                    let cell = parts.get(at).map_or("", String::as_str);
                    let padding = " ".repeat(width - cell.chars().count());
                    let (before, after) = if column.right { (&*padding, "") } else { ("", &*padding) };
                    line.push_str(&format!("  {before}{cell}{after}"));
                }
                self.line(&line)?;
            }
        }
        Ok(())
    }
}

/// Words of a paragraph; a number and its unit are one.
fn words(paragraph: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    for word in paragraph.split(' ') {
        let unit = matches!(word.trim_end_matches([',', '.', ';', ':', ')']), "ns" | "µs" | "ms" | "s" | "%");
        match words.last_mut() {
            Some(number) if unit && number.ends_with(|last: char| last.is_ascii_digit()) => {
                number.push(' ');
                number.push_str(word);
            }
            _ => words.push(word.to_owned()),
        }
    }
    words
}

/// Columns of text give way down to this, decisive ones too, before any gives way further.
const READABLE: usize = 10;

/// Widths that fit the page: the widest text column gives way first, decisive ones after all others.
fn widths(columns: &[Column], rows: &[Vec<String>]) -> Vec<usize> {
    let length = |text: &str| text.chars().count();
    let mut widths: Vec<_> = columns.iter().map(|column| length(column.title)).collect();
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(length(cell));
        }
    }
    while widths.iter().map(|width| width + 2).sum::<usize>() > WIDTH {
        let widest = |decides: bool, least: usize| {
            let texts = (0..widths.len()).filter(|at| !columns[*at].right && columns[*at].decides == decides);
            texts.filter(|at| widths[*at] > least).max_by_key(|at| widths[*at])
        };
        match widest(false, READABLE).or_else(|| widest(true, READABLE)).or_else(|| widest(false, 4)) {
            Some(at) => widths[at] -= 1,
            None => break,
        }
    }
    widths
}

/// Lines that a decisive cell takes at most.
const CELL_LINES: usize = 8;

/// A cell's lines: one, cut where it is too long; as many as it takes where it decides.
fn parts(cell: &str, column: &Column, width: usize) -> Vec<String> {
    if !column.decides || cell.chars().count() <= width || width == 0 {
        return vec![cut(cell, width)];
    }
    let mut lines = Vec::new();
    let mut rest: Vec<char> = cell.chars().collect();
    while rest.len() > width && lines.len() + 1 < CELL_LINES {
        // A line ends at a space, unless little would be on it.
        let space = rest[..=width].iter().rposition(|character| *character == ' ');
        let space = space.filter(|at| *at > width / 4);
        let line: String = rest[..space.unwrap_or(width)].iter().collect();
        rest.drain(..space.map_or(width, |at| at + 1));
        lines.push(line);
    }
    lines.push(cut(&rest.into_iter().collect::<String>(), width));
    lines
}

/// The first `width` characters, with `…` for a cut.
pub fn cut(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    let mut short: String = text.chars().take(width.saturating_sub(1)).collect();
    short.push('…');
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_decisive_column_gives_way_last() {
        let columns = [text("process"), decisive("of"), text("parts")];
        let socket = "tcp 127.0.0.1:9003 → 127.0.0.1:45678";
        let row =
            vec!["a-process-with-a-long-name".repeat(2), socket.to_owned(), "86 % asleep, 11 %".repeat(3)];
        let mut out = Vec::new();
        Page::new(&mut out).table(&columns, &[row]).unwrap();
        let page = String::from_utf8(out).unwrap();
        assert!(page.contains(socket) && page.lines().all(|line| line.chars().count() <= WIDTH), "{page}");
    }

    #[test]
    fn a_decisive_cell_is_whole_on_more_lines() {
        let columns = [number("n"), decisive("of"), text("parts")];
        let path = format!("\"/{}\" in /srv", "directory/".repeat(14));
        let row = vec!["1234".to_owned(), path.clone(), "86 % asleep".to_owned()];
        let mut out = Vec::new();
        Page::new(&mut out).table(&columns, &[row]).unwrap();
        let page = String::from_utf8(out).unwrap();
        assert!(page.lines().all(|line| line.chars().count() <= WIDTH), "{page}");
        let words = |text: &str| text.split_whitespace().collect::<String>();
        let told = words(&page.replace("n  of", "").replace("parts", "").replace("1234", ""));
        assert_eq!(told.replace("86%asle…", ""), words(&path), "{page}");
    }

    #[test]
    fn nothing_is_wider_than_the_page() {
        let mut out = Vec::new();
        let mut page = Page::new(&mut out);
        page.paragraph("  - ", &"word ".repeat(60)).unwrap();
        page.paragraph("", &"x".repeat(300)).unwrap();
        page.table(
            &[text("a"), number("n"), text("b")],
            &[vec!["é".repeat(90), "12".into(), "y".repeat(70)]],
        )
        .unwrap();
        let page = String::from_utf8(out).unwrap();
        assert!(page.lines().all(|line| line.chars().count() <= WIDTH), "{page}");
        assert!(page.contains("12"), "numbers are never cut:\n{page}");
    }
}
