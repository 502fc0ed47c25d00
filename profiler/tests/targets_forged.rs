//! Names that a tenant writes: labels of an image, a process that calls itself like a runtime's.
//!
//! In: root, Docker, a cgroup that an ordinary user owns. Out: the names that the runtime gave; what a user says stands behind
//! that user.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot set up fails")]

mod support;

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::process::{Command, Stdio};

use profiler::failure::Failure;
use profiler::target::{Container, Host, Owners, Selection, list, resolve};
use support::session::NOBODY;
use support::{Cgroup, Docker, Process, can_run, skipped};

const USER: u32 = 65534;

fn host() -> Host {
    Host::discover().unwrap()
}

fn refused(selection: &Selection) {
    match resolve(&host(), selection) {
        Err(Failure::Usage(line)) => assert!(line.contains("no "), "{line}"),
        other => panic!("not refused as usage: {other:?}"),
    }
}

fn container(name: &str) -> Selection {
    Selection { containers: vec![name.into()], ..Selection::default() }
}

#[test]
fn labels_of_an_image_name_nothing() {
    let Some(docker) = Docker::start("labels_of_an_image_name_nothing") else { return };
    let own = std::process::id();
    let (web, payments, cart) = (format!("web1-{own}"), format!("payments-{own}"), format!("cart-{own}"));
    let labels = [
        format!("io.kubernetes.container.name={payments}"),
        format!("io.kubernetes.pod.name={cart}"),
        "io.kubernetes.pod.namespace=shop".to_owned(),
        "io.kubernetes.docker.type=container".to_owned(),
        format!("io.kubernetes.cri.container-name={payments}"),
        format!("nerdctl/name={payments}"),
    ];
    let options: Vec<&str> = labels.iter().flat_map(|label| ["--label", label]).collect();
    let id = docker.run(&web, &options, &["sleep", "1000"]);
    let seen = list(&host()).into_iter().find(|own| own.id == id).unwrap();
    assert_eq!(
        (seen.name.as_str(), seen.pod.as_str(), seen.outer.as_str()),
        (web.as_str(), "", ""),
        "{seen:?}"
    );
    assert_eq!(resolve(&host(), &container(&web)).unwrap().note.label, format!("container {web}"));
    assert_eq!(Owners::new(host()).owner_of_pid(docker.pid(&web)).unwrap().container, web);
    refused(&container(&payments));
    for pod in [cart.clone(), format!("shop/{cart}")] {
        refused(&Selection { pods: vec![pod], ..Selection::default() });
    }
}

/// A process called conmon, with a sleeping child.
struct Conmon {
    conmon: Process,
    child: u32,
}

impl Conmon {
    /// Of root, or behind what makes another user of it.
    fn start(who: &[&str], dir: &std::path::Path, id: &str, name: &str) -> Self {
        let script = dir.join("conmon");
        fs::write(&script, "#!/bin/sh\nsleep 1000 >/dev/null &\necho $!\nexec 1>&-\nwait\n").unwrap();
        fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
        let mut conmon = Command::new("env");
        conmon.args(who).arg(&script).args(["-c", id, "-n", name, "-b", "/nowhere"]);
        let mut conmon =
            Process(conmon.current_dir("/").stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap());
        let mut line = String::new();
        BufReader::new(conmon.0.stdout.take().unwrap()).read_line(&mut line).unwrap();
        Self { conmon, child: line.trim().parse().unwrap() }
    }
}

impl Drop for Conmon {
    fn drop(&mut self) {
        let _ = Command::new("kill").args(["-KILL", &self.child.to_string()]).status();
    }
}

fn listed(id: &str) -> Container {
    list(&host()).into_iter().find(|own| own.id == id).unwrap()
}

#[test]
fn what_an_ordinary_user_calls_conmon_names_its_own_users_containers_only() {
    let test = "what_an_ordinary_user_calls_conmon_names_its_own_users_containers_only";
    if !can_run(test, &["sh", "sleep", "setpriv"]) {
        return;
    }
    let own = std::process::id();
    let (name, id) = (format!("payments-{own}"), format!("{own:064x}"));
    let dir = tempfile::tempdir().unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let Some(above) = Cgroup::make("", &format!("prof-forged-{own}")) else {
        return skipped(test, "cgroup2 is not mounted");
    };
    let inside = Cgroup::make("", &format!("prof-forged-{own}/libpod-{id}.scope")).unwrap();
    let impostor = Conmon::start(NOBODY, dir.path(), &id, &name);
    assert_eq!(fs::read_to_string(format!("/proc/{}/comm", impostor.conmon.pid())).unwrap(), "conmon\n");
    inside.adopt(impostor.child);

    // Root made the cgroup: an ordinary user's process tells nothing of it.
    let seen = listed(&id);
    assert_eq!((seen.name.as_str(), seen.outer.as_str()), (&id[..12], ""), "{seen:?}");
    refused(&container(&name));

    // It is in what that user was given: then it is called so, behind the user.
    chown(&above.dir, Some(USER), Some(USER)).unwrap();
    let seen = listed(&id);
    assert_eq!((seen.label(), seen.outer), (format!("user:{USER}/{name}"), format!("user:{USER}")));
    let label = format!("container user:{USER}/{name}");
    for want in [name.clone(), format!("user:{USER}/{name}")] {
        assert_eq!(resolve(&host(), &container(&want)).unwrap().note.label, label, "{want}");
    }
    assert_eq!(
        Owners::new(host()).owner_of_pid(impostor.child).unwrap().container,
        format!("user:{USER}/{name}")
    );

    // Where root has a container of that name, it is the one that is meant.
    let (roots_id, path) = (format!("{:064x}", u64::from(own) << 32), format!("prof-roots-{own}"));
    let roots_above = Cgroup::make("", &path).unwrap();
    let roots = Cgroup::make("", &format!("{path}/libpod-{roots_id}.scope")).unwrap();
    let conmon = Conmon::start(&[], dir.path(), &roots_id, &name);
    roots.adopt(conmon.child);
    let resolved = resolve(&host(), &container(&name)).unwrap();
    assert_eq!(resolved.note.label, format!("container {name}"));
    assert!(resolved.note.details.contains(&("container id".into(), roots_id)), "{:?}", resolved.note);
    drop((conmon, impostor));
    drop((roots, roots_above, inside, above));
}
