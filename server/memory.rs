//! Memory that was freed and that the allocator keeps.
#![allow(unsafe_code)] // mallopt(3) and malloc_trim(3) have no safe wrappers.

/// Blocks of at least this many bytes go back to the system as soon as they are freed.
#[cfg(target_env = "gnu")]
const LARGE: nix::libc::c_int = 256 * 1024;

/// Has large blocks given back when they are freed. By default glibc keeps them once one has been
/// freed, up to 32 MiB: a hash table that has grown leaves all of its former sizes behind.
pub(crate) fn keep_no_large_blocks() {
    #[cfg(target_env = "gnu")]
    // SAFETY: it takes no pointers, and may be called at any time from any thread.
    unsafe {
        nix::libc::mallopt(nix::libc::M_MMAP_THRESHOLD, LARGE);
    }
}

/// Gives freed memory back to the system. For moments after which much of it is not needed again:
/// glibc gives back the end of its heap only, and one small allocation keeps what is below it.
pub(crate) fn give_back() {
    #[cfg(target_env = "gnu")]
    // SAFETY: it takes no pointers, and may be called at any time from any thread.
    unsafe {
        nix::libc::malloc_trim(0);
    }
}
