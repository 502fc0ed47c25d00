//! The flags of ignored switches. In: the words of a command line. Out: the same without these flags, and the
//! object's globals that they stand for.

use std::ffi::OsString;

/// Flag and global: how many of 1,000 are ignored.
const FLAGS: [(&str, &str); 2] =
    [("--ignore-switches", "IGNORE_SWITCHES"), ("--ignore-arrivals", "IGNORE_ARRIVALS")];

/// Takes the flags out.
///
/// # Errors
/// A flag without a number of at most 1,000.
pub fn globals(words: &mut Vec<OsString>) -> Result<Vec<(String, u32)>, String> {
    let mut globals = Vec::new();
    for (flag, global) in FLAGS {
        let Some(at) = words.iter().take_while(|word| *word != "--").position(|word| word == flag) else {
            continue;
        };
        let permille = words.get(at + 1).and_then(|word| word.to_str()?.parse().ok());
        let Some(permille) = permille.filter(|permille| *permille <= 1000) else {
            return Err(format!("{flag}: needs a number from 0 to 1000"));
        };
        globals.push((global.to_owned(), permille));
        words.drain(at..at + 2);
    }
    Ok(globals)
}

#[cfg(test)]
mod tests {
    use super::globals;

    #[test]
    fn flags_become_globals_and_the_rest_stays() {
        let mut words = ["x", "record", "--ignore-arrivals", "300", "-d", "1s", "--", "--ignore-switches"]
            .map(Into::into)
            .to_vec();
        assert_eq!(globals(&mut words), Ok(vec![("IGNORE_ARRIVALS".to_owned(), 300)]));
        assert_eq!(words, ["x", "record", "-d", "1s", "--", "--ignore-switches"]);
        for bad in [&["--ignore-switches"][..], &["--ignore-switches", "1001"]] {
            assert!(globals(&mut bad.iter().map(Into::into).collect()).is_err(), "{bad:?}");
        }
    }
}
