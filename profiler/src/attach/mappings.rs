//! Where the kernel keeps the mappings of a process, and the other fields that describe its death.
//!
//! In: the kernel's types. Out: offsets. If this kernel lacks a field, faults lack the fact that the field
//! holds.

use profiler_common::global::Offsets;

use super::btf::Types;

/// Adds what there is.
pub fn add(types: &Types<'_>, offsets: Offsets) -> Offsets {
    let offsets = areas(types, offsets).unwrap_or(offsets);
    let offsets = numbers(types, offsets).unwrap_or(offsets);
    Offsets {
        mm_flags: types.offset("mm_struct", "flags").unwrap_or(0),
        signal_limits: types.offset("signal_struct", "rlim").unwrap_or(0),
        task_parent: types.offset("task_struct", "real_parent").unwrap_or(0),
        ..offsets
    }
}

/// The mappings are in a maple tree since Linux 6.1, before in a red-black one.
fn areas(types: &Types<'_>, offsets: Offsets) -> Option<Offsets> {
    let both = |outer: (&str, &str), inner: (&str, &str)| {
        Some(types.offset(outer.0, outer.1)? + types.offset(inner.0, inner.1)?)
    };
    let area = |member| types.offset("vm_area_struct", member);
    let tree = both(("mm_struct", "mm_mt"), ("maple_tree", "ma_root"));
    let (mm_rb, area_rb) = match tree {
        Some(_) => (0, 0),
        None => (both(("mm_struct", "mm_rb"), ("rb_root", "rb_node"))?, area("vm_rb")?),
    };
    Some(Offsets {
        task_mm: types.offset("task_struct", "mm")?,
        mm_tree: tree.unwrap_or(0),
        mm_rb,
        area_rb,
        area_start: area("vm_start")?,
        area_end: area("vm_end")?,
        area_flags: area("vm_flags")?,
        area_page: area("vm_pgoff")?,
        area_file: area("vm_file")?,
        file_dentry: both(("file", "f_path"), ("path", "dentry"))?,
        dentry_name: both(("dentry", "d_name"), ("qstr", "name"))?,
        inode_number: types.offset("inode", "i_ino")?,
        inode_bytes: types.offset("inode", "i_size")?,
        ..offsets
    })
}

/// Pids in namespaces.
fn numbers(types: &Types<'_>, offsets: Offsets) -> Option<Offsets> {
    Some(Offsets {
        task_thread_pid: types.offset("task_struct", "thread_pid")?,
        pid_level: types.offset("pid", "level")?,
        pid_numbers: types.offset("pid", "numbers")?,
        ..offsets
    })
}
