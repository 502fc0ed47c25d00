//! The shapes of cgroup paths that container runtimes and systemd leave behind.
//!
//! In: a cgroup path. Out: the innermost container it names, the container's own directory, its pod,
//! and systemd units; no I/O.

/// A container as a cgroup path tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Shape<'a> {
    /// Which runtime uses this shape; empty when several do.
    pub runtime: &'static str,
    /// The container's id, or its name where the runtime uses names.
    pub id: String,
    /// The path of the container's own cgroup.
    pub dir: &'a str,
    /// The Kubernetes pod's uid.
    pub pod_uid: String,
}

/// The innermost container in a path.
pub(super) fn container_in(path: &str) -> Option<Shape<'_>> {
    containers_in(path).pop()
}

/// The containers in a path, the outermost first.
pub(super) fn containers_in(path: &str) -> Vec<Shape<'_>> {
    let mut found = Vec::new();
    let mut end = 0;
    let mut parent = "";
    for name in path.split('/') {
        let start = end;
        end = start + name.len();
        let above = path.get(..start.saturating_sub(1)).unwrap_or("");
        if let Some((runtime, id)) = container_of(parent, name, above)
            && let Some(dir) = path.get(..end)
        {
            found.push(Shape { runtime, id, dir, pod_uid: pod_uid(parent) });
        }
        parent = name;
        end += 1;
    }
    found
}

fn container_of(parent: &str, name: &str, above: &str) -> Option<(&'static str, String)> {
    if let Some((prefix, id)) = hex_id(name) {
        return runtime_of(prefix, parent, above).map(|runtime| (runtime, id.to_owned()));
    }
    let scope = name.strip_suffix(".scope");
    let named: [(&'static str, Option<&str>); 6] = [
        ("lxc", name.strip_prefix("lxc.payload.")),
        ("lxc", (parent == "lxc" || parent == "lxc.payload").then_some(name)),
        ("runc", scope.and_then(|scope| scope.strip_prefix("runc-"))),
        ("crun", scope.and_then(|scope| scope.strip_prefix("crun-"))),
        ("machine", scope.and_then(|scope| scope.strip_prefix("machine-"))),
        ("nspawn", name.strip_prefix("systemd-nspawn@").and_then(|rest| rest.strip_suffix(".service"))),
    ];
    let (runtime, id) = named.into_iter().find_map(|(runtime, id)| Some((runtime, id?)))?;
    (!id.is_empty()).then(|| (runtime, unescape_unit(id)))
}

/// A run of exactly 64 hex digits in a component, with what stands before it.
fn hex_id(name: &str) -> Option<(&str, &str)> {
    let stem = name.strip_suffix(".scope").unwrap_or(name);
    let cut = stem.len().checked_sub(64)?;
    let (prefix, id) = (stem.get(..cut)?, stem.get(cut..)?);
    let hex = id.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    let apart = prefix.is_empty() || prefix.ends_with(['-', ':']);
    (hex && apart).then_some((prefix, id))
}

/// The runtime that writes such a component; `None` for its helper processes (conmon).
fn runtime_of(prefix: &str, parent: &str, above: &str) -> Option<&'static str> {
    if prefix.contains("conmon") {
        return None;
    }
    let told = [
        ("docker", "docker"),
        ("cri-containerd", "containerd"),
        ("nerdctl", "containerd"),
        ("crio", "cri-o"),
        ("libpod", "podman"),
    ];
    let by_prefix = told.into_iter().find(|(word, _)| prefix.contains(word));
    let by_parent = || match parent {
        "docker" => Some("docker"),
        _ if parent.starts_with("libpod") || above.contains("/libpod_parent") => Some("podman"),
        _ => None,
    };
    Some(by_prefix.map(|(_, runtime)| runtime).or_else(by_parent).unwrap_or(""))
}

/// The pod's uid in `pod<uid>` or `kubepods-…-pod<uid>.slice` (there with `_` for `-`).
pub(super) fn pod_uid(component: &str) -> String {
    let stem = component.strip_suffix(".slice").unwrap_or(component);
    let uid = match stem.strip_prefix("pod") {
        Some(uid) => Some(uid),
        None if stem.starts_with("kubepods") || stem.contains("-kubepods") => {
            stem.rsplit_once("-pod").map(|(_, uid)| uid)
        }
        None => None,
    };
    let plausible = |uid: &&str| {
        uid.len() >= 16 && uid.bytes().all(|byte| byte.is_ascii_hexdigit() || b"-_".contains(&byte))
    };
    uid.filter(plausible).map(|uid| uid.replace('_', "-")).unwrap_or_default()
}

/// The innermost systemd service or scope in a path.
pub(super) fn unit_in(path: &str) -> Option<&str> {
    path.rsplit('/').find(|name| name.ends_with(".service") || name.ends_with(".scope"))
}

/// The innermost container over the paths of one process: hierarchies may go down to different depths, where a runtime
/// inside a container may make cgroups in some of them only. With its place, and the container around it.
pub(super) fn innermost(paths: &[(usize, String)]) -> Option<(usize, Shape<'_>, Option<Shape<'_>>)> {
    let mut best: Option<(usize, Vec<Shape<'_>>)> = None;
    for (place, path) in paths {
        let shapes = containers_in(path);
        if shapes.len() > best.as_ref().map_or(0, |(_, best)| best.len()) {
            best = Some((*place, shapes));
        }
    }
    let (place, mut shapes) = best?;
    let inner = shapes.pop()?;
    Some((place, inner, shapes.pop()))
}

/// The path that tells most of a process: down to its innermost container, else the first that is no root.
pub(super) fn telling(paths: &[(usize, String)]) -> Option<&(usize, String)> {
    let shaped = innermost(paths).map(|(place, ..)| place);
    let of_place = shaped.and_then(|shaped| paths.iter().find(|(place, _)| *place == shaped));
    of_place.or_else(|| paths.iter().find(|(_, path)| path != "/")).or(paths.first())
}

/// True for a component that systemd made.
pub(super) fn is_unit(name: &str) -> bool {
    const KINDS: [&str; 7] = [".service", ".scope", ".slice", ".socket", ".mount", ".swap", ".timer"];
    KINDS.iter().any(|kind| name.ends_with(kind))
}

/// Undoes systemd's `\x2d` escapes.
fn unescape_unit(name: &str) -> String {
    let mut pieces = name.split("\\x");
    let mut out = pieces.next().unwrap_or("").to_owned();
    for piece in pieces {
        match piece.get(..2).and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) if byte.is_ascii() => {
                out.push(char::from(byte));
                out.push_str(piece.get(2..).unwrap_or(""));
            }
            _ => {
                out.push_str("\\x");
                out.push_str(piece);
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "b173c7ed6fde364ff45542730d3420358400f50b866e23d7f730ddf61b5a0f7d";
    const UID: &str = "0f3cb1b4-92d3-4c7a-9f0e-2f8a6c1d7e55";

    #[test]
    fn each_runtime_is_known_by_its_path() {
        let uid_ = UID.replace('-', "_");
        let cases = [
            (format!("/docker/{ID}"), "docker", "", 0),
            (format!("/process_api/2a8fbf3ecb8169b22c111cd20c3ed591/docker/{ID}"), "docker", "", 0),
            (format!("/system.slice/docker-{ID}.scope"), "docker", "", 0),
            (format!("/system.slice/docker-{ID}.scope/init.scope"), "docker", "", "/init.scope".len()),
            (format!("/kubepods/burstable/pod{UID}/{ID}"), "", UID, 0),
            (
                format!(
                    "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{uid_}.slice/cri-containerd-{ID}.scope"
                ),
                "containerd",
                UID,
                0,
            ),
            (
                format!(
                    "/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-pod{uid_}.slice/cri-containerd-{ID}.scope"
                ),
                "containerd",
                UID,
                0,
            ),
            (format!("/kubepods.slice/kubepods-pod{uid_}.slice/crio-{ID}.scope"), "cri-o", UID, 0),
            (
                format!("/system.slice/containerd.service/kubepods-pod{uid_}.slice:cri-containerd:{ID}"),
                "containerd",
                "",
                0,
            ),
            (format!("/machine.slice/libpod-{ID}.scope/container"), "podman", "", "/container".len()),
            (format!("/libpod_parent/libpod-{ID}"), "podman", "", 0),
            (
                format!("/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-{ID}.scope"),
                "podman",
                "",
                0,
            ),
            (format!("/ecs/task/{ID}"), "", "", 0),
        ];
        for (path, runtime, pod, tail) in cases {
            let shape = container_in(&path).unwrap_or_else(|| panic!("no container in {path}"));
            assert_eq!(
                (shape.runtime, shape.id.as_str(), shape.pod_uid.as_str()),
                (runtime, ID, pod),
                "{path}"
            );
            assert_eq!(shape.dir.len(), path.len() - tail, "{path}");
        }
    }

    #[test]
    fn runtimes_that_use_names() {
        let cases = [
            ("/lxc.payload.web", "lxc", "web"),
            ("/lxc/web/system.slice/ssh.service", "lxc", "web"),
            ("/machine.slice/machine-my\\x2dbox.scope/payload", "machine", "my-box"),
            ("/machine.slice/systemd-nspawn@box.service", "nspawn", "box"),
            ("/system.slice/runc-bare.scope", "runc", "bare"),
            ("/user.slice/crun-x.scope", "crun", "x"),
        ];
        for (path, runtime, id) in cases {
            let shape = container_in(path).unwrap_or_else(|| panic!("no container in {path}"));
            assert_eq!((shape.runtime, shape.id.as_str()), (runtime, id), "{path}");
        }
    }

    #[test]
    fn the_innermost_container_wins() {
        let inner = ID.replace('b', "c");
        let path = format!("/docker/{ID}/docker/{inner}/x");
        let shape = container_in(&path).unwrap();
        assert_eq!((shape.id.as_str(), shape.dir), (inner.as_str(), &path[..path.len() - 2]));
    }

    #[test]
    fn the_innermost_is_sought_in_every_hierarchy() {
        let inner = ID.replace('b', "c");
        let paths = [
            (0, format!("/docker/{ID}")),
            (1, "/".to_owned()),
            (2, format!("/docker/{ID}/docker/{inner}/x")),
            (3, format!("/docker/{ID}/docker/{inner}")),
        ];
        let (place, found, outer) = innermost(&paths).unwrap();
        assert_eq!((place, found.id.as_str(), outer.unwrap().id.as_str()), (2, inner.as_str(), ID));
        assert_eq!(telling(&paths), Some(&paths[2]));
        let (place, found, outer) = innermost(&paths[..2]).unwrap();
        assert_eq!((place, found.id.as_str(), outer), (0, ID, None));
        let plain = [(0, "/".to_owned()), (1, "/a".to_owned())];
        assert_eq!(
            (innermost(&plain), telling(&plain), telling(&plain[..1])),
            (None, Some(&plain[1]), Some(&plain[0]))
        );
    }

    #[test]
    fn what_is_no_container() {
        let cases = [
            "/".to_owned(),
            String::new(),
            "/system.slice/nginx.service".to_owned(),
            "/user.slice/user-0.slice/session-1.scope".to_owned(),
            format!("/machine.slice/libpod-conmon-{ID}.scope"),
            format!("/kubepods/crio-conmon-{ID}.scope"),
            format!("/docker/{ID}0"),
            format!("/docker/x{ID}"),
            format!("/docker/{}", &ID[1..]),
            "/lxc.monitor.web".to_owned(),
            "/lxc.payload.".to_owned(),
            "/é\\x2".to_owned(),
        ];
        for path in cases {
            assert_eq!(container_in(&path), None, "{path}");
        }
    }

    #[test]
    fn units_are_found_and_escapes_undone() {
        assert_eq!(unit_in("/system.slice/nginx.service/worker"), Some("nginx.service"));
        assert_eq!(unit_in("/docker/x"), None);
        assert_eq!(unescape_unit("a\\x2db\\xzz\\x"), "a-b\\xzz\\x");
    }
}
