//! Names as they are kept.
//!
//! In: names from files an attacker may have written. Out: shared strings without control
//! characters, of bounded length. (`;` stays: folding escapes it.)

use std::collections::HashSet;
use std::sync::Arc;

use crate::hostile::acts;

/// Bytes of a name at most.
pub const NAME_BYTES: usize = 1024;

/// Cuts a name to `limit` bytes and replaces what could steer a terminal or split a line.
pub fn clean(name: &str, limit: usize) -> String {
    let mut kept = String::with_capacity(name.len().min(limit));
    for letter in name.chars() {
        let letter = if acts(letter) { '\u{fffd}' } else { letter };
        if kept.len() + letter.len_utf8() > limit {
            break;
        }
        kept.push(letter);
    }
    kept
}

/// Each name once.
#[derive(Debug, Default)]
pub struct Pool(HashSet<Arc<str>>);

impl Pool {
    /// The one copy of a name.
    pub fn share(&mut self, name: &str) -> Arc<str> {
        if let Some(known) = self.0.get(name) {
            return Arc::clone(known);
        }
        let name: Arc<str> = Arc::from(name);
        self.0.insert(Arc::clone(&name));
        name
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replaces_what_steers_and_cuts_at_letters() {
        assert_eq!(clean("a\x1b[2J\nb;c", 100), "a\u{fffd}[2J\u{fffd}b;c");
        assert_eq!(clean("a\u{202e}b", 100), "a\u{fffd}b");
        assert_eq!(clean("ääää", 5), "ää");
    }

    #[test]
    fn shares_equal_names() {
        let mut pool = Pool::default();
        assert!(Arc::ptr_eq(&pool.share("x"), &pool.share("x")));
    }
}
