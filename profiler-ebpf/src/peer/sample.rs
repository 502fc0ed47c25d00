//! CPU samples by the peer that their thread received from last.
//!
//! In: a sample that has a row of its own. Out: the same in `PEER_SAMPLES`, with the peer; a sample without a
//! peer is in its own row only.

use aya_ebpf::macros::map;
use aya_ebpf::maps::HashMap;
use profiler_common::outcome::Outcome;
use profiler_common::peer::SampleKey;
use profiler_common::sample;

use crate::global;
use crate::peer::last;
use crate::row::sum;
use crate::task;

/// Samples of threads that had received.
#[map]
static PEER_SAMPLES: HashMap<SampleKey, u64> = HashMap::with_max_entries(8_192, 0);

/// Whether samples have peers: where both are rows.
#[inline(always)]
pub fn are_wanted() -> bool {
    global::peer_rows() != 0 && global::cpu_rows() != 0
}

/// The timer met the running thread.
#[inline(never)]
pub fn add(sample: &sample::SampleKey) -> u32 {
    let Some(last) = last::get(task::current()) else { return 0 };
    let key = SampleKey { address: last.address(), sample: *sample };
    // On top of its first receive.
    if key.address == [0; 2] {
        return 0;
    }
    last.sampled();
    sum::add(&PEER_SAMPLES, &key, &1, (Outcome::PeerSampleRowFull, 1), |samples| *samples += 1);
    0
}
