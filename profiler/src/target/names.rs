//! What a container is called, from the traces its runtime leaves on the host; no runtime is asked.
//!
//! In: a container's id and its outermost process. Out: [`Names`]: runtime, name, image, pod.
//! The container's shim (its first ancestor outside) leads to the OCI bundle, Docker's own mounts to
//! `config.v2.json`. Only processes of the host are believed to be a shim.

use std::path::Path;

use serde_json::Value;

use super::host::Host;
use super::mounts;
use super::read;
use super::task::Task;

/// What is known of a container beyond its id; empty where nothing says so.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Names {
    pub runtime: String,
    pub id: String,
    pub name: String,
    pub image: String,
    pub pod: String,
    pub namespace: String,
}

impl Names {
    /// Fills what is still empty.
    pub(super) fn fill(&mut self, more: Self) {
        let pairs = [
            (&mut self.runtime, more.runtime),
            (&mut self.id, more.id),
            (&mut self.name, more.name),
            (&mut self.image, more.image),
            (&mut self.pod, more.pod),
            (&mut self.namespace, more.namespace),
        ];
        for (own, new) in pairs {
            if own.is_empty() {
                *own = new;
            }
        }
    }
}

/// Names of container `id` with outermost process `outermost`, whose ancestors are `ancestors`.
pub(super) fn find(host: &Host, id: &str, outermost: u32, ancestors: &[&Task]) -> Names {
    let mut names = docker(host, id, outermost).unwrap_or_default();
    for shim in ancestors.iter().filter(|task| task.namespaces == 1) {
        let found = match shim.comm.as_str() {
            "containerd-shim" if shim.uid == 0 => containerd_shim(host, id, shim.pid),
            "conmon" | "conmonrs" => conmon(host, id, shim),
            "systemd-nspawn" if shim.uid == 0 => nspawn(host, shim.pid),
            _ => None,
        };
        if let Some(found) = found {
            names.fill(found);
            break;
        }
    }
    names
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
    let mut names = config.map(|config| annotations(&config["annotations"])).unwrap_or_default();
    let runtime = if option("-namespace") == "moby" { "docker" } else { "containerd" };
    names.fill(Names { runtime: runtime.into(), id: id.into(), ..Names::default() });
    Some(names)
}

/// conmon carries the id (`-c`), the name (`-n`) and the bundle (`-b`) as arguments. Reading the
/// arguments of a stranger may block, so the file it runs must belong to root.
fn conmon(host: &Host, id: &str, shim: &Task) -> Option<Names> {
    let exe = rustix::fs::stat(host.process(shim.pid).join("exe")).ok()?;
    if exe.st_uid != 0 {
        return None;
    }
    let arguments = arguments(host, shim.pid);
    let told = after(&arguments, "-c")?;
    if !id.is_empty() && told != id {
        return None;
    }
    let config =
        after(&arguments, "-b").filter(|path| path.starts_with('/') && shim.uid == 0).and_then(|path| {
            let bundle = read::directory(below_root(host, path))?;
            read::json(&bundle, "config.json")
        });
    let mut names = config.map(|config| annotations(&config["annotations"])).unwrap_or_default();
    let name = after(&arguments, "-n").unwrap_or_default().to_owned();
    let runtime = if name.starts_with("k8s_") { "cri-o" } else { "podman" };
    names.fill(Names { runtime: runtime.into(), id: told.into(), name, ..Names::default() });
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

/// Docker mounts `hosts`, `hostname` and `resolv.conf` from the directory that holds its own record.
fn docker(host: &Host, id: &str, outermost: u32) -> Option<Names> {
    let table = mounts::parse(&read::procfs(host.process(outermost).join("mountinfo"))?);
    let marker = format!("/containers/{id}/");
    let config = table
        .iter()
        .filter(|mount| ["/etc/hosts", "/etc/hostname", "/etc/resolv.conf"].contains(&mount.point.as_str()))
        .filter(|mount| mount.kind != "overlay" && !id.is_empty())
        .filter_map(|mount| {
            let cut = mount.root.find(&marker)? + marker.len();
            let path = mounts::reach(host.mounts(), &mount.device, mount.root.get(..cut)?)?;
            read::json(&read::directory(below_root(host, &path))?, "config.v2.json")
        })
        .find(|config| config["ID"] == id)?;
    let mut names = annotations(&config["Config"]["Labels"]);
    names.runtime = "docker".into();
    names.fill(Names {
        name: text(&config["Name"]).trim_start_matches('/').to_owned(),
        image: text(&config["Config"]["Image"]),
        ..Names::default()
    });
    Some(names)
}

/// The keys under which Kubernetes, containerd, CRI-O and nerdctl leave names.
fn annotations(of: &Value) -> Names {
    let first = |keys: &[&str]| {
        keys.iter().map(|key| text(&of[*key])).find(|value| !value.is_empty()).unwrap_or_default()
    };
    let kind = first(&[
        "io.kubernetes.cri.container-type",
        "io.kubernetes.cri-o.ContainerType",
        "io.kubernetes.docker.type",
    ]);
    let mut names = Names {
        name: first(&["io.kubernetes.cri.container-name", "io.kubernetes.container.name", "nerdctl/name"]),
        image: first(&["io.kubernetes.cri.image-name", "io.kubernetes.cri-o.ImageName", "nerdctl/image-ref"]),
        pod: first(&[
            "io.kubernetes.cri.sandbox-name",
            "io.kubernetes.pod.name",
            "io.kubernetes.cri-o.KubeName",
        ]),
        namespace: first(&[
            "io.kubernetes.cri.sandbox-namespace",
            "io.kubernetes.pod.namespace",
            "io.kubernetes.cri-o.Namespace",
        ]),
        ..Names::default()
    };
    let sandbox = matches!(kind.as_str(), "sandbox" | "podsandbox") || names.name == "POD";
    if sandbox && !names.pod.is_empty() {
        names.name = "pause".into();
    }
    names
}

/// A JSON string, cut to what a name may sensibly be.
fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().chars().take(512).collect()
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
fn below_root(host: &Host, path: &str) -> std::path::PathBuf {
    host.root().join(path.trim_start_matches('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn annotations_of_each_source() {
        let cri = serde_json::json!({
            "io.kubernetes.cri.container-name": "app", "io.kubernetes.cri.container-type": "container",
            "io.kubernetes.cri.sandbox-name": "web-0", "io.kubernetes.cri.sandbox-namespace": "prod",
            "io.kubernetes.cri.image-name": "registry/app:1",
        });
        let names = annotations(&cri);
        assert_eq!(
            (names.name.as_str(), names.pod.as_str(), names.namespace.as_str()),
            ("app", "web-0", "prod")
        );
        assert_eq!(names.image, "registry/app:1");
        let sandbox = serde_json::json!({
            "io.kubernetes.cri.container-type": "sandbox", "io.kubernetes.cri.sandbox-name": "web-0",
        });
        assert_eq!(annotations(&sandbox).name, "pause");
        let docker =
            serde_json::json!({ "io.kubernetes.container.name": "POD", "io.kubernetes.pod.name": "p" });
        assert_eq!(annotations(&docker).name, "pause");
    }

    #[test]
    fn annotations_of_the_wrong_kind_are_nothing() {
        for bad in ["null", "[]", "7", "{\"io.kubernetes.pod.name\":{}}"] {
            assert_eq!(annotations(&serde_json::from_str(bad).unwrap()), Names::default(), "{bad}");
        }
    }
}
