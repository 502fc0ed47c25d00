//! CSV (RFC 4180): all rows in one table, for spreadsheets and DuckDB.
//!
//! In: flat rows. Out: a line of column names, then a line for each row. A name that a spreadsheet would take for a formula
//! has a `'` in front.

use std::io::{self, BufWriter, Write};

use super::flat::{COLUMNS, FlatRow, each};
use crate::probe::Picture;
use crate::render::Rendering;

/// Writes the table.
///
/// # Errors
/// What the writer returns.
pub fn write(rendering: &Rendering<'_>, _: Option<Picture>, out: &mut dyn Write) -> anyhow::Result<()> {
    let mut buffered = BufWriter::new(out);
    buffered.write_all(COLUMNS.join(",").as_bytes())?;
    buffered.write_all(b"\r\n")?;
    each(rendering, &mut |row| line(row, &mut buffered))?;
    Ok(buffered.flush()?)
}

fn line(row: &FlatRow<'_>, out: &mut dyn Write) -> io::Result<()> {
    let number = |value: Option<u64>| value.map_or_else(String::new, |value| value.to_string());
    let FlatRow { table, container, process, pid, name, detail, class, start_ns, end_ns, .. } = row;
    let FlatRow { count, total, unit, p50_ns, p99_ns, max_ns, stack, .. } = row;
    let cells = [
        (*table).to_owned(),
        cell(container),
        cell(process),
        number(pid.map(u64::from)),
        cell(name),
        cell(detail),
        (*class).to_owned(),
        number(*start_ns),
        number(*end_ns),
        number(*count),
        number(*total),
        (*unit).to_owned(),
        number(*p50_ns),
        number(*p99_ns),
        number(*max_ns),
        cell(stack),
    ];
    out.write_all(cells.join(",").as_bytes())?;
    out.write_all(b"\r\n")
}

/// A text as a cell.
fn cell(text: &str) -> String {
    let text = if text.starts_with(['=', '+', '-', '@']) { format!("'{text}") } else { text.to_owned() };
    if text.contains([',', '"', '\n', '\r']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_end_where_they_end_and_none_is_a_formula() {
        assert_eq!(cell("plain"), "plain");
        assert_eq!(cell("a,b"), "\"a,b\"");
        assert_eq!(cell("say \"x\""), "\"say \"\"x\"\"\"");
        assert_eq!(cell("=cmd()"), "'=cmd()");
        assert_eq!(cell("@a,b"), "\"'@a,b\"");
    }
}
