//! The slowest calls of the session, one by one.
//!
//! In: stacks of the session. Out: a read of a file with a hostile name, a descriptor that is closed, a futex.

use profiler::profile::parts::Parts;
use profiler::profile::slowest::SlowestCall;
use profiler::profile::{Pid, StackId, Tid};

use super::{HOSTILE, MS};

pub fn calls(disk: StackId, futex: StackId, hostile: StackId) -> Vec<SlowestCall> {
    vec![
        SlowestCall {
            pid: Pid(813),
            tid: Tid(814),
            wall_ns: 15 * MS,
            ret: -11,
            arguments: [3, 0x7f00_0000_1000, 64],
            object: format!("/tmp/{HOSTILE}"),
            parts: Parts::new([15 * MS, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
            user: hostile,
            ..SlowestCall::default()
        },
        SlowestCall {
            pid: Pid(812),
            nr: 74,
            start_ns: 1_234 * MS,
            wall_ns: 35 * MS,
            parts: Parts::new([MS, 0, 0, 0, 30 * MS, 4 * MS, 0, 0, 0, 0]),
            kernel: disk,
            object_unknown: "closed by now".to_owned(),
            ..SlowestCall::default()
        },
        SlowestCall {
            pid: Pid(812),
            nr: 257,
            start_ns: 2_000 * MS,
            wall_ns: 30 * MS,
            ret: 3,
            parts: Parts::new([MS, 0, 0, 0, 29 * MS, 0, 0, 0, 0, 0]),
            path: format!("conf.d/{HOSTILE}\"; rm -rf"),
            path_is_cut: true,
            object: "/etc/nginx".to_owned(),
            ..SlowestCall::default()
        },
        SlowestCall {
            pid: Pid(812),
            nr: 1,
            start_ns: 2_500 * MS,
            wall_ns: 25 * MS,
            ret: 3,
            parts: Parts::new([MS, 0, 0, 0, 24 * MS, 0, 0, 0, 0, 0]),
            object_unknown: "process gone".to_owned(),
            file_kind: "file on ext4".to_owned(),
            ..SlowestCall::default()
        },
        SlowestCall {
            pid: Pid(33),
            nr: 202,
            wall_ns: 900 * MS,
            arguments: [0x7f00_0000_2000, 128, 2],
            parts: Parts::new([MS, 0, 0, 0, 899 * MS, 0, 0, 0, 0, 0]),
            kernel: futex,
            ..SlowestCall::default()
        },
    ]
}
