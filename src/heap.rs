//! What the C library's allocator keeps for itself. A run goes through steps that each need other memory (an index, a
//! layer, a tree of sources); what one step has freed should be the machine's again before the next takes more. Knows
//! nothing of what is in the memory. Other C libraries than glibc give memory back by themselves.

/// Makes large pieces mappings of their own, which go back to the machine when they are freed. By itself glibc raises this
/// limit to the largest piece that was ever freed, such as a decoder's dictionary, and keeps everything up to that size:
/// with it a run that locks a release took 110 MiB, without 62. To be called first, before there are threads.
pub fn settle() {
    #[cfg(target_env = "gnu")]
    glibc::settle();
}

/// Gives back what is free now: to be called between steps. Takes a few milliseconds at most.
pub fn give_back() {
    #[cfg(target_env = "gnu")]
    glibc::give_back();
}

#[cfg(target_env = "gnu")]
mod glibc {
    #![allow(unsafe_code, reason = "the allocator's settings have no safe wrapper; each says why it is sound")]

    /// Bytes from which on a piece is a mapping of its own: above the buffers that are made and freed again and again.
    const LARGE: libc::c_int = 1 << 20;

    pub(super) fn settle() {
        // SAFETY: mallopt(3) changes a number of the allocator under its own lock; it takes any value.
        unsafe { libc::mallopt(libc::M_MMAP_THRESHOLD, LARGE) };
    }

    pub(super) fn give_back() {
        // SAFETY: malloc_trim(3) releases free pages under the allocator's own locks and touches nothing that is in use.
        unsafe { libc::malloc_trim(0) };
    }
}
