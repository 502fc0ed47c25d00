//! The offsets at which the programs of disk requests read fields.
//!
//! In: the kernel's types. Out: the shared record; none if the kernel lacks a field that every request needs.

pub use profiler_common::block::BlockOffsets;

use super::btf::Types;

/// The types that it takes.
pub const WANTED: &[&str] = &[
    "request",
    "request_queue",
    "gendisk",
    "bio",
    "blkcg_gq",
    "blkcg",
    "rqf_flags",
    "btf_trace_block_getrq",
];

/// Bits of a request's flags before they were an enumeration (Linux 6.11), which at first had no name: include/linux/blk-mq.h.
const FLUSH_SEQ: u32 = 1 << 4;
const IO_STAT: u32 = 1 << 13;

/// All of them.
pub fn offsets(types: &Types<'_>) -> Option<BlockOffsets> {
    let request = |member| types.offset("request", member);
    let queue_disk = types.offset("request_queue", "disk").filter(|_| request("rq_disk").is_none());
    let offsets = BlockOffsets {
        cmd_flags: request("cmd_flags")?,
        rq_flags: request("rq_flags")?,
        data_len: request("__data_len")?,
        bio: request("bio")?,
        start_ns: request("start_time_ns")?,
        issue_ns: request("io_start_time_ns")?,
        disk: request("rq_disk").or_else(|| request("q"))?,
        queue_disk: queue_disk.unwrap_or(0),
        major: types.offset("gendisk", "major")?,
        first_minor: types.offset("gendisk", "first_minor")?,
        next: types.offset("bio", "bi_next")?,
        io_stat: flag(types, "__RQF_IO_STAT", IO_STAT),
        flush_seq: flag(types, "__RQF_FLUSH_SEQ", FLUSH_SEQ),
        // Until Linux 5.11 the queue is handed out first, and what the bio does after it.
        getrq_bio: u32::from(types.arguments("btf_trace_block_getrq").is_some_and(|arguments| arguments > 1)),
        known: 1,
        ..BlockOffsets::default()
    };
    Some(
        cgroups(types, offsets)
            .filter(|_| bills_v2(&crate::machine::read(CGROUPS, 1 << 16)))
            .unwrap_or(offsets),
    )
}

/// The controllers, each with the number of its hierarchy: 0 is v2.
const CGROUPS: &str = "/proc/cgroups";

/// Whether requests are billed to cgroups of the v2 hierarchy. They are not if a v1 hierarchy has the io
/// controller.
fn bills_v2(controllers: &Result<String, String>) -> bool {
    let line = controllers.iter().flat_map(|text| text.lines()).find(|line| line.starts_with("blkio\t"));
    line.is_none_or(|line| line.split('\t').nth(1) == Some("0"))
}

/// Which cgroup a request is billed to: a kernel may be built without that.
fn cgroups(types: &Types<'_>, offsets: BlockOffsets) -> Option<BlockOffsets> {
    Some(BlockOffsets {
        blkg: types.offset("bio", "bi_blkg")?,
        blkcg: types.offset("blkcg_gq", "blkcg")?,
        cgroup: types.offset("blkcg", "css")? + types.offset("cgroup_subsys_state", "cgroup")?,
        ..offsets
    })
}

fn flag(types: &Types<'_>, name: &str, before: u32) -> u32 {
    let bit = types.variant("rqf_flags", name).or_else(|| types.nameless_variant(name));
    bit.map_or(before, |bit| 1 << bit)
}

#[cfg(test)]
mod tests {
    use super::bills_v2;

    #[test]
    fn the_io_controllers_hierarchy_decides() {
        let text = |hierarchy| {
            Ok(format!("#subsys_name\thierarchy\tnum\nmemory\t3\t1\t1\nblkio\t{hierarchy}\t8\t1\n"))
        };
        assert!(bills_v2(&text(0)) && !bills_v2(&text(7)));
        assert!(bills_v2(&Err("no such file".to_owned())), "a kernel that has v2 only may have no such file");
    }
}
