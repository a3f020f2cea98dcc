//! glibc's allocator.
#![allow(unsafe_code)] // one call into the C library, which has no safe wrapper

/// Blocks up to this size come from the heap, bytes.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const MAPPED: i32 = 1 << 20;

/// This much may stay free at the top of a heap, bytes.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const KEPT: i32 = 4 << 20;

/// Heaps: the gateway has two workers, and what one heap has free no other one can use.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const HEAPS: i32 = 2;

/// Sets it up; with another C library nothing.
pub(super) fn tune() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        use nix::libc;
        for (what, value) in
            [(libc::M_MMAP_THRESHOLD, MAPPED), (libc::M_TRIM_THRESHOLD, KEPT), (libc::M_ARENA_MAX, HEAPS)]
        {
            // SAFETY: `mallopt` takes two numbers and changes settings of the allocator only. That a value is refused
            // changes nothing but the cost.
            let _ = unsafe { libc::mallopt(what, value) };
        }
    }
}
