//! The embedded kernel-side object, or the stub that explains itself.
//!
//! In: what `build.rs` found. Out: bytes for the loader.

use aya::EbpfLoader;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::failure::Failure;

/// The object with the alignment ELF readers want.
#[repr(C, align(32))]
struct Aligned<T: ?Sized>(T);

static OBJECT: &Aligned<[u8]> = &Aligned(*include_bytes!(concat!(env!("OUT_DIR"), "/profiler.bpf.o")));

/// The object's bytes.
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

#[cfg(test)]
mod tests {
    use super::present;
    use crate::failure::Failure;

    #[test]
    fn a_stub_explains_itself() {
        let Err(Failure::Privilege(line)) = present(b"") else { panic!("a stub was taken for an object") };
        assert!(line.contains("cargo xtask build") && !line.contains('\n'), "{line}");
        assert!(present(b"\x7fELF").is_ok());
    }
}
