//! What the first argument of a call names: the file or socket behind a descriptor.
//!
//! In: a process that may be gone, a call and its arguments. Out: a name as the process's table of
//! descriptors has it now, or nothing. The call is over: the descriptor may name something else by now.

use crate::profile::slowest::SlowestCall;

/// Calls whose first argument is a descriptor (x86-64).
const OF_DESCRIPTOR: &[u32] = &[
    0, 1, 3, 5, 8, 16, 17, 18, 19, 20, 32, 33, 40, 42, 44, 45, 46, 47, 48, 49, 50, 54, 55, 72, 73, 74, 75,
    77, 78, 81, 91, 93, 187, 217, 233, 257, 262, 263, 275, 277, 285, 292, 295, 296, 299, 306, 307, 326, 327,
    328,
];
/// Bytes of a name at most.
const NAME_MAX: usize = 256;

/// Names what each call was about.
pub fn name(calls: &mut [SlowestCall]) {
    for call in calls {
        call.object = of(call);
    }
}

fn of(call: &SlowestCall) -> String {
    let descriptor = call.arguments[0];
    if !OF_DESCRIPTOR.contains(&call.nr) || descriptor > u64::from(u32::MAX >> 1) {
        return String::new();
    }
    let link = std::fs::read_link(format!("/proc/{}/fd/{descriptor}", call.pid.0));
    let mut name = link.map(|path| path.to_string_lossy().into_owned()).unwrap_or_default();
    let end = (0..=NAME_MAX.min(name.len())).rev().find(|end| name.is_char_boundary(*end)).unwrap_or(0);
    name.truncate(end);
    name
}
