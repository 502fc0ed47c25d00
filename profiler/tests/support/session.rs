//! A recording as its user sees it: any arguments, any user, what it prints and what it leaves.
//!
//! In: a command line of the profiler. Out: exit code, stdout, stderr, files; and whether the kernel
//! holds BPF programs afterwards that it did not hold before.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use super::{live, wait_for};

/// A user who may nothing.
pub const NOBODY: &[&str] = &["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"];

/// A directory that everybody may enter and write to, with a profiler that everybody may run in it.
pub struct Stage {
    dir: tempfile::TempDir,
    before: BTreeSet<u32>,
}

impl Stage {
    /// Sets it up, and remembers which BPF programs there are.
    pub fn new() -> Self {
        let dir = tempfile::Builder::new().prefix("prof-session-").tempdir().unwrap();
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o777)).unwrap();
        Self { dir, before: programs() }
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// A path in it.
    pub fn at(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// `profiler ARGUMENTS`, to be run in the directory.
    pub fn profiler(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(live::profiler());
        command.args(arguments).current_dir(self.path()).stdin(Stdio::null());
        command
    }

    /// The same behind a command that changes who runs it, from a copy that anybody can execute.
    pub fn profiler_as(&self, who: &[&str], arguments: &[&str]) -> Command {
        let copy = self.at("profiler");
        if !copy.exists() {
            fs::copy(live::profiler(), &copy).unwrap();
            fs::set_permissions(&copy, fs::Permissions::from_mode(0o755)).unwrap();
        }
        let mut command = Command::new(who[0]);
        command.args(&who[1..]).arg(copy).args(arguments).current_dir(self.path()).stdin(Stdio::null());
        command
    }

    /// Runs it as root; see [`Told::new`].
    pub fn run(&self, arguments: &[&str]) -> Told {
        Told::new(&self.profiler(arguments).output().unwrap())
    }

    /// Names of the files in a directory below, sorted; empty when it is not there.
    pub fn files(&self, name: &str) -> Vec<String> {
        let entries = fs::read_dir(self.at(name)).into_iter().flatten().flatten();
        let mut names: Vec<_> =
            entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    /// Asserts that no program stays that was not there before.
    pub fn assert_detached(&self) {
        let added: BTreeSet<u32> = programs().difference(&self.before).copied().collect();
        // The kernel frees programs a grace period after their last user; other recordings end some time.
        wait_for("new BPF programs to be gone", || added.is_disjoint(&programs()).then_some(()));
    }
}

/// What a run told.
pub struct Told {
    /// Exit code; none after a signal.
    pub code: Option<i32>,
    /// Data.
    pub stdout: String,
    /// Everything else.
    pub stderr: String,
}

impl Told {
    /// From a finished run. A panic is never right.
    pub fn new(output: &Output) -> Self {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        let told =
            Self { code: output.status.code(), stdout: text(&output.stdout), stderr: text(&output.stderr) };
        assert!(!told.stderr.contains("panicked"), "{}", told.stderr);
        told
    }

    /// Asserts a refusal: this code, nothing on stdout, one line on stderr that says all of this.
    pub fn assert_refused(&self, code: i32, parts: &[&str]) {
        assert_eq!(self.code, Some(code), "{}", self.stderr);
        assert_eq!(self.stdout, "", "{}", self.stderr);
        assert_eq!(self.stderr.lines().count(), 1, "{}", self.stderr);
        assert!(self.stderr.starts_with("profiler: "), "{}", self.stderr);
        for part in parts {
            assert!(self.stderr.contains(part), "{part:?} is not in: {}", self.stderr);
        }
    }

    /// Asserts success.
    pub fn assert_done(&self) -> &Self {
        assert_eq!(self.code, Some(0), "{}", self.stderr);
        self
    }
}

fn programs() -> BTreeSet<u32> {
    aya::programs::loaded_programs().filter_map(|program| Some(program.ok()?.id())).collect()
}

/// Characters that a terminal would obey or that hide others; newlines are no such.
pub fn acting(text: &str) -> Option<char> {
    text.chars().find(|character| *character != '\n' && profiler::hostile::acts(*character))
}

/// A file's name, as text.
pub fn name(path: &Path) -> &str {
    path.file_name().and_then(OsStr::to_str).unwrap()
}
