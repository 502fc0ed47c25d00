//! In: the machine's own apt settings. Out: Debian packages of several releases, unpacked, out of a private
//! apt root: signed like any other, and the machine's apt neither sees nor keeps any of it. No root is needed.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail};

use crate::command;

/// Where the kernels live that the lab boots, and whether it is a security suite.
const SUITES: [(&str, bool); 4] = [
    ("trixie", false),
    ("trixie-backports", false),
    ("bookworm-security", true),
    ("bullseye-security", true),
];
/// Names the mirror where the machine's own sources have no Debian.
pub const MIRROR_VARIABLE: &str = "PROFILER_LAB_MIRROR";
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";
/// Package lists older than this are asked for again, in seconds.
const LISTS_AGE: u64 = 24 * 3600;

/// A private apt root.
pub struct Mirror {
    root: PathBuf,
}

impl Mirror {
    /// Opens the root below `cache`, and refreshes its package lists once a day.
    ///
    /// # Errors
    /// When there is no apt, no Debian among its sources, or no network and no list from before.
    pub fn open(cache: &Path) -> Result<Self> {
        let mirror = Self { root: cache.join("apt") };
        for directory in ["state/lists/partial", "cache/archives/partial", "packages"] {
            let path = mirror.root.join(directory);
            fs::create_dir_all(&path).with_context(|| format!("creating {}", path.display()))?;
        }
        if !Path::new(KEYRING).is_file() {
            bail!("{KEYRING} is not there: install debian-archive-keyring");
        }
        mirror.refresh()?;
        Ok(mirror)
    }

    fn refresh(&self) -> Result<()> {
        let stamp = self.root.join("lists-fetched");
        let age =
            stamp.metadata().and_then(|found| found.modified()).ok().and_then(|then| then.elapsed().ok());
        if age.is_some_and(|age| age.as_secs() < LISTS_AGE) {
            return Ok(());
        }
        self.write_settings()?;
        println!(
            "vm: apt-get update in {} (downloads package lists, about 11 MB, no root)",
            self.root.display()
        );
        let strict = ["-o", "APT::Update::Error-Mode=any", "-o", "Acquire::Retries=1"];
        match command::read(self.apt("apt-get").args(strict).args(["-qq", "update"])) {
            Ok(_) => Ok(fs::write(&stamp, "")?),
            Err(error) if age.is_some() => {
                println!("vm: no new package lists, using those from before: {error:#}");
                Ok(())
            }
            Err(error) => Err(error.context(
                "no package lists: is there a network? Kernels come from a Debian mirror, once; later the cache serves",
            )),
        }
    }

    /// Proxies and retries are the machine's; everything else is this root's own.
    fn write_settings(&self) -> Result<()> {
        let (main, security) = hosts()?;
        let mut sources = String::new();
        for (suite, is_security) in SUITES {
            let host = if is_security { &security } else { &main };
            sources += &format!("deb [arch=amd64 signed-by={KEYRING}] {host} {suite} main\n");
        }
        fs::write(self.root.join("sources.list"), sources)?;
        fs::write(self.root.join("status"), "")?;
        let dump = command::read(Command::new("apt-config").arg("dump"))?;
        let mut settings: String = dump
            .lines()
            .filter(|line| line.starts_with("Acquire::") && !line.starts_with("Acquire::IndexTargets"))
            .fold(String::new(), |text, line| text + line + "\n");
        let root = self.root.display();
        settings += &format!(
            "Dir::State \"{root}/state\";\nDir::State::status \"{root}/status\";\nDir::Cache \"{root}/cache\";\n\
             Dir::Etc::sourcelist \"{root}/sources.list\";\nDir::Etc::sourceparts \"/dev/null\";\n\
             Dir::Etc::parts \"/dev/null\";\nDir::Etc::main \"/dev/null\";\nDir::Etc::preferencesparts \"/dev/null\";\n\
             APT::Architecture \"amd64\";\nAPT::Sandbox::User \"\";\nAcquire::GzipIndexes \"true\";\n"
        );
        fs::write(self.root.join("apt.conf"), settings).context("writing the private apt.conf")
    }

    fn apt(&self, program: &str) -> Command {
        let mut apt = Command::new(program);
        apt.env("APT_CONFIG", self.root.join("apt.conf")).env("LC_ALL", "C");
        apt
    }

    /// Every package name that begins so.
    ///
    /// # Errors
    /// When apt cannot read its lists.
    pub fn names(&self, prefix: &str) -> Result<Vec<String>> {
        let names = command::read(self.apt("apt-cache").args(["pkgnames", prefix]))?;
        Ok(names.lines().map(str::to_owned).collect())
    }

    /// The packages that one directly depends on.
    ///
    /// # Errors
    /// When apt does not know it.
    pub fn depends(&self, package: &str) -> Result<Vec<String>> {
        let text = command::read(self.apt("apt-cache").args(["depends", "--important", package]))?;
        Ok(text.lines().filter_map(|line| line.trim().strip_prefix("Depends: ")).map(str::to_owned).collect())
    }

    /// Downloads a package and unpacks it, if it is not there yet.
    ///
    /// # Errors
    /// When it is not on the mirror, does not arrive or does not match its signed checksum.
    pub fn unpacked(&self, package: &str) -> Result<PathBuf> {
        let directory = self.root.join("packages").join(package);
        if directory.is_dir() {
            return Ok(directory);
        }
        let partial = self.root.join("packages").join(format!("{package}.partial"));
        let _ = fs::remove_dir_all(&partial);
        fs::create_dir_all(partial.join("root"))?;
        println!("vm: apt-get download {package} (no root)");
        command::read(self.apt("apt-get").current_dir(&partial).args(["-qq", "download", package]))?;
        let archive = fs::read_dir(&partial)?
            .flatten()
            .map(|entry| entry.path())
            .find(|path| path.extension().is_some_and(|end| end == "deb"))
            .with_context(|| format!("apt downloaded no archive of {package}"))?;
        command::run(Command::new("dpkg").arg("-x").arg(&archive).arg(partial.join("root")))?;
        fs::rename(partial.join("root"), &directory)?;
        fs::remove_dir_all(&partial)?;
        Ok(directory)
    }

    /// Forgets an unpacked package.
    pub fn forget(&self, package: &str) {
        let _ = fs::remove_dir_all(self.root.join("packages").join(package));
    }
}

/// The URIs of Debian and of its security updates, out of the machine's own sources.
fn hosts() -> Result<(String, String)> {
    let format = "$(REPO_URI) $(RELEASE)";
    let targets = if let Some(named) = std::env::var_os(MIRROR_VARIABLE) {
        format!("{} named", named.to_string_lossy())
    } else {
        let mut apt = Command::new("apt-get");
        apt.args(["indextargets", "--no-release-info", "--format", format, "Created-By: Packages"]);
        command::read(&mut apt)?
    };
    hosts_among(&targets).with_context(|| {
        format!("no Debian mirror among this machine's apt sources: name one, {MIRROR_VARIABLE}=http://HOST/debian")
    })
}

/// Lines of `URI SUITE`. Where security updates are not listed, they are beside the rest, as on every mirror.
fn hosts_among(targets: &str) -> Option<(String, String)> {
    let uris = || {
        targets.lines().filter_map(|line| {
            line.split_whitespace().next()?.strip_suffix('/').or(line.split_whitespace().next())
        })
    };
    let main = uris().find(|uri| uri.ends_with("/debian"))?;
    let security = uris().find(|uri| uri.ends_with("/debian-security"));
    Some((main.to_owned(), security.map_or_else(|| format!("{main}-security"), str::to_owned)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mirror_is_the_machines_own() {
        let both = "http://one.test/other/ stable\nhttp://one.test/debian/ bookworm\nhttp://two.test/debian-security/ x\n";
        let expected = ("http://one.test/debian".to_owned(), "http://two.test/debian-security".to_owned());
        assert_eq!(hosts_among(both), Some(expected));
        let alone = hosts_among("http://one.test/debian bookworm\n").unwrap();
        assert_eq!(alone.1, "http://one.test/debian-security");
        assert_eq!(hosts_among("http://one.test/ubuntu/ noble\n"), None);
    }
}
