//! Who holds the file locks that are waited for.
//!
//! In: the text of `/proc/locks`. Out: for each process that waits for one, the process that holds it.

use std::collections::BTreeMap;

/// Where the kernel lists them.
const PATH: &str = "/proc/locks";
/// Bytes of it that are read at most.
const LIMIT: u64 = 4 << 20;

/// Holders by waiter; 0: the lock belongs to an open file, or to a process that is not in sight. `None` if
/// nothing can be read.
pub fn holders() -> BTreeMap<u32, u32> {
    super::read(PATH, LIMIT).map_or_else(|_| BTreeMap::new(), |text| parse(&text))
}

/// A lock's line has its number, and those that wait for it follow with the same number and an arrow.
fn parse(text: &str) -> BTreeMap<u32, u32> {
    let mut holders = BTreeMap::new();
    let mut held: Option<(&str, u32)> = None;
    for line in text.lines() {
        let Some((number, rest)) = line.split_once(':') else { continue };
        let words: Vec<&str> = rest.split_whitespace().collect();
        let waits = words.first() == Some(&"->");
        // Kind, way, access, process.
        let Some(pid) = words.get(3 + usize::from(waits)) else { continue };
        let pid = pid.parse::<i64>().ok().and_then(|pid| u32::try_from(pid).ok()).unwrap_or(0);
        match held {
            Some((of, holder)) if waits && of == number.trim() && pid != 0 => {
                holders.insert(pid, holder);
            }
            _ if waits => {}
            _ => held = Some((number.trim(), pid)),
        }
    }
    holders
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_waits_waits_for_the_lock_in_front() {
        let text = "1: FLOCK  ADVISORY  WRITE 20 fe:00:5 0 EOF\n1: -> FLOCK  ADVISORY  WRITE 21 fe:00:5 0 EOF\n\
                    1:  -> FLOCK  ADVISORY  WRITE 22 fe:00:5 0 EOF\n2: OFDLCK ADVISORY  WRITE -1 fe:00:6 0 EOF\n\
                    2: -> POSIX  ADVISORY  WRITE 23 fe:00:6 0 EOF\n3: POSIX  ADVISORY  READ 24 fe:00:7 0 EOF\n\
                    4: -> POSIX  ADVISORY  WRITE 25 fe:00:8 0 EOF\nnot a lock\n5: short\n";
        assert_eq!(parse(text), [(21, 20), (22, 20), (23, 0)].into());
    }
}
