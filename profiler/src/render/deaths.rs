//! Processes of the target that failed or were killed.
//!
//! In: deaths. Out: groups of equal ones, their table, the rows of `summary.json`.

use std::collections::BTreeMap;
use std::io;

use serde::Serialize;

use super::page::{Page, number, text};
use super::{clean, humane, signal, table};
use crate::probes::crash::place;
use crate::profile::deaths::{Death, Sender};
use crate::profile::{Class, Pid, Profile};

/// Times between deaths are a period when none is further from the middle one than this part of it.
const REGULAR: u64 = 5;

/// Deaths of one program in one way, in the order of their time; never none.
pub struct Group<'p> {
    /// All of them.
    pub deaths: Vec<&'p Death>,
}

/// Equal ones together: signals first, then the most frequent.
pub fn groups(profile: &Profile) -> Vec<Group<'_>> {
    let mut groups: BTreeMap<_, Vec<&Death>> = BTreeMap::new();
    for death in profile.deaths.told() {
        let way = (death.signal, death.exit_code, death.out_of_memory, death.after_signal);
        groups.entry((&death.container, &death.comm, way)).or_default().push(death);
    }
    let mut groups: Vec<Group<'_>> = groups.into_values().map(|deaths| Group { deaths }).collect();
    for group in &mut groups {
        group.deaths.sort_by_key(|death| (death.at_ns, death.pid));
    }
    groups.sort_by_key(|group| (!group.is_violent(), std::cmp::Reverse(group.deaths.len())));
    groups
}

impl Group<'_> {
    /// The first.
    pub fn first(&self) -> &Death {
        self.deaths[0]
    }

    /// Whether a signal ended it that nobody sends to end a process in peace.
    pub fn is_violent(&self) -> bool {
        let death = self.first();
        death.out_of_memory || death.signal != 0 && !signal::is_asked(death.signal)
    }

    /// `container/comm`.
    pub fn who(&self) -> String {
        let death = self.first();
        let comm = clean::name(&death.comm);
        match death.container.as_str() {
            "" => comm.into_owned(),
            container => format!("{}/{comm}", clean::name(container)),
        }
    }

    /// What ended it: `SIGSEGV`, `exit code 3`.
    pub fn how(&self) -> String {
        how(self.first())
    }

    /// The time between deaths, where it is nearly the same each time.
    pub fn period_ns(&self) -> Option<u64> {
        let times: Vec<u64> = self.deaths.iter().map(|death| death.at_ns).collect();
        period(&times)
    }

    /// The age in the middle, ns.
    pub fn age_ns(&self) -> u64 {
        let mut ages: Vec<u64> = self.deaths.iter().map(|death| death.age_ns).collect();
        ages.sort_unstable();
        ages[ages.len() / 2]
    }

    /// Who sent the signals; several are one word.
    pub fn sender(&self) -> String {
        let first = sender(self.first());
        if self.deaths.iter().all(|death| sender(death) == first) { first } else { "several".to_owned() }
    }

    fn pid(&self) -> String {
        match self.deaths.as_slice() {
            [death] => death.pid.0.to_string(),
            many => format!("×{}", humane::count(many.len() as u64)),
        }
    }
}

/// The period of three or more times that are in order.
pub fn period(times: &[u64]) -> Option<u64> {
    let mut gaps: Vec<u64> = times.windows(2).map(|pair| pair[1].saturating_sub(pair[0])).collect();
    gaps.sort_unstable();
    let (first, last) = (*times.first()?, *times.last()?);
    let middle = *gaps.get(gaps.len() / 2)?;
    let regular = gaps.len() >= 2 && gaps.iter().all(|gap| gap.abs_diff(middle) <= middle / REGULAR);
    (regular && middle > 0).then(|| last.saturating_sub(first) / gaps.len() as u64)
}

fn how(death: &Death) -> String {
    match (death.signal, death.after_signal) {
        (0, 0) => format!("exit code {}", death.exit_code),
        (0, after) => format!("exit code {} after {}", death.exit_code, signal::name(after)),
        (ended, _) if death.out_of_memory => format!("{}, out of memory", signal::name(ended)),
        (ended, after) if after != 0 => {
            format!(
                "{}, {} after {}",
                signal::name(ended),
                humane::duration(death.after_ns),
                signal::name(after)
            )
        }
        (ended, _) if death.core => format!("{}, core", signal::name(ended)),
        (ended, _) => signal::name(ended),
    }
}

/// Who sent a signal, where no program saw it.
pub const NOT_SEEN: &str = "unknown (not seen)";

/// Who sent the signal that ended a process; empty where none did.
pub fn sender(death: &Death) -> String {
    match &death.sender {
        Sender::Unknown if death.signal == 0 => String::new(),
        Sender::Unknown => NOT_SEEN.to_owned(),
        Sender::Kernel => "the kernel".to_owned(),
        Sender::Fault => "its own fault".to_owned(),
        Sender::Process { pid, .. } if *pid == death.pid => "itself".to_owned(),
        Sender::Process { pid, comm, container } if *container == death.container => {
            format!("{} ({})", clean::name(comm), pid.0)
        }
        Sender::Process { pid, comm, container } if container.is_empty() => {
            format!("{} ({}) of the host", clean::name(comm), pid.0)
        }
        Sender::Process { pid, comm, container } => {
            format!("{}/{} ({})", clean::name(container), clean::name(comm), pid.0)
        }
    }
}

/// The table; nothing where nobody died.
///
/// # Errors
/// What the writer returns.
pub fn table(page: &mut Page<'_>, profile: &Profile) -> io::Result<()> {
    let groups = groups(profile);
    if groups.is_empty() {
        return Ok(());
    }
    page.heading("DEATHS: processes that failed or were killed")?;
    let columns = [
        text("process"),
        number("pid"),
        text("ended by"),
        number("first"),
        number("last"),
        number("every"),
        number("lived"),
        text("sent by"),
    ];
    let row = |group: &Group<'_>| {
        let last = group.deaths.last().map_or(0, |death| death.at_ns);
        vec![
            group.who(),
            group.pid(),
            group.how(),
            humane::duration(group.first().at_ns),
            if group.deaths.len() > 1 { humane::duration(last) } else { String::new() },
            group.period_ns().map(humane::duration).unwrap_or_default(),
            humane::duration(group.age_ns()),
            group.sender(),
        ]
    };
    let weights: Vec<u64> = groups.iter().map(|group| group.deaths.len() as u64).collect();
    let rows: Vec<_> = groups.iter().take(table::ROWS).map(row).collect();
    table::ranked_table(page, &columns, &rows, &weights)?;
    let plain = profile.ledger.get(Class::PlainExit);
    if plain > 0 {
        let noun = if plain == 1 { "process" } else { "processes" };
        page.line(&format!("  beside {} {noun} that ended well", humane::count(plain)))?;
    }
    Ok(())
}

/// A death as a row of `summary.json`.
#[derive(Serialize)]
pub struct Row<'p> {
    at_ns: u64,
    pid: Pid,
    comm: &'p str,
    container: &'p str,
    age_ns: u64,
    signal: Option<String>,
    exit_code: Option<u8>,
    core: bool,
    out_of_memory: bool,
    after_signal: Option<String>,
    after_ns: Option<u64>,
    sender: &'static str,
    sender_pid: Option<Pid>,
    sender_comm: Option<&'p str>,
    sender_container: Option<&'p str>,
    place: Option<String>,
}

/// All of them, in the order of their time.
pub fn rows(profile: &Profile) -> Vec<Row<'_>> {
    let mut deaths: Vec<&Death> = profile.deaths.told().iter().collect();
    deaths.sort_by_key(|death| (death.at_ns, death.pid));
    deaths.into_iter().map(|death| row(profile, death)).collect()
}

fn row<'p>(profile: &Profile, death: &'p Death) -> Row<'p> {
    let named = |number: u8| (number != 0).then(|| signal::name(number));
    let (sender, sender_pid, sender_comm, sender_container) = match &death.sender {
        Sender::Unknown => ("unknown", None, None, None),
        Sender::Kernel => ("kernel", None, None, None),
        Sender::Fault => ("fault", None, None, None),
        Sender::Process { pid, comm, container } => {
            ("process", Some(*pid), Some(comm.as_str()), Some(container.as_str()))
        }
    };
    Row {
        at_ns: death.at_ns,
        pid: death.pid,
        comm: &death.comm,
        container: &death.container,
        age_ns: death.age_ns,
        signal: named(death.signal),
        exit_code: (death.signal == 0).then_some(death.exit_code),
        core: death.core,
        out_of_memory: death.out_of_memory,
        after_signal: named(death.after_signal),
        after_ns: (death.after_ns != 0).then_some(death.after_ns),
        sender,
        sender_pid,
        sender_comm,
        sender_container,
        place: place::most(profile, &[death]).map(|(line, ..)| line),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_period_takes_three_deaths_that_are_equally_far_apart() {
        const S: u64 = 1_000_000_000;
        assert_eq!(period(&[]), None);
        assert_eq!(period(&[S, 13 * S]), None, "two have no period");
        assert_eq!(period(&[S, 13 * S, 25 * S]), Some(12 * S));
        assert_eq!(period(&[S, 13 * S, 26 * S, 37 * S]), Some(12 * S));
        assert_eq!(period(&[S, 13 * S, 29 * S]), None, "12 and 16");
        assert_eq!(period(&[S, 2 * S, 4 * S, 8 * S]), None, "a back-off");
        assert_eq!(period(&[S, S, S]), None);
    }

    #[test]
    fn equal_deaths_are_one_group_signals_first() {
        let death = |comm: &str, signal, exit_code, at_ns| Death {
            comm: comm.into(),
            container: "web".into(),
            signal,
            exit_code,
            at_ns,
            age_ns: at_ns,
            ..Death::default()
        };
        let mut profile = Profile::default();
        let mut deaths: Vec<Death> = (0..9).map(|at| death("test", 0, 1, at)).collect();
        deaths.extend([death("px", 11, 0, 7), death("px", 11, 0, 5), death("old", 15, 0, 6)]);
        assert_eq!(profile.deaths.extend(deaths), 0);
        let told: Vec<(String, String, usize)> =
            groups(&profile).iter().map(|group| (group.who(), group.how(), group.deaths.len())).collect();
        let expected = [("web/px", "SIGSEGV", 2), ("web/test", "exit code 1", 9), ("web/old", "SIGTERM", 1)];
        assert_eq!(told, expected.map(|(who, how, count)| (who.to_owned(), how.to_owned(), count)));
        assert_eq!(groups(&profile)[0].first().at_ns, 5);
    }
}
