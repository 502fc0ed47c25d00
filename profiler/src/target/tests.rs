//! What runtimes, tenants and the kernel write about containers, damaged: see `tests/fuzz/harness.rs`.
//!
//! In: the corpus in the tree. Out: names that are no longer than they may be, and paths that lie in what was read.

use std::fs;

use crate::harness::mutate::{self, Random};
use crate::harness::{corpus, fuzz};
use crate::machine::mounts;
use ciborium::Value;

use super::host::Host;
use super::mounts::reach;
use super::names::Names;
use super::task::Task;
use super::{kubelet, runtime, shape, state, text};

/// Names are cut to so many characters.
const LONGEST: usize = 512;

fn assert_bounded(names: &Names) {
    for name in [&names.name, &names.image, &names.pod, &names.namespace].into_iter().chain(&names.other) {
        assert!(name.chars().count() <= LONGEST, "{} characters", name.chars().count());
    }
}

/// Damaged by its structure, and then now and then in its bytes.
#[test]
fn fuzz_configurations_of_runtimes() {
    let inputs: Vec<Vec<u8>> = corpus("oci");
    let trees: Vec<Value> = inputs.iter().map(|json| serde_json::from_slice(json).unwrap()).collect();
    let make = |random: &mut Random| {
        if random.below(4) == 0 {
            return mutate::bytes(&inputs, random);
        }
        let mut tree = trees[random.below(trees.len())].clone();
        for _ in 0..=random.below(3) {
            mutate::tree(&mut tree, random);
        }
        serde_json::to_vec(&tree).unwrap_or_default()
    };
    let directory = tempfile::tempdir().unwrap();
    let host = Host::recorded(directory.path(), &["", "memory"]);
    fuzz("oci", make, |input| {
        let Ok(config) = serde_json::from_slice::<serde_json::Value>(input) else { return };
        assert_bounded(&runtime::docker_names(&config));
        assert_bounded(&kubelet::containerd(kubelet::NAMESPACE, &config["annotations"]));
        assert_bounded(&kubelet::containerd("default", &config["annotations"]));
        assert_bounded(&kubelet::crio(&config["annotations"]));
        assert!(state::area_of(&host, &config).paths.len() <= 2);
    });
}

/// Paths of cgroups as the kernel prints them, and what their shapes tell.
#[test]
fn fuzz_cgroups_of_processes() {
    let inputs = corpus("cgroup");
    let directory = tempfile::tempdir().unwrap();
    let host = Host::recorded(directory.path(), &["", "memory", "cpu,cpuacct"]);
    let process = directory.path().join("proc/1");
    fs::create_dir_all(&process).unwrap();
    let status = &corpus("status")[0];
    fs::write(process.join("status"), status).unwrap();
    fuzz(
        "cgroup",
        |random| mutate::bytes(&inputs, random),
        |input| {
            fs::write(process.join("cgroup"), input).unwrap();
            let task = Task::read(&host, 1).unwrap();
            for (_, path) in &task.cgroups {
                for shape in shape::containers_in(path) {
                    assert!(path.starts_with(shape.dir) && !shape.id.is_empty(), "{path} {shape:?}");
                }
                assert!(shape::unit_in(path).is_none_or(|unit| path.contains(unit)));
            }
            let _ = (shape::innermost(&task.cgroups), shape::telling(&task.cgroups));
        },
    );
}

#[test]
fn fuzz_status_of_processes() {
    let inputs = corpus("status");
    let directory = tempfile::tempdir().unwrap();
    let host = Host::recorded(directory.path(), &[""]);
    let process = directory.path().join("proc/1");
    fs::create_dir_all(&process).unwrap();
    fs::write(process.join("cgroup"), "0::/\n").unwrap();
    fuzz(
        "status",
        |random| mutate::bytes(&inputs, random),
        |input| {
            fs::write(process.join("status"), input).unwrap();
            if let Some(task) = Task::read(&host, 1) {
                let clean = text::clean(&task.comm);
                assert!(!clean.chars().any(crate::hostile::acts), "{clean:?}");
            }
        },
    );
}

#[test]
fn fuzz_mount_tables_of_containers() {
    let inputs = corpus("mountinfo");
    fuzz(
        "mounts",
        |random| mutate::bytes(&inputs, random),
        |input| {
            let text = String::from_utf8_lossy(input);
            let mounts = mounts::parse(&text);
            for mount in &mounts {
                let reached = reach(&mounts, &mount.device, &mount.root);
                assert!(reached.is_some(), "{mount:?} shows itself");
            }
        },
    );
}
