//! Exports: a profile in the formats of other tools.
//!
//! In: a rendering, and perhaps one picture; without one, all. Out: bytes. A format is one file here with one
//! function, `write`, and one row in `format`. Every export says whose profile it is and what is missing from
//! it (`notes`), as far as its format has a place for that; docs/exports.md has the place.

mod csv;
mod firefox;
mod firefox_tables;
mod flat;
mod graphs;
mod ndjson;
mod notes;
mod openmetrics;
mod openmetrics_text;
mod otlp;
mod pprof;
mod protobuf;
mod speedscope;
mod trace;

use std::io::Write;

use crate::format::{ExportFormat, each_export};
use crate::probe::Picture;
use crate::render::Rendering;

macro_rules! formats {
    ($($format:ident $name:ident $opens:literal;)*) => {
        /// Writes a profile in a format; `picture` is for those that have pictures, none: all that were measured.
        ///
        /// # Errors
        /// What the writer returns.
        pub fn write(
            format: ExportFormat,
            rendering: &Rendering<'_>,
            picture: Option<Picture>,
            out: &mut dyn Write,
        ) -> anyhow::Result<()> {
            match format {
                $(ExportFormat::$format => $name::write(rendering, picture, out)?,)*
            }
            Ok(out.flush()?)
        }
    };
}

each_export!(formats);
