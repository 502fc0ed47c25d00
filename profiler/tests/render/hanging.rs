//! Calls in flight of the session that is made by hand: with what they are about, with why that is not known, and with neither.

use profiler::profile::in_flight::{OtherEnd, Subject};
use profiler::profile::rows::InFlightCall;
use profiler::profile::{Pid, StackId, Tid};

use super::{HOSTILE, MS};

fn call(
    (pid, tid, comm): (u32, u32, &str),
    (nr, age_ns): (u32, u64),
    (at_least, kernel): (bool, u64),
) -> InFlightCall {
    InFlightCall {
        pid: Pid(pid),
        tid: Tid(tid),
        comm: comm.into(),
        nr,
        age_ns,
        at_least,
        kernel: StackId(kernel),
        user: StackId::NONE,
        wait: None,
        held_by: None,
        subject: None,
    }
}

pub fn calls() -> Vec<InFlightCall> {
    let end = |pid, state| OtherEnd { pid: Pid(pid), state };
    let mut read = call((812, 815, "api-io"), (0, 35_000 * MS), (true, 1));
    read.subject = Some(Box::new(Subject {
        object: "pipe:[4711]".into(),
        other_ends: vec![end(33, 'T'), end(813, 'S')],
        more_ends: 2,
        ..Subject::default()
    }));
    let mut sync = call((813, 814, HOSTILE), (74, 40 * MS), (false, 2));
    sync.subject = Some(Box::new(Subject {
        object: "/srv".into(),
        path: HOSTILE.into(),
        mount: "fuse.sshfs at /srv, of web1:/srv".into(),
        ..Subject::default()
    }));
    let mut write = call((813, 816, "api"), (1, 30 * MS), (false, 2));
    write.subject = Some(Box::new(Subject {
        object_unknown: "closed by now".into(),
        other_end_unknown: "no process has it".into(),
        ..Subject::default()
    }));
    vec![read, call((33, 40, "GC Thread"), (202, 9_000 * MS), (true, 3)), sync, write]
}
