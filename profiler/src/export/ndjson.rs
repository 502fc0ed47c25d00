//! NDJSON: all rows, one JSON object to a line, for jq and DuckDB.
//!
//! In: flat rows. Out: objects of the same fields; a field that a table does not use is `null` or empty.

use std::io::{self, BufWriter, Write};

use super::flat::each;
use crate::probe::Picture;
use crate::render::Rendering;

/// Writes the rows.
///
/// # Errors
/// What the writer returns.
pub fn write(rendering: &Rendering<'_>, _: Option<Picture>, out: &mut dyn Write) -> anyhow::Result<()> {
    let mut buffered = BufWriter::new(out);
    each(rendering, &mut |row| {
        serde_json::to_writer(&mut buffered, row).map_err(io::Error::from)?;
        writeln!(buffered)
    })?;
    Ok(buffered.flush()?)
}
