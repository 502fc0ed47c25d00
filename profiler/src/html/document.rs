//! The file around the data: markup, policy, script, style.
//!
//! In: JSON and packed columns. Out: one HTML file. Its policy lets nothing be loaded or sent: the script and the style are allowed by their
//! hashes. Data stands in it as text that cannot end its element: what means something to HTML, and what acts on a reader, is escaped.

use std::io::{self, Write};

use serde::Serialize;

use super::digest::{base64, sha256};
use super::shortened;
use crate::hostile::acts;

/// The viewer: plain scripts, in this order, in one function.
const SCRIPTS: [&str; 12] = [
    include_str!("viewer/words.js"),
    include_str!("viewer/data.js"),
    include_str!("viewer/range.js"),
    include_str!("viewer/elements.js"),
    include_str!("viewer/table.js"),
    include_str!("viewer/timeline.js"),
    include_str!("viewer/layout.js"),
    include_str!("viewer/flame.js"),
    include_str!("viewer/functions.js"),
    include_str!("viewer/parts.js"),
    include_str!("viewer/slowest.js"),
    include_str!("viewer/main.js"),
];
const STYLE: &str = include_str!("viewer/style.css");

/// Writes the file.
///
/// # Errors
/// What the writer returns.
pub fn write(meta: &impl Serialize, columns: &[Vec<u8>], out: &mut dyn Write) -> io::Result<()> {
    let (script, style) = (script(), shortened::style(STYLE));
    let hash = |text: &str| base64(&sha256(text.as_bytes()));
    write!(
        out,
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; script-src 'sha256-{}'; style-src 'sha256-{}'; \
         base-uri 'none'; form-action 'none'\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"referrer\" content=\"no-referrer\">\n<title>profiler report</title>\n<style>{style}</style>\n</head>\n<body>\n\
         <noscript>This page needs scripts, which are part of the file. Without them: profiler report CAPTURE.</noscript>\n\
         <main id=\"page\"></main>\n\
         <script type=\"application/json\" id=\"meta\">",
        hash(&script),
        hash(&style),
    )?;
    out.write_all(json(meta)?.as_bytes())?;
    out.write_all(b"</script>\n<script type=\"application/octet-stream;base64\" id=\"data\">")?;
    // Whole groups of three bytes, so that no padding stands between them.
    let data: Vec<u8> = columns.concat();
    for part in data.chunks(3 << 16) {
        out.write_all(base64(part).as_bytes())?;
    }
    write!(out, "</script>\n<script>{script}</script>\n</body>\n</html>\n")
}

/// Bytes that the viewer takes.
pub fn viewer_bytes() -> usize {
    script().len() + shortened::style(STYLE).len()
}

fn script() -> String {
    format!("'use strict';\n(()=>{{\n{}}})();\n", shortened::script(&SCRIPTS.concat()))
}

/// JSON that is text wherever it stands.
fn json(meta: &impl Serialize) -> io::Result<String> {
    let plain = serde_json::to_string(meta)?;
    let mut text = String::with_capacity(plain.len() + plain.len() / 16);
    for character in plain.chars() {
        let breaks = matches!(character, '<' | '>' | '&' | '\u{2028}' | '\u{2029}' | '\u{7f}'..='\u{9f}');
        if breaks || acts(character) {
            // Outside of strings JSON has none of them.
            let mut units = [0; 2];
            for unit in character.encode_utf16(&mut units) {
                text.push_str(&format!("\\u{unit:04x}"));
            }
        } else {
            text.push(character);
        }
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_ends_its_element_and_the_policy_names_what_is_there() {
        let hostile = "</script><script>alert(1)</script><!--\u{202e}\u{2028}\u{e0041}]]>";
        let mut out = Vec::new();
        write(&serde_json::json!({ "name": hostile }), &[b"abc".to_vec()], &mut out).unwrap();
        let page = String::from_utf8(out).unwrap();
        assert_eq!(page.matches("</script").count(), 3, "meta, data, viewer");
        assert!(!page.contains('\u{202e}') && !page.contains('\u{e0041}'));
        assert!(page.contains(">YWJj</script>"), "the data");
        let (_, meta) = page.split_once("id=\"meta\">").unwrap();
        let (meta, _) = meta.split_once("</script>").unwrap();
        let value: serde_json::Value = serde_json::from_str(meta).unwrap();
        assert_eq!(value["name"], hostile, "and nothing is lost");
        let (_, script) = page.rsplit_once("<script>").unwrap();
        let script = script.split_once("</script>").unwrap().0;
        assert!(page.contains(&format!("script-src 'sha256-{}'", base64(&sha256(script.as_bytes())))));
    }

    #[test]
    fn the_viewer_is_small_and_asks_for_nothing() {
        assert!(viewer_bytes() <= 40_000, "{} bytes", viewer_bytes());
        let all = script() + STYLE;
        for word in [
            "fetch(",
            "XMLHttpRequest",
            "innerHTML",
            "insertAdjacentHTML",
            "eval(",
            "http:",
            "https:",
            "import(",
        ] {
            assert!(!all.contains(word), "{word}");
        }
    }
}
