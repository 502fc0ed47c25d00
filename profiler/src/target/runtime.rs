//! The names of a container, from the files and processes of its runtime on the host; no runtime is asked.
//!
//! In: a container's id, its outermost process, who made its cgroup. Out: [`Names`]: runtime, name, image, pod.
//! What a tenant writes is not believed: labels of an image, mounts inside the container, a process that calls itself
//! like a runtime's. Believed is a runtime's own record, and a shim that belongs to whoever made the container's cgroup.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::host::Host;
use super::kubelet::{self, text};
use super::mounts::reach;
use super::names::Names;
use super::read;
use super::shape::{self, Shape};
use super::task::Task;
use crate::machine::child;
use crate::machine::mounts::{self, Mount};

/// A container whose names are looked for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Unnamed<'a> {
    pub id: &'a str,
    /// The runtime that its cgroup's name tells; empty: none in particular.
    pub runtime: &'a str,
    /// Its outermost process.
    pub outermost: u32,
    /// That process's ancestors outside of the container, the nearest first.
    pub ancestors: &'a [&'a Task],
    /// Who made its cgroup; 0: root.
    pub maker: u32,
}

/// Names of a container. What another user than root may have written is read by a child that may hang on it.
pub(super) fn find(host: &Host, records: &Records, of: Unnamed<'_>) -> Names {
    if of.maker == 0 {
        let docker = records.docker(of.id).unwrap_or_default();
        return with_shim(host, of, docker);
    }
    apart(|| {
        let docker = docker_record(host, of, (host.root(), host.mounts(), false)).unwrap_or_default();
        with_shim(host, of, docker)
    })
}

/// What a child told that may hang on what it reads; nothing if it did.
pub(super) fn apart(tell: impl FnOnce() -> Names) -> Names {
    let told = child::ask(child::PATIENCE, || serde_json::to_vec(&tell()).unwrap_or_default());
    told.and_then(|told| serde_json::from_slice(&told).ok()).unwrap_or_default()
}

fn with_shim(host: &Host, of: Unnamed<'_>, mut names: Names) -> Names {
    for shim in of.ancestors.iter().filter(|task| is_believed(task, of.maker)) {
        let found = match shim.comm.as_str() {
            "containerd-shim" => containerd_shim(host, of.id, shim.pid),
            "conmon" | "conmonrs" => conmon(host, of, shim.pid),
            "systemd-nspawn" => nspawn(host, shim.pid),
            _ => None,
        };
        if let Some(found) = found {
            names.fill(found);
            break;
        }
    }
    names
}

/// A shim is a process of the host, in no container, of the user that made the container's cgroup: a tenant has a cgroup of
/// his own at most, and what he says of what is in it stands behind his user's name.
fn is_believed(shim: &Task, maker: u32) -> bool {
    shim.namespaces == 1 && shim.uid == maker && shape::innermost(&shim.cgroups).is_none()
}

/// The shim works in the bundle of its first container; those of the same pod lie beside it.
fn containerd_shim(host: &Host, id: &str, shim: u32) -> Option<Names> {
    let arguments = arguments(host, shim);
    let option = |name: &str| after(&arguments, name).unwrap_or_default();
    let bundle = read::directory(host.process(shim).join("cwd"))?;
    let id = if id.is_empty() { option("-id") } else { id };
    let beside = read::is_plain_name(id).then(|| format!("../{id}/config.json"));
    let config = beside
        .and_then(|path| read::json(&bundle, path))
        .or_else(|| (option("-id") == id).then(|| read::json(&bundle, "config.json")).flatten());
    let namespace = option("-namespace");
    let names = config.map(|config| kubelet::containerd(namespace, &config["annotations"]));
    let mut names = names.unwrap_or_default();
    let runtime = if namespace == "moby" { "docker" } else { "containerd" };
    names.fill(Names { runtime: runtime.into(), id: id.into(), ..Names::default() });
    Some(names)
}

/// conmon carries the id (`-c`), the name (`-n`) and the bundle (`-b`) as arguments. podman's bundles hold the annotations of
/// images; only those of CRI-O are believed, which its cgroup's name tells.
fn conmon(host: &Host, of: Unnamed<'_>, shim: u32) -> Option<Names> {
    let arguments = arguments(host, shim);
    let told = after(&arguments, "-c")?;
    if !of.id.is_empty() && told != of.id {
        return None;
    }
    let crio = of.runtime == "cri-o";
    let name = after(&arguments, "-n").unwrap_or_default();
    let mut names = Names::default();
    if crio {
        let config = after(&arguments, "-b").filter(|path| path.starts_with('/')).and_then(|path| {
            let bundle = read::directory(below_root(host, path))?;
            read::json(&bundle, "config.json")
        });
        names = config.map(|config| kubelet::crio(&config["annotations"])).unwrap_or_default();
        names.fill(kubelet::spelled(name).map(|(names, _)| names).unwrap_or_default());
    }
    let runtime = if crio { "cri-o" } else { "podman" };
    names.fill(Names { runtime: runtime.into(), id: told.into(), name: name.into(), ..Names::default() });
    Some(names)
}

fn nspawn(host: &Host, shim: u32) -> Option<Names> {
    let arguments = arguments(host, shim);
    let joined =
        |long: &str| arguments.iter().find_map(|argument| argument.strip_prefix(long)).map(str::to_owned);
    let name = joined("--machine=").or_else(|| after(&arguments, "-M").map(str::to_owned));
    let directory = || joined("--directory=").or_else(|| after(&arguments, "-D").map(str::to_owned));
    let last = |path: String| Path::new(&path).file_name().map(|name| name.to_string_lossy().into_owned());
    let name = name.or_else(|| directory().and_then(last))?;
    Some(Names { runtime: "nspawn".into(), id: name.clone(), name, ..Names::default() })
}

/// Docker's record where a container's own mounts lead: Docker mounts `hosts`, `hostname` and `resolv.conf` from the directory
/// that holds it. Whoever may mount in the container chooses where they lead, so this is asked only about what is shown
/// behind another name. By a root directory and its mounts; whether one may be an overlay, as a container's are.
pub(super) fn docker_record(
    host: &Host,
    of: Unnamed<'_>,
    (root, mounts, overlays): (&Path, &[Mount], bool),
) -> Option<Names> {
    let id = of.id;
    let table = mounts::parse(&read::procfs(host.process(of.outermost).join("mountinfo"))?);
    let marker = format!("/containers/{id}/");
    let config = table
        .iter()
        .filter(|mount| ["/etc/hosts", "/etc/hostname", "/etc/resolv.conf"].contains(&mount.point.as_str()))
        .filter(|mount| (overlays || mount.kind != "overlay") && !id.is_empty())
        .filter_map(|mount| {
            let cut = mount.root.find(&marker)? + marker.len();
            let path = reach(mounts, &mount.device, mount.root.get(..cut)?)?;
            read::json(&read::directory(root.join(path.trim_start_matches('/')))?, "config.v2.json")
        })
        .find(|config| config["ID"] == id)?;
    Some(docker_names(&config))
}

/// Docker's own name; the labels beside it are the image's. Where kubelet had Docker make the container, Docker's name tells
/// the pod, and its cgroup, which no image chooses, is in that pod.
pub(super) fn docker_names(config: &Value) -> Names {
    let own = text(&config["Name"]).trim_start_matches('/').to_owned();
    let parent = text(&config["HostConfig"]["CgroupParent"]);
    let pod_uid = shape::pod_uid(parent.rsplit('/').next().unwrap_or(""));
    let kubelets = kubelet::spelled(&own).filter(|(_, uid)| !pod_uid.is_empty() && *uid == pod_uid);
    let mut names = kubelets.map(|(names, _)| names).unwrap_or_default();
    names.fill(Names {
        runtime: "docker".into(),
        name: own,
        image: text(&config["Config"]["Image"]),
        ..Names::default()
    });
    names
}

/// Where runtimes keep what they know of a container, also before it runs.
#[derive(Debug)]
pub(super) struct Records {
    root: PathBuf,
    /// `containers` directories of Docker daemons.
    docker: Vec<PathBuf>,
}

impl Records {
    /// Docker's usual place, the configured one, and those of the daemons among these processes.
    pub(super) fn of(host: &Host, tasks: &[Task]) -> Self {
        let mut roots = vec!["/var/lib/docker".to_owned()];
        let configured = |file: &str| {
            let (dir, name) = file.rsplit_once('/')?;
            let config = read::json(&read::directory(below_root(host, dir))?, name)?;
            Some(text(&config["data-root"]))
        };
        roots.extend(configured("/etc/docker/daemon.json"));
        let daemons = tasks.iter().filter(|task| task.comm == "dockerd" && is_believed(task, 0));
        for task in daemons {
            let arguments = arguments(host, task.pid);
            let option = |long: &str| {
                let joined =
                    |argument: &String| Some(argument.strip_prefix(long)?.strip_prefix('=')?.to_owned());
                arguments.iter().find_map(joined).or_else(|| after(&arguments, long).map(str::to_owned))
            };
            roots.extend(option("--data-root").or_else(|| option("-g")).or_else(|| option("--graph")));
            roots.extend(option("--config-file").and_then(|file| configured(&file)));
        }
        roots.retain(|root| root.starts_with('/'));
        roots.sort_unstable();
        roots.dedup();
        let docker = roots.iter().map(|root| below_root(host, root).join("containers")).collect();
        Self { root: host.root().to_owned(), docker }
    }

    /// Docker's record of a container.
    fn docker(&self, id: &str) -> Option<Names> {
        if !read::is_plain_name(id) {
            return None;
        }
        self.docker.iter().find_map(|root| {
            let config = read::json(&read::directory(root)?, format!("{id}/config.v2.json"))?;
            (config["ID"] == id).then(|| docker_names(&config))
        })
    }
}

/// Bundles of containerd's shims, by namespace.
const BUNDLES: [&str; 2] =
    ["run/containerd/io.containerd.runtime.v2.task", "run/k3s/containerd/io.containerd.runtime.v2.task"];
/// Records of CRI-O, by id; podman's beside them tell no names.
const USERDATA: &str = "var/lib/containers/storage/overlay-containers";
/// Most namespaces of containerd that are looked at.
const NAMESPACES: usize = 64;

/// Names of a container that may not run yet, by the cgroup made for it; `None` while nobody has named it.
pub(super) fn recorded(records: &Records, shape: &Shape<'_>) -> Option<Names> {
    let id = shape.id.as_str();
    if !read::is_plain_name(id) {
        return None;
    }
    let bundle = || {
        let namespaces = BUNDLES.iter().flat_map(|bundles| {
            let bundles = records.root.join(bundles);
            let entries = std::fs::read_dir(&bundles).into_iter().flatten().flatten();
            entries
                .take(NAMESPACES)
                .map(move |entry| (bundles.clone(), entry.file_name()))
                .collect::<Vec<_>>()
        });
        let mut told = namespaces.filter_map(|(bundles, namespace)| {
            let config =
                read::json(&read::directory(bundles.join(&namespace))?, format!("{id}/config.json"))?;
            Some(kubelet::containerd(namespace.to_str()?, &config["annotations"]))
        });
        told.find(|names| !names.name.is_empty())
    };
    let userdata = || {
        let dir = read::directory(records.root.join(USERDATA)).filter(|_| shape.runtime == "cri-o")?;
        Some(kubelet::crio(&read::json(&dir, format!("{id}/userdata/config.json"))?["annotations"]))
    };
    let named = |names: &Names| !names.name.is_empty();
    records.docker(id).filter(named).or_else(bundle).or_else(|| userdata().filter(named))
}

fn arguments(host: &Host, pid: u32) -> Vec<String> {
    let text = read::procfs(host.process(pid).join("cmdline")).unwrap_or_default();
    text.split('\0').map(str::to_owned).collect()
}

fn after<'a>(arguments: &'a [String], option: &str) -> Option<&'a str> {
    let place = arguments.iter().position(|argument| argument == option)?;
    arguments.get(place + 1).map(String::as_str)
}

/// An absolute path of the host, reached from here.
fn below_root(host: &Host, path: &str) -> PathBuf {
    host.root().join(path.trim_start_matches('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    const UID: &str = "0f3cb1b4-92d3-4c7a-9f0e-2f8a6c1d7e55";

    #[test]
    fn dockers_own_name_wins_and_labels_of_an_image_are_nobodys() {
        let config = serde_json::json!({
            "Name": "/web1",
            "Config": { "Image": "shop:1", "Labels": {
                "io.kubernetes.container.name": "payments", "io.kubernetes.pod.name": "cart",
                "io.kubernetes.pod.namespace": "shop", "io.kubernetes.docker.type": "container",
                "io.kubernetes.cri.container-name": "payments", "nerdctl/name": "payments",
            } },
        });
        let names = docker_names(&config);
        let expected = Names {
            runtime: "docker".into(),
            name: "web1".into(),
            image: "shop:1".into(),
            ..Names::default()
        };
        assert_eq!(names, expected);
    }

    #[test]
    fn kubelets_docker_containers_are_known_by_name_and_cgroup() {
        let own = format!("k8s_app_cart_shop_{UID}_0");
        let config = |parent: &str| serde_json::json!({ "Name": format!("/{own}"), "HostConfig": { "CgroupParent": parent } });
        let underscored = UID.replace('-', "_");
        for parent in
            [format!("/kubepods/burstable/pod{UID}"), format!("kubepods-burstable-pod{underscored}.slice")]
        {
            let names = docker_names(&config(&parent));
            assert_eq!(
                (names.name.as_str(), names.pod.as_str(), names.namespace.as_str()),
                ("app", "cart", "shop")
            );
            assert_eq!(names.other, [own.as_str()]);
        }
        for parent in ["", "/kubepods/burstable/pod11111111-2222-3333-4444-555555555555"] {
            let names = docker_names(&config(parent));
            assert_eq!((names.name.as_str(), names.pod.as_str()), (own.as_str(), ""), "{parent}");
        }
    }

    #[test]
    fn a_shim_is_the_makers_process_outside_of_containers() {
        let task = |uid, namespaces, path: &str| Task {
            uid,
            namespaces,
            cgroups: vec![(0, path.to_owned())],
            ..Task::default()
        };
        let container = format!("/docker/{}", "a".repeat(64));
        assert!(is_believed(&task(0, 1, "/system.slice/containerd.service"), 0));
        assert!(is_believed(&task(1000, 1, "/user.slice"), 1000), "about what is that user's");
        assert!(!is_believed(&task(1000, 1, "/user.slice"), 0), "an ordinary user's, above root's cgroup");
        assert!(!is_believed(&task(0, 2, "/system.slice"), 0), "in a pid namespace of its own");
        assert!(!is_believed(&task(0, 1, &container), 0), "root in a container with the host's pids");
    }
}
