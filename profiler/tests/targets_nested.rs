//! A pod inside a container, as kind and k3d run it, on this machine's own procfs and cgroups.
//!
//! In: root, a cgroup in the shape of Docker's, a shim in it with the bundles that containerd's CRI leaves. Out: names behind
//! that container's, and the filter of the pod.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot set up fails")]

mod support;

use profiler::target::{CgroupFilter, Host, Owners, Selection, list, resolve};
use support::pod::Shim;
use support::{Cgroup, can_run, skipped};

#[test]
fn a_pod_in_a_container_by_the_shims_bundles_there() {
    let test = "a_pod_in_a_container_by_the_shims_bundles_there";
    if !can_run(test, &["sleep"]) {
        return;
    }
    let process = std::process::id();
    let [outer, sandbox, app] = ["a", "b", "c"].map(|letter| format!("{}{process:056x}", letter.repeat(8)));
    let pod = format!("web-{process}");
    let notes = |kind: &str| {
        serde_json::json!({
            "io.kubernetes.cri.container-type": kind, "io.kubernetes.cri.container-name": "app",
            "io.kubernetes.cri.sandbox-name": pod, "io.kubernetes.cri.sandbox-namespace": "prod",
        })
    };
    let node = format!("docker/{outer}");
    let place = format!("{node}/kubepods/burstable/pod0f3cb1b4-92d3-4c7a-9f0e-{process:012x}");
    let paths = [node, place.clone(), format!("{place}/{sandbox}"), format!("{place}/{app}")];
    let made: Option<Vec<Cgroup>> = paths.iter().map(|path| Cgroup::make("", path)).collect();
    let Some(made) = made else { return skipped(test, "cgroup2 is not mounted") };
    let dir = tempfile::tempdir().unwrap();
    let shim = Shim::start(dir.path(), &[(&sandbox, notes("sandbox")), (&app, notes("container"))]);
    made[0].adopt(shim.pid());
    made[2].adopt(shim.children[0]);
    made[3].adopt(shim.children[1]);

    let host = Host::discover().unwrap();
    let seen = list(&host).into_iter().find(|own| own.id == app).unwrap();
    let node = &outer[..12];
    assert_eq!(seen.label(), format!("{node}/{pod}/app"));
    assert_eq!((seen.outer.as_str(), seen.runtime.as_str()), (node, "containerd"));
    assert_eq!(
        Owners::new(Host::discover().unwrap()).owner_of_pid(shim.children[1]).unwrap().container,
        seen.label()
    );
    for want in [pod.clone(), format!("prod/{pod}"), format!("{node}/prod/{pod}")] {
        let resolved = resolve(&host, &Selection { pods: vec![want], ..Selection::default() }).unwrap();
        let [CgroupFilter::V2 { path, level, .. }] = &resolved.cgroups[..] else { panic!("{resolved:?}") };
        assert_eq!((path, *level, resolved.expected), (&format!("/{place}"), 5, 2));
        assert_eq!(resolved.note.label, format!("pod {node}/prod/{pod}"));
    }
    drop(shim);
    made.into_iter().rev().for_each(drop);
}
