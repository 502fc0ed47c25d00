//! The viewer as the file holds it: without comments, indentation and spaces that mean nothing.
//!
//! In: a script whose strings and templates end on their own line, whose comments have lines of their own,
//! and whose patterns hold no space. Out: the same script, shorter. A line that ends inside a statement, or
//! with its semicolon, is joined with the next line.

/// Shortens a script.
pub fn script(source: &str) -> String {
    let mut short = String::with_capacity(source.len());
    for line in source.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with("//")) {
        let line = squeezed(line);
        if line.starts_with('}') && short.ends_with(';') {
            short.pop();
        }
        short.push_str(&line);
        if !line.ends_with([';', '{', ',', '(', '[']) {
            short.push('\n');
        }
    }
    short
}

/// Shortens a style.
pub fn style(source: &str) -> String {
    source
        .lines()
        .map(|line| line.trim().replace(": ", ":").replace(" { ", "{").replace(" {", "{").replace("; }", "}"))
        .collect()
}

fn is_word(character: char) -> bool {
    character.is_ascii_alphanumeric() || character == '_' || character == '$'
}

/// A line without spaces beside what is no word.
fn squeezed(line: &str) -> String {
    let mut short = String::with_capacity(line.len());
    // Open strings, templates, and braces inside of templates.
    let mut open: Vec<char> = Vec::new();
    let mut characters = line.chars().peekable();
    while let Some(character) = characters.next() {
        let in_code = !matches!(open.last(), Some('\'' | '`'));
        let (last, next) = (short.chars().next_back().unwrap_or(' '), characters.peek().copied());
        if in_code && character == ' ' {
            let next = next.unwrap_or(' ');
            let is_sign = last == next && (last == '+' || last == '-');
            if is_sign || is_word(last) && is_word(next) {
                short.push(' ');
            }
            continue;
        }
        if in_code && character == '}' && last == ';' {
            short.pop();
        }
        short.push(character);
        match (open.last(), character) {
            (Some('\'' | '`'), '\\') => short.extend(characters.next()),
            (Some('\''), '\'') | (Some('`'), '`') => drop(open.pop()),
            (Some('`'), '$') if next == Some('{') => {
                short.extend(characters.next());
                open.push('{');
            }
            (Some('\'' | '`'), _) => {}
            (_, '\'' | '`') => open.push(character),
            (Some('{'), '{') => open.push('{'),
            (Some('{'), '}') => drop(open.pop()),
            _ => {}
        }
    }
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_means_nothing_goes() {
        let source = "// A comment.\n  const a = (x) => `${x ? `in ${ { b: 'c  d' }.b } it` : ''} // none`;\n\n  return a + +b - -1;\n";
        let short = "const a=(x)=>`${x?`in ${{b:'c  d'}.b} it`:''} // none`;return a+ +b- -1;";
        assert_eq!(script(source), short);
        assert_eq!(script("if (a) {\n  b();\n}\nc()\nd"), "if(a){b()}\nc()\nd\n");
        assert_eq!(squeezed("x = 'it\\'s  so';  y = 1;"), "x='it\\'s  so';y=1;");
        assert_eq!(style("a { b: c; }\n  d { e: f; }\n"), "a{b:c}d{e:f}");
    }
}
