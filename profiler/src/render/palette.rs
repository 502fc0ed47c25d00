//! Colours of the flame graph's frames.
//!
//! In: a frame's name. Out: a colour by kind: kernel orange, user green, inlined pale green,
//! system calls and locks purple, processes and containers blue-grey, remarks grey. Within a
//! kind the name decides, so that the same function has the same colour in every picture.

use inferno::flamegraph::color::{Color, PaletteMap};

use super::syscalls::NO_CALL;
use crate::profile::{Part, Wait};

/// What the colours mean, for the subtitle.
pub const LEGEND: &str = "orange: kernel, green: user, purple: call or lock";

/// The colours of all frames in folded lines.
pub fn palette(lines: &[String]) -> PaletteMap {
    let mut map = PaletteMap::default();
    for line in lines {
        let path = line.rsplit_once(' ').map_or(line.as_str(), |(path, _)| path);
        for frame in path.split(';') {
            if map.get(frame).is_none() {
                map.insert(frame, color(frame));
            }
        }
    }
    map.insert("", Color { r: 205, g: 205, b: 205 });
    map
}

fn color(frame: &str) -> Color {
    let shade = shade(frame);
    let rgb = |r: u8, g: u8, b: u8| Color { r: r + shade, g: g + shade, b: b + shade / 2 };
    if let Some(part) = Part::ALL.iter().find(|part| part.name() == frame) {
        part_color(*part)
    } else if let Some(wait) = Wait::ALL.iter().find(|wait| wait.name() == frame) {
        wait_color(*wait)
    } else if frame.ends_with("_[k]") {
        rgb(215, 130, 50)
    } else if frame.ends_with("_[i]") {
        rgb(160, 205, 150)
    } else if frame.starts_with('[') {
        rgb(175, 175, 180)
    } else if frame.starts_with("-- ")
        || frame.ends_with(')') && frame.contains(" (")
        || frame.starts_with("container ")
    {
        rgb(150, 170, 200)
    } else if frame.ends_with("()") || frame == NO_CALL || frame.ends_with(']') && is_lock(frame) {
        rgb(170, 135, 205)
    } else {
        rgb(105, 180, 95)
    }
}

/// Colours of the parts of a call: running warm, locks purple, asleep blue, waiting for a CPU yellow.
const fn part_color(part: Part) -> Color {
    let (r, g, b) = match part {
        Part::OnCpu => (232, 92, 60),
        Part::Spin => (150, 60, 160),
        Part::Irq => (245, 140, 110),
        Part::LockSleep => (190, 140, 215),
        Part::Sleep => (110, 160, 220),
        Part::Woken => (240, 205, 80),
        Part::Preempted => (225, 175, 40),
        Part::Throttled => (200, 130, 20),
        Part::Interrupted => (150, 150, 150),
        Part::Unaccounted => (60, 60, 60),
    };
    Color { r, g, b }
}

/// Colours of what a thread off the CPU waits for: those of the part of a call that it is.
const fn wait_color(wait: Wait) -> Color {
    part_color(match wait {
        Wait::Sleep | Wait::Uninterruptible => Part::Sleep,
        Wait::Lock => Part::LockSleep,
        Wait::Stopped => Part::Interrupted,
        Wait::Woken => Part::Woken,
        Wait::Preempted => Part::Preempted,
        Wait::Throttled => Part::Throttled,
    })
}

fn is_lock(frame: &str) -> bool {
    const KINDS: [&str; 5] = ["spin", "rwlock-", "mutex", "rwsem-", "percpu-rwsem-"];
    KINDS.iter().any(|kind| frame.starts_with(kind))
        || frame.starts_with("rtmutex")
        || frame.starts_with("unknown [")
}

/// FNV-1a over the name, as a small brightness.
fn shade(frame: &str) -> u8 {
    let hash = frame.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    ((hash >> 32) % 36) as u8
}
