//! The embedded kernel-side object, or the stub that explains itself.
//!
//! In: what `build.rs` found. Out: bytes for the loader.

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
