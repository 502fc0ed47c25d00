//! The kernel-side object: the one inside the tool, a stub that says what is missing, or the one that `profiler-lab` brings.
//!
//! In: what `build.rs` found. Out: bytes for the loader.

use std::borrow::Cow;

use anyhow::anyhow;
use aya::EbpfLoader;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::failure::Failure;
use crate::machine::limit;

/// The object with the alignment ELF readers want.
#[repr(C, align(32))]
struct Aligned<T: ?Sized>(T);

static OBJECT: &Aligned<[u8]> = &Aligned(*include_bytes!(concat!(env!("OUT_DIR"), "/profiler.bpf.o")));

/// What is loaded, and the globals that only it has.
#[derive(Clone, Debug)]
pub struct Object {
    bytes: Cow<'static, [u8]>,
    globals: Vec<(String, u32)>,
}

impl Object {
    /// The tool's own.
    ///
    /// # Errors
    /// A binary built without its kernel side.
    pub fn own() -> Result<Self, Failure> {
        Ok(Self { bytes: Cow::Borrowed(bytes()?), globals: Vec::new() })
    }

    /// Another build of the same sources, with globals of its own: what the tests and the benchmarks load.
    pub fn other(bytes: Vec<u8>, globals: Vec<(String, u32)>) -> Self {
        Self { bytes: Cow::Owned(bytes), globals }
    }

    /// Its bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Hands the globals that only it has to the loader.
    pub fn inject<'a>(&'a self, loader: &mut EbpfLoader<'a>) {
        for (name, value) in &self.globals {
            loader.override_global(name, value, true);
        }
    }
}

/// The bytes of the tool's own object.
///
/// # Errors
/// A binary built without its kernel side.
pub fn bytes() -> Result<&'static [u8], Failure> {
    present(&OBJECT.0)
}

fn present(object: &[u8]) -> Result<&[u8], Failure> {
    if object.is_empty() {
        return Err(Failure::Privilege(
            "this binary was built without its kernel side: build it with `cargo xtask build`".into(),
        ));
    }
    Ok(object)
}

/// The object for kernels without task storage: a map of that type would fail the load, so it becomes one
/// of socket storage, which has the same shape and which 5.10 knows. No program of such a kernel uses it.
///
/// # Errors
/// An object that declares no such map, or several.
pub fn without_task_storage(object: &[u8]) -> Result<Vec<u8>, Failure> {
    let mut object = object.to_vec();
    match *type_records(&object, TASK_STORAGE).as_slice() {
        [at] => object[at..at + 4].copy_from_slice(&SOCKET_STORAGE.to_ne_bytes()),
        ref found => {
            let found = found.len();
            return Err(Failure::Runtime(anyhow!("the object has {found} maps in task storage, not one")));
        }
    }
    Ok(object)
}

/// Drops the lines of the sources, which only the verifier's log tells: reading and checking them takes
/// milliseconds before the first event is counted. Returns whether the object had any.
pub fn drop_lines(object: &mut [u8]) -> bool {
    let is_head = |at: &usize| object.get(*at..*at + EXTENSION.len()) == Some(&EXTENSION);
    let heads: Vec<usize> = (0..object.len()).step_by(4).filter(is_head).collect();
    let [head] = *heads.as_slice() else { return false };
    let Some(length) = object.get_mut(head + LINES_LENGTH..head + LINES_LENGTH + 4) else { return false };
    let had = length != [0; 4];
    length.fill(0);
    had
}

/// What `.BTF.ext` begins with (`struct btf_ext_header`): its magic number, version 1, no flags, 32 bytes of head; in these
/// the length of the lines.
const EXTENSION: [u8; 8] = [0x9f, 0xeb, 1, 0, 32, 0, 0, 0];
const LINES_LENGTH: usize = 20;

/// `BPF_MAP_TYPE_TASK_STORAGE`, `BPF_MAP_TYPE_SK_STORAGE` (include/uapi/linux/bpf.h).
const TASK_STORAGE: u32 = 29;
const SOCKET_STORAGE: u32 = 24;

/// Where the object's BTF says that a map has this type: as the length of an array (a record of six
/// words: no name, its kind, no size, element type, index type, length).
fn type_records(object: &[u8], map_type: u32) -> Vec<usize> {
    const ARRAY: u32 = 3 << 24;
    let word = |at: usize| {
        object.get(at..at + 4).map_or(0, |word| u32::from_ne_bytes(word.try_into().unwrap_or_default()))
    };
    let is_record =
        |at: &usize| (word(*at), word(at + 4), word(at + 8), word(at + 20)) == (0, ARRAY, 0, map_type);
    (0..object.len()).step_by(4).filter(is_record).map(|at| at + 20).collect()
}

/// A loader that has not read the kernel's types: `EbpfLoader::new` of aya 0.14 reads and parses all of
/// them, 25 ms before the first event is counted, and the object has no use for them. While no
/// descriptor is to be had it cannot; nothing else of this process opens files at this point.
pub fn loader<'a>() -> EbpfLoader<'a> {
    let limit = getrlimit(Resource::Nofile);
    let none = Rlimit { current: Some(0), maximum: limit.maximum };
    let refused = setrlimit(Resource::Nofile, none).is_ok();
    let loader = EbpfLoader::new();
    if refused && let Err(error) = setrlimit(Resource::Nofile, limit) {
        tracing::warn!("the limit of open files cannot be set back: {error}");
    }
    loader
}

/// Kernels before 5.11 charge maps to the limit of locked memory, which is small by default.
pub fn allow_memory() {
    let all = Rlimit { current: None, maximum: None };
    if setrlimit(Resource::Memlock, all).is_err() {
        tracing::debug!("the limit of locked memory stays: kernels before 5.11 may refuse maps");
    }
}

/// The kernel refused the object: a limit of this process, privilege, lockdown or a missing feature.
pub fn refusal(error: &(dyn std::error::Error + 'static)) -> Failure {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    let mut text = String::new();
    let mut forbidden = false;
    while let Some(error) = cause {
        let said = error.to_string();
        // Some errors repeat their source, some do not.
        if !text.contains(&said) {
            text = if text.is_empty() { said } else { format!("{text}: {said}") };
        }
        forbidden |= error
            .downcast_ref::<std::io::Error>()
            .is_some_and(|error| error.kind() == std::io::ErrorKind::PermissionDenied);
        cause = error.source();
    }
    let text = text.trim_end_matches(": ").trim_end_matches(". Verifier output");
    Failure::Privilege(if let Some(limit) = limit::of(error) {
        format!("the programs do not load ({text}): {limit}")
    } else if forbidden {
        format!(
            "this user may not load BPF programs ({text}): run as root, or with CAP_BPF and CAP_PERFMON; \
             `profiler check` tells what is missing"
        )
    } else {
        format!("the kernel refused the programs ({text}): `profiler check` tells what it lacks")
    })
}

#[cfg(test)]
mod tests {
    use super::{EXTENSION, TASK_STORAGE, bytes, drop_lines, present, type_records, without_task_storage};
    use crate::failure::Failure;

    #[test]
    fn lines_of_the_sources_are_dropped_once() {
        let Ok(bytes) = bytes() else {
            eprintln!("SKIPPED: built without the kernel side");
            return;
        };
        let mut bytes = bytes.to_vec();
        assert!(drop_lines(&mut bytes));
        assert!(!drop_lines(&mut bytes), "they are gone");
        assert!(!drop_lines(&mut [0; 64]) && !drop_lines(&mut EXTENSION.to_vec()));
        let object = aya_obj::Object::parse(&bytes).unwrap();
        assert!(object.programs.contains_key("sys_exit"));
    }

    #[test]
    fn a_stub_explains_itself() {
        let Err(Failure::Privilege(line)) = present(b"") else { panic!("a stub was taken for an object") };
        assert!(line.contains("cargo xtask build") && !line.contains('\n'), "{line}");
        assert!(present(b"\x7fELF").is_ok());
    }

    #[test]
    fn an_old_kernel_gets_no_task_storage() {
        let Ok(object) = bytes() else {
            eprintln!("SKIPPED: built without the kernel side");
            return;
        };
        let old = without_task_storage(object).unwrap();
        assert_eq!(type_records(&old, TASK_STORAGE), Vec::<usize>::new());
        assert_eq!(old.iter().zip(object).filter(|(old, new)| old != new).count(), 1);
    }

    #[test]
    fn each_program_of_the_object_is_claimed() {
        let Ok(object) = bytes() else {
            eprintln!("SKIPPED: built without the kernel side");
            return;
        };
        let object = aya_obj::Object::parse(object).unwrap();
        // Those of the benchmark's floor never run in a recording.
        let names = object.programs.keys().filter(|name| !name.starts_with("floor_"));
        let unclaimed: Vec<_> =
            names.clone().filter(|name| crate::plan::table::skipped(name).is_none()).collect();
        assert!(names.count() > 20 && unclaimed.is_empty(), "{unclaimed:?}");
    }
}
