//! The look-up's only `unsafe`: what machine and system offer beyond plain Rust.
//!
//! The safe twin of [`crossings`] is [`super::crossings::crossings_plain`]; a test holds the two
//! equal. Without the prefetch nothing changes but the time; without the map, files would be read.

use super::crossings::Crossings;
use memmap2::Mmap;
use std::fs::File;

/// Maps a file for reading.
pub fn map(file: &File) -> std::io::Result<Mmap> {
    // SAFETY: what is mapped must not change. Index files are written under another name and then
    // renamed, never written in place, in the service's own data folder.
    unsafe { Mmap::map(file) }
}

/// Asks for the cache line of `words[at]`; does nothing where there is no such word.
#[inline(always)]
pub fn prefetch(words: &[u32], at: usize) {
    #[cfg(target_arch = "x86_64")]
    if let Some(word) = words.get(at) {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: a prefetch reads nothing and cannot fault, and the address is that of a word.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(std::ptr::from_ref(word).cast()) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (words, at);
}

/// Which borders of a leaf a position is east of, as fast as the processor can tell.
#[inline(always)]
pub fn crossings(words: &[u32], vertices: usize, position: u32) -> Crossings {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: SSE2 is part of x86-64; the function itself is safe code.
    return unsafe { super::crossings::crossings_sse2(words, vertices, position) };
    #[cfg(not(target_arch = "x86_64"))]
    super::crossings::crossings_plain(words, vertices, position)
}
