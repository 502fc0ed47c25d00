//! A picture that says why there is nothing in it: inferno refuses empty input.
//!
//! In: three lines of text. Out: an SVG.

use std::io::Write;

use super::caption::escape;

/// Writes it: title, what it is of, why it is blank.
///
/// # Errors
/// What `out` says.
pub fn write(title: &str, place: &str, reason: &str, out: &mut dyn Write) -> std::io::Result<()> {
    writeln!(
        out,
        r#"<?xml version="1.0" encoding="UTF-8"?>
<svg version="1.1" width="1200" height="110" viewBox="0 0 1200 110" xmlns="http://www.w3.org/2000/svg" font-family="monospace" text-anchor="middle">
<rect width="1200" height="110" fill="whitesmoke"/>
<text x="600" y="28" font-size="17">{}</text>
<text x="600" y="54" font-size="12" fill="dimgray">{}</text>
<text x="600" y="84" font-size="14">{}</text>
</svg>"#,
        escape(title),
        escape(place),
        escape(reason)
    )
}
