//! Memory that was freed and that the allocator keeps.
#![allow(unsafe_code)] // malloc_trim(3) has no safe wrapper.

/// Gives freed memory back to the system. For moments after which much of it is not needed again:
/// glibc gives back the end of its heap only, and one small allocation keeps what is below it.
pub(crate) fn give_back() {
    #[cfg(target_env = "gnu")]
    // SAFETY: it takes no pointers, and may be called at any time from any thread.
    unsafe {
        nix::libc::malloc_trim(0);
    }
}
