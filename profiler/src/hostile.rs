//! Characters that must be escaped in names that anybody may have chosen; a leaf.
//!
//! In: a character. Out: whether it controls a terminal, breaks a line, changes the reading direction, is invisible,
//! changes its neighbours, or is not allowed in XML. This is the only such list.

/// Whether it must be escaped in every output.
pub fn acts(character: char) -> bool {
    character.is_control()
        || matches!(character,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{fffe}' | '\u{ffff}'
            | '\u{e0000}'..='\u{e0fff}' | '\u{300}'..='\u{36f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_acts_is_known_and_what_is_read_stays() {
        for character in
            ['\u{1b}', '\n', '\u{9b}', '\u{202e}', '\u{200b}', '\u{feff}', '\u{ad}', '\u{301}', '\u{e0041}']
        {
            assert!(acts(character), "{character:?}");
        }
        assert!(!"web-1 é 数据 ␛ … \u{fffd}".chars().any(acts));
    }
}
