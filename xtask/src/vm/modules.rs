//! In: an unpacked kernel package. Out: some of its modules, uncompressed, and where a guest finds them, in the order in
//! which they are loaded.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, ensure};

/// Copies the modules of these names that a package has; whether it has modules at all.
///
/// # Errors
/// When one cannot be read or uncompressed.
pub fn keep(unpacked: &Path, directory: &Path, names: &[&str]) -> Result<bool> {
    let (mut any, mut open) = (false, vec![unpacked.to_owned()]);
    while let Some(inside) = open.pop() {
        for entry in fs::read_dir(&inside)?.flatten() {
            let (path, kind) = (entry.path(), entry.file_type()?);
            if kind.is_dir() {
                open.push(path);
                continue;
            }
            let file = entry.file_name().to_string_lossy().into_owned();
            let Some((name, rest)) = file.split_once(".ko") else { continue };
            any = true;
            if kind.is_file() && names.contains(&name) {
                let bytes = uncompressed(&path, rest)?;
                fs::write(directory.join(format!("{name}.ko")), bytes)?;
            }
        }
    }
    Ok(any)
}

fn uncompressed(path: &Path, ending: &str) -> Result<Vec<u8>> {
    let program = match ending {
        ".xz" => "xz",
        ".zst" => "zstd",
        _ => return fs::read(path).with_context(|| format!("reading {}", path.display())),
    };
    let output = Command::new(program).args(["--decompress", "--stdout"]).arg(path).output();
    let output = output.with_context(|| format!("starting {program}"))?;
    ensure!(output.status.success(), "{program} cannot uncompress {}", path.display());
    Ok(output.stdout)
}

/// Where a guest has them: their names sort as they are loaded.
pub fn placed(modules: &[PathBuf]) -> Vec<(PathBuf, String)> {
    let named = modules.iter().enumerate().filter_map(|(at, path)| {
        let name = path.file_name()?.to_str()?;
        Some((path.clone(), format!("job/modules/{at:02}-{name}")))
    });
    named.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modules_are_found_wherever_they_lie_and_sort_as_they_are_loaded() {
        let place = std::env::temp_dir().join(format!("modules-{}", std::process::id()));
        let (package, kept) = (place.join("package/lib/modules/6/kernel/fs"), place.join("kept"));
        fs::create_dir_all(&package).unwrap();
        fs::create_dir_all(&kept).unwrap();
        fs::write(package.join("configfs.ko"), "module").unwrap();
        assert!(keep(&place.join("package"), &kept, &["configfs", "null_blk"]).unwrap());
        assert!(!keep(&kept.join(".."), &kept, &[]).unwrap() || kept.join("configfs.ko").is_file());
        let placed = placed(&[kept.join("null_blk.ko"), kept.join("configfs.ko")]);
        assert_eq!(placed[0].1, "job/modules/00-null_blk.ko");
        fs::remove_dir_all(&place).unwrap();
    }
}
