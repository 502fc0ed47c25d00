//! Deaths as they happen, each on a few lines.
//!
//! In: a profile, which of its deaths are told already. Out: the others: what, where, after what, how often.

use std::io::{self, Write};

use super::{place, table};
use crate::profile::Profile;
use crate::profile::deaths::Death;
use crate::render::page::Page;
use crate::render::{deaths, humane};

/// Deaths that are told whole; of more at once, a line each says that they were.
const WHOLE: usize = 8;

/// Writes the deaths from the one at `from` on.
///
/// # Errors
/// What the writer returns.
pub fn write(profile: &Profile, from: usize, out: &mut dyn Write) -> io::Result<()> {
    let mut page = Page::new(out);
    for (at, death) in profile.deaths.told().iter().skip(from).enumerate() {
        page.line("")?;
        page.paragraph("", &title(profile, death))?;
        let Some(fault) = place::fault_of(profile, death).filter(|_| at < WHOLE) else { continue };
        table::one(&mut page, profile, (death, fault))?;
    }
    out.flush()
}

/// `36.0 s: px/px (123) died by SIGSEGV, 12.0 s old, 3 times, every 12.0 s; sent by monitor (77)`.
fn title(profile: &Profile, death: &Death) -> String {
    let groups = deaths::groups(profile);
    let Some(group) = groups.iter().find(|group| group.deaths.contains(&death)) else {
        return String::new();
    };
    let often = match (group.deaths.len(), group.period_ns()) {
        (1, _) => "for the first time".to_owned(),
        (count, Some(period)) => format!("{count} times, every {}", humane::duration(period)),
        (count, None) => format!("{count} times"),
    };
    let sender = match deaths::sender(death).as_str() {
        "" | deaths::NOT_SEEN | "its own fault" => String::new(),
        sender => format!("; sent by {sender}"),
    };
    format!(
        "{}: {} ({}) {} {}, {} old, {often}{sender}",
        humane::duration(death.at_ns),
        group.who(),
        death.pid.0,
        if death.signal == 0 { "ended with" } else { "died by" },
        group.how(),
        humane::duration(death.age_ns)
    )
}
