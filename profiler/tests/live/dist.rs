//! What is handed on, where nothing of this checkout is: the package and the tarball, put into a clean container, run, and
//! removed again.
//!
//! In: `PROFILER_DIST`, a directory that `cargo xtask dist` filled. Out: the tool records there, and its package leaves nothing.

#![allow(clippy::unwrap_used, reason = "a test that cannot set up fails")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::support::{Docker, can_run, output, skipped};

/// The file there whose name ends like this.
fn find(test: &str, end: &str) -> Option<PathBuf> {
    let Some(directory) = std::env::var_os("PROFILER_DIST") else {
        skipped(test, "PROFILER_DIST is not set: cargo xtask test sets it");
        return None;
    };
    let mut entries = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    let found = entries.find(|path| path.to_str().unwrap().ends_with(end));
    if found.is_none() {
        skipped(test, &format!("no file *{end} was made: its tool is missing"));
    }
    found
}

/// What the tool needs in a container: not all of `--privileged`, which a machine may not have to give.
const RIGHTS: [&str; 5] = [
    "--pid=host",
    "--security-opt=seccomp=unconfined",
    "--cap-add=SYS_ADMIN",
    "--cap-add=SYS_PTRACE",
    "--cap-add=DAC_READ_SEARCH",
];

/// A clean container that sees the host's processes, with the file inside.
fn clean(docker: &Docker, file: &Path) -> impl Fn(&str) -> String {
    let name = format!("clean-{}", std::process::id());
    let volume = format!("{}:/handed:ro", file.parent().unwrap().display());
    docker.run(&name, &[&RIGHTS[..], &["--volume", &volume]].concat(), &["sleep", "1000"]);
    let inside = format!("/handed/{}", file.file_name().unwrap().to_str().unwrap());
    move |script: &str| {
        let script = script.replace("$FILE", &inside);
        let ran = docker.exec(&name, &["sh", "-ec", &script]).wait_with_output().unwrap();
        let Output { status, stdout, .. } = ran;
        assert!(status.success(), "{script}: {status}");
        String::from_utf8(stdout).unwrap()
    }
}

/// Records a busy program with it and reads the capture again.
const RECORDS: &str = "
    ( while :; do :; done ) & busy=$!
    profiler record --quiet --pid $busy --probe cpu --duration 500ms --output /tmp/out
    kill $busy
    profiler report /tmp/out";

#[test]
fn the_package_is_installed_in_a_clean_container_records_there_and_leaves_nothing() {
    let test = "the_package_is_installed_in_a_clean_container_records_there_and_leaves_nothing";
    let Some(package) = find(test, "_amd64.deb") else { return };
    let Some(docker) = Docker::start(test) else { return };
    let inside = clean(&docker, &package);
    inside("mkdir -p /var/lib/dpkg/info; : >/var/lib/dpkg/status; dpkg -i $FILE");
    assert!(inside("which profiler; profiler --version").starts_with("/usr/bin/profiler\nprofiler "));
    let report = inside(RECORDS);
    assert!(report.contains("WHERE DID THE TIME GO"), "{report}");
    for (place, word) in [
        ("bash-completion/completions/profiler", "record"),
        ("zsh/vendor-completions/_profiler", "#compdef profiler"),
        ("fish/vendor_completions.d/profiler.fish", "complete -c profiler"),
        ("man/man1/profiler-record.1", ".TH profiler-record 1"),
    ] {
        let text = inside(&format!("cat /usr/share/{place}"));
        assert!(text.contains(word), "{place}: {text}");
    }
    inside("dpkg -r profiler");
    assert_eq!(inside("find /usr -type f"), "", "left behind");
}

#[test]
fn debians_own_tool_installs_the_package_and_purges_all_of_it() {
    let test = "debians_own_tool_installs_the_package_and_purges_all_of_it";
    let Some(package) = find(test, "_amd64.deb").filter(|_| can_run(test, &["dpkg"])) else { return };
    let root = tempfile::tempdir().unwrap();
    for directory in ["info", "updates", "triggers"] {
        fs::create_dir_all(root.path().join("var/lib/dpkg").join(directory)).unwrap();
    }
    fs::write(root.path().join("var/lib/dpkg/status"), "").unwrap();
    let dpkg = || {
        let mut dpkg = Command::new("dpkg");
        dpkg.arg("--root").arg(root.path());
        dpkg
    };
    output(dpkg().arg("--install").arg(&package));
    let status = output(dpkg().args(["--status", "profiler"]));
    assert!(status.contains("Status: install ok installed") && !status.contains("Depends:"), "{status}");
    let binary = root.path().join("usr/bin/profiler");
    let version = output(Command::new(&binary).arg("--version"));
    assert!(version.starts_with("profiler "), "{version}");
    output(dpkg().args(["--purge", "profiler"]));
    assert!(!root.path().join("usr").exists(), "left behind");
}

#[test]
fn the_tarball_runs_where_it_is_unpacked_in_a_clean_container() {
    let test = "the_tarball_runs_where_it_is_unpacked_in_a_clean_container";
    let Some(tarball) = find(test, "-x86_64.tar.gz") else { return };
    let Some(docker) = Docker::start(test) else { return };
    let inside = clean(&docker, &tarball);
    let unpack = "tar -xzf $FILE -C /tmp; ls /tmp";
    let directory = format!("/tmp/{}", inside(unpack).trim());
    let report = inside(&format!("PATH=$PATH:{directory}{RECORDS}"));
    assert!(report.contains("WHERE DID THE TIME GO"), "{report}");
    let files = inside(&format!("cd {directory}; find . -type f | sort"));
    for name in ["./LICENSE-MIT", "./README.md", "./completions/_profiler", "./man/profiler-record.1"] {
        assert!(files.lines().any(|file| file == name), "{name}: {files}");
    }
}
