//! In: how many calls each thread makes, and how long one lasts. Out: threads with names of their own, which are not
//! their process's.

use std::{io, thread};

use crate::{
    report::Report,
    system::{self, nanosleep},
};

const NAMES: [&str; 3] = ["pool-0", "pool-1", "gc worker"];

/// Three threads: N `getppid` each, and a read that is answered after MS.
pub fn threads(count: u64, ms: u64) -> io::Result<Report> {
    let mut answering = Vec::new();
    let mut workers = Vec::new();
    for name in NAMES {
        let [answers, answer] = system::pipe(0)?;
        answering.push(answer);
        workers.push(thread::Builder::new().name(name.to_owned()).spawn(move || {
            for _ in 0..count {
                system::getppid();
            }
            system::read(answers, &mut [0])
        })?);
    }
    nanosleep(ms * 1_000_000);
    for answer in answering {
        system::write(answer, b"!");
    }
    let answered =
        workers.into_iter().filter_map(|worker| worker.join().ok()).filter(|read| *read == 1).count();
    Ok(Report::new().with("threads", answered as u64).with("calls_each", count))
}
