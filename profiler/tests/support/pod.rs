//! A pod's shim without kubelet: the process and the bundles that containerd's CRI would leave.
//!
//! In: ids and annotations. Out: sleeping processes below a process called like containerd's shim.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use super::Process;

/// A shim as containerd runs it: its working directory is the sandbox's bundle, the containers'
/// bundles lie beside it, and all processes are its children.
pub struct Shim {
    shim: Process,
    /// The containers' first processes, in the bundles' order.
    pub children: Vec<u32>,
}

impl Shim {
    /// Starts a shim below `dir` with one sleeping process per bundle: its id and annotations. The first
    /// bundle is the sandbox's.
    pub fn start(dir: &Path, bundles: &[(&str, serde_json::Value)]) -> Self {
        // The directory's name is containerd's namespace.
        let dir = &dir.join("k8s.io");
        fs::create_dir(dir).unwrap();
        for (id, annotations) in bundles {
            fs::create_dir(dir.join(id)).unwrap();
            let config = serde_json::json!({ "ociVersion": "1.0.2", "annotations": annotations });
            fs::write(dir.join(id).join("config.json"), config.to_string()).unwrap();
        }
        let script = dir.join("containerd-shim-runc-v2");
        let starts: String = bundles.iter().map(|_| "sleep 1000 >/dev/null & echo $!\n").collect();
        fs::write(&script, format!("#!/bin/sh\n{starts}exec 1>&-\nwait\n")).unwrap();
        fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
        let mut shim = Command::new(&script);
        shim.args(["-namespace", "k8s.io", "-id", bundles[0].0]).current_dir(dir.join(bundles[0].0));
        let mut shim = Process(shim.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap());
        let lines = BufReader::new(shim.0.stdout.take().unwrap()).lines();
        let children = lines.map(|line| line.unwrap().parse().unwrap()).collect();
        Self { shim, children }
    }

    /// The shim's own process.
    pub fn pid(&self) -> u32 {
        self.shim.pid()
    }
}

impl Drop for Shim {
    fn drop(&mut self) {
        for pid in &self.children {
            let _ = Command::new("kill").args(["-KILL", &pid.to_string()]).status();
        }
    }
}
