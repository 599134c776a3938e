//! Gives freed memory back to the system after heavy work. The one file with `unsafe`.
//!
//! An import frees some hundred MB from many threads, and glibc keeps what it has freed: with a tree of 150,000 files a
//! node stood at 140 MB after an import and at 42 MB once the memory was given back. Other allocators return it by
//! themselves or need more of it from the start, so elsewhere this does nothing.

/// Asks the allocator to return what is free. Takes some milliseconds; call it where nobody waits.
#[cfg(target_env = "gnu")]
#[expect(
    unsafe_code,
    reason = "the C library has no safe door for this, and the memory it frees is most of an idle node's"
)]
pub(super) fn give_back() {
    // SAFETY: malloc_trim takes no pointer, may be called from any thread at any time, and touches free memory only.
    let _released = unsafe { libc::malloc_trim(0) };
}

/// Asks the allocator to return what is free; this one does so by itself.
#[cfg(not(target_env = "gnu"))]
pub(super) fn give_back() {}
