//! Names of containers inside containers (kind, k3d, Docker in Docker).
//!
//! In: such a container's id, its outermost process, its ancestors inside the container around it. Out: [`Names`]. Those
//! ancestors can only name what is inside their own container, so the name stands after the outer container's name. Their
//! memory (command line, environment) is not read, because that may block.

use std::fs;
use std::path::Path;

use super::host::Host;
use super::kubelet;
use super::names::Names;
use super::read;
use super::runtime::{self, Unnamed};
use super::task::Task;
use crate::machine::mounts;

/// Ancestors that are looked through, at most.
const MAX_AROUND: usize = 8;

/// Names of a container, by its ancestors inside the container around it. A child reads them: what is inside a container may
/// lie in a file system that does not answer.
pub(super) fn find(host: &Host, of: Unnamed<'_>) -> Names {
    runtime::apart(|| {
        let mut names = Names::default();
        for task in of.ancestors.iter().take(MAX_AROUND) {
            let found = docker(host, of, task).or_else(|| {
                (task.comm == "containerd-shim").then(|| containerd_shim(host, of.id, task.pid)).flatten()
            });
            if let Some(found) = found {
                names.fill(found);
                break;
            }
        }
        names
    })
}

/// Docker's own record, as this ancestor sees the file system that holds it.
fn docker(host: &Host, of: Unnamed<'_>, task: &Task) -> Option<Names> {
    let table = mounts::parse(&read::procfs(host.process(task.pid).join("mountinfo"))?);
    let root = host.process(task.pid).join("root");
    runtime::docker_record(host, of, (&root, &table, true))
}

/// The shim works in the bundle of its first container, below a directory named after containerd's namespace; those of the
/// same pod lie beside it.
fn containerd_shim(host: &Host, id: &str, shim: u32) -> Option<Names> {
    let cwd = host.process(shim).join("cwd");
    let bundle = read::directory(&cwd)?;
    let config =
        if read::is_plain_name(id) { read::json(&bundle, format!("../{id}/config.json")) } else { None };
    let works_in = fs::read_link(&cwd).ok()?;
    let namespace = works_in.parent().and_then(Path::file_name).and_then(|name| name.to_str()).unwrap_or("");
    let mut names = config.map(|config| kubelet::containerd(namespace, &config["annotations"]))?;
    let runtime = if namespace == "moby" { "docker" } else { "containerd" };
    names.fill(Names { runtime: runtime.into(), id: id.into(), ..Names::default() });
    Some(names)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;
    use std::path::PathBuf;

    use super::super::survey::{Container, Survey};
    use super::super::{owners::Owners, select};
    use super::*;

    const OUTER: &str = "0b73c7ed6fde364ff45542730d3420358400f50b866e23d7f730ddf61b5a0f7d";
    const APP: &str = "1b73c7ed6fde364ff45542730d3420358400f50b866e23d7f730ddf61b5a0f7d";
    const UID: &str = "0f3cb1b4-92d3-4c7a-9f0e-2f8a6c1d7e55";

    /// A recorded host.
    struct Tree(tempfile::TempDir);

    impl Tree {
        fn new() -> Self {
            Self(tempfile::tempdir().unwrap())
        }

        fn host(&self) -> Host {
            Host::recorded(self.0.path(), &["", "memory"])
        }

        fn process(&self, (pid, parent): (u32, u32), comm: &str, nspid: &str, paths: [&str; 2]) -> PathBuf {
            let dir = self.0.path().join(format!("proc/{pid}"));
            fs::create_dir_all(&dir).unwrap();
            let status = format!(
                "Name:\t{comm}\nTgid:\t{pid}\nPPid:\t{parent}\nUid:\t0\t0\t0\t0\nNSpid:\t{pid}{nspid}\n"
            );
            fs::write(dir.join("status"), status).unwrap();
            fs::write(dir.join("cgroup"), format!("1:memory:{}\n0::{}\n", paths[1], paths[0])).unwrap();
            fs::write(dir.join("mountinfo"), "").unwrap();
            dir
        }

        /// A bundle below a runtime's directory, with these annotations.
        fn bundle(&self, namespace: &str, id: &str, annotations: &serde_json::Value) -> PathBuf {
            let dir = self.0.path().join("bundles").join(namespace).join(id);
            fs::create_dir_all(&dir).unwrap();
            fs::write(dir.join("config.json"), serde_json::json!({ "annotations": annotations }).to_string())
                .unwrap();
            dir
        }

        /// kind: a Docker container with a containerd in it, whose shim has the pod's container. `unified`, `memory`: how far down
        /// each hierarchy tells.
        fn kind(&self, unified: &str, memory: &str) {
            let outer = format!("/docker/{OUTER}");
            self.process((1, 0), "init", "", ["/", "/"]);
            self.process((10, 1), "containerd-shim", "", ["/", "/"]);
            self.process((11, 10), "systemd", "\t1", [&outer, &outer]);
            let shim = self.process((12, 11), "containerd-shim", "\t30", [&outer, &outer]);
            let notes = serde_json::json!({
                "io.kubernetes.cri.container-type": "container", "io.kubernetes.cri.container-name": "app",
                "io.kubernetes.cri.sandbox-name": "web-0", "io.kubernetes.cri.sandbox-namespace": "prod",
            });
            symlink(self.bundle("k8s.io", "sandbox", &serde_json::Value::Null), shim.join("cwd")).unwrap();
            self.bundle("k8s.io", APP, &notes);
            self.process((13, 12), "web", "\t31\t1", [unified, memory]);
        }
    }

    fn listed(tree: &Tree) -> Vec<Container> {
        Survey::take(&tree.host()).containers
    }

    fn pod_path() -> String {
        format!("/docker/{OUTER}/kubelet.slice/kubepods/burstable/pod{UID}/{APP}")
    }

    #[test]
    fn a_pod_in_a_container_is_named_behind_that_container() {
        let (deep, outer) = (pod_path(), format!("/docker/{OUTER}"));
        // In both hierarchies, and in either of the two.
        for (unified, memory) in [(&deep, &deep), (&deep, &outer), (&outer, &deep)] {
            let tree = Tree::new();
            tree.kind(unified, memory);
            let all = listed(&tree);
            let named: Vec<_> =
                all.iter().map(|own| (own.runtime.as_str(), own.label(), own.pids.clone())).collect();
            let short = &OUTER[..12];
            let expected = [
                ("docker", short.to_owned(), vec![11, 12]),
                ("containerd", format!("{short}/web-0/app"), vec![13]),
            ];
            assert_eq!(named, expected, "{unified} {memory}");
            assert_eq!(all[1].pod_name(), format!("{short}/prod/web-0"));
            let mut owners = Owners::new(tree.host());
            assert_eq!(owners.owner_of_pid(13).unwrap().container, format!("{short}/web-0/app"));
            assert_eq!(
                owners.owner_of_pid(12).unwrap().container,
                short,
                "another process of the container around"
            );
            for wanted in ["web-0", "prod/web-0", &format!("{short}/prod/web-0"), UID] {
                let survey = Survey { tasks: Vec::new(), containers: listed(&tree) };
                let part = select::pods(&survey, &[wanted.to_owned()]).unwrap();
                assert_eq!(part.label, [format!("pod {short}/prod/web-0")], "{wanted}");
            }
        }
    }

    #[test]
    fn what_a_container_says_of_itself_hides_no_container_of_the_host() {
        let tree = Tree::new();
        tree.kind(&pod_path(), &pod_path());
        let host_id = OUTER.replace('0', "9");
        let path = format!("/kubepods/burstable/pod{}/{host_id}", UID.replace('0', "9"));
        let shim = tree.process((20, 1), "containerd-shim", "", ["/", "/"]);
        let notes = serde_json::json!({
            "io.kubernetes.cri.container-type": "container", "io.kubernetes.cri.container-name": "app",
            "io.kubernetes.cri.sandbox-name": "web-0", "io.kubernetes.cri.sandbox-namespace": "prod",
        });
        symlink(tree.bundle("host", &host_id, &notes), shim.join("cwd")).unwrap();
        fs::write(shim.join("cmdline"), "containerd-shim\0-namespace\0k8s.io\0").unwrap();
        tree.process((21, 20), "web", "\t1", [&path, &path]);
        let survey = Survey { tasks: Vec::new(), containers: listed(&tree) };
        for wanted in ["web-0", "prod/web-0"] {
            assert_eq!(select::pods(&survey, &[wanted.to_owned()]).unwrap().label, ["pod prod/web-0"]);
        }
        for wanted in ["app", "web-0/app", "prod/web-0/app"] {
            let part = select::containers(&survey, &[wanted.to_owned()]).unwrap();
            assert_eq!(part.label, ["container web-0/app"], "{wanted}");
        }
    }

    #[test]
    fn docker_in_docker_is_named_by_its_own_record() {
        let tree = Tree::new();
        let outer = format!("/docker/{OUTER}");
        let inner = format!("{outer}/docker/{APP}");
        tree.process((1, 0), "init", "", ["/", "/"]);
        tree.process((10, 1), "containerd-shim", "", ["/", "/"]);
        let daemon = tree.process((11, 10), "dockerd", "\t1", [&outer, &outer]);
        let shim = tree.process((12, 11), "containerd-shim", "\t30", [&outer, &outer]);
        let root = tree.0.path().join("inside");
        let record = root.join("lib/containers").join(APP);
        fs::create_dir_all(&record).unwrap();
        let config = serde_json::json!({ "ID": APP, "Name": "/web", "Config": { "Image": "shop:1" } });
        fs::write(record.join("config.v2.json"), config.to_string()).unwrap();
        for dir in [daemon, shim] {
            symlink(&root, dir.join("root")).unwrap();
            fs::write(dir.join("mountinfo"), "1 0 0:77 / / rw - overlay overlay rw\n").unwrap();
        }
        let web = tree.process((13, 12), "sh", "\t31\t1", [&inner, &inner]);
        let line = format!("9 8 0:77 /lib/containers/{APP}/hosts /etc/hosts rw - overlay overlay rw\n");
        fs::write(web.join("mountinfo"), line).unwrap();
        let all = listed(&tree);
        let found = all.iter().find(|own| own.id == APP).unwrap();
        assert_eq!((found.runtime.as_str(), found.image.as_str()), ("docker", "shop:1"));
        assert_eq!(found.label(), format!("{}/web", &OUTER[..12]));
    }
}
