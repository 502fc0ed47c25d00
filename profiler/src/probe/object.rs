//! The embedded kernel-side object, or the stub that explains itself.
//!
//! In: what `build.rs` found. Out: bytes for the loader.

use crate::failure::Failure;

/// The object with the alignment ELF readers want.
#[repr(C, align(32))]
struct Aligned<T: ?Sized>(T);

static OBJECT: &Aligned<[u8]> = &Aligned(*include_bytes!(concat!(env!("OUT_DIR"), "/profiler.bpf.o")));

/// Whether this binary was built without its kernel side.
pub const fn is_stub() -> bool {
    OBJECT.0.is_empty()
}

/// The object's bytes.
///
/// # Errors
/// A binary built without its kernel side.
pub fn bytes() -> Result<&'static [u8], Failure> {
    if is_stub() {
        return Err(Failure::Privilege(
            "this binary was built without its kernel side: build it with `cargo xtask build`".into(),
        ));
    }
    Ok(&OBJECT.0)
}
