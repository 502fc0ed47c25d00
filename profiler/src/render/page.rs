//! A page of text, at most 100 columns wide.
//!
//! In: headings, paragraphs, tables. Out: wrapped and aligned lines. Cells are expected clean.

use std::io::{self, Write};

/// Columns of a page.
pub const WIDTH: usize = 100;

/// A column of a table.
#[derive(Clone, Copy, Debug)]
pub struct Column {
    title: &'static str,
    right: bool,
}

/// A column of text: gives way where the page is too narrow.
pub const fn text(title: &'static str) -> Column {
    Column { title, right: false }
}

/// A column of numbers.
pub const fn number(title: &'static str) -> Column {
    Column { title, right: true }
}

/// Where the page is written to.
pub struct Page<'w> {
    out: &'w mut dyn Write,
}

impl<'w> Page<'w> {
    /// An empty page.
    pub fn new(out: &'w mut dyn Write) -> Self {
        Self { out }
    }

    /// A heading after an empty line.
    pub fn heading(&mut self, heading: &str) -> io::Result<()> {
        writeln!(self.out, "\n{}", cut(heading, WIDTH))
    }

    /// One line, cut at the page's edge.
    pub fn line(&mut self, line: &str) -> io::Result<()> {
        writeln!(self.out, "{}", cut(line, WIDTH).trim_end())
    }

    /// Text wrapped at words; `mark` opens its first line, the others are indented alike.
    pub fn paragraph(&mut self, mark: &str, paragraph: &str) -> io::Result<()> {
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

    /// A table, indented by two.
    pub fn table(&mut self, columns: &[Column], rows: &[Vec<String>]) -> io::Result<()> {
        let widths = widths(columns, rows);
        let titles: Vec<_> = columns.iter().map(|column| column.title.to_owned()).collect();
        for row in std::iter::once(&titles).chain(rows) {
            let mut line = String::new();
            for ((cell, column), &width) in row.iter().zip(columns).zip(&widths) {
                let cell = cut(cell, width);
                let padding = " ".repeat(width - cell.chars().count());
                let (before, after) = if column.right { (&*padding, "") } else { ("", &*padding) };
                line.push_str(&format!("  {before}{cell}{after}"));
            }
            self.line(&line)?;
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

/// Widths that fit the page: the widest text column gives way first.
fn widths(columns: &[Column], rows: &[Vec<String>]) -> Vec<usize> {
    let length = |text: &str| text.chars().count();
    let mut widths: Vec<_> = columns.iter().map(|column| length(column.title)).collect();
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(length(cell));
        }
    }
    while widths.iter().map(|width| width + 2).sum::<usize>() > WIDTH {
        let widest = (0..widths.len()).filter(|at| !columns[*at].right).max_by_key(|at| widths[*at]);
        match widest {
            Some(at) if widths[at] > 4 => widths[at] -= 1,
            _ => break,
        }
    }
    widths
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
