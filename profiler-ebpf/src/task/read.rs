//! Reading the kernel's memory, and that of the running process.
//!
//! In: an address, or an object that the verifier knows. Out: a value. If the address cannot be read, there is no value; it is never 0.

use core::ffi::c_void;
use core::mem::MaybeUninit;

use aya_ebpf::helpers::generated::{bpf_probe_read_kernel, bpf_probe_read_user};

use crate::global;

/// Copies a value from any address. Its type must allow all bit patterns.
#[inline(always)]
pub fn read<T: Copy>(address: u64) -> Option<T> {
    let mut value = MaybeUninit::<T>::uninit();
    // SAFETY: the helper checks the address, and writes all of the value, also where it fails.
    let (failed, value) = unsafe {
        let failed =
            bpf_probe_read_kernel(value.as_mut_ptr().cast(), size_of::<T>() as u32, address as *const c_void);
        (failed, value.assume_init())
    };
    if failed == 0 { Some(value) } else { None }
}

/// The same of the running process's memory.
#[inline(always)]
pub fn read_user<T: Copy>(address: u64) -> Option<T> {
    let mut value = MaybeUninit::<T>::uninit();
    // SAFETY: the helper checks the address, and writes all of the value, also where it fails.
    let (failed, value) = unsafe {
        let failed =
            bpf_probe_read_user(value.as_mut_ptr().cast(), size_of::<T>() as u32, address as *const c_void);
        (failed, value.assume_init())
    };
    if failed == 0 { Some(value) } else { None }
}

/// Loads a field that the verifier accepts on every kernel: of a context, or of an object that the context holds.
///
/// # Safety
/// `base` must be such an object.
#[inline(always)]
pub unsafe fn follow<T: Copy>(base: *const c_void, offset: usize) -> T {
    // SAFETY: by the caller's promise; the verifier checks offset and size.
    unsafe { core::ptr::read_volatile(base.byte_add(offset).cast()) }
}

/// Loads a field of an object that exists: a live task, or an object that a task points to.
///
/// # Safety
/// `base` must be a BTF pointer for the verifier, where the running task is one; elsewhere, an address.
#[inline(always)]
pub unsafe fn load<T: Copy>(base: *const c_void, offset: usize) -> T {
    // SAFETY: by the caller's promise. The verifier checks offset and size against BTF, or the helper the address: it
    // writes all of the value.
    unsafe {
        if global::task_storage() != 0 {
            return follow(base, offset);
        }
        let mut value = MaybeUninit::<T>::uninit();
        bpf_probe_read_kernel(value.as_mut_ptr().cast(), size_of::<T>() as u32, base.byte_add(offset));
        value.assume_init()
    }
}
