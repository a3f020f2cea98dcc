//! How the allocator treats long prompts. glibc's, left alone, maps every block of more than 128 KB anew, or gives the
//! top of the heap back whenever more than that is free: then each long request pays for its pages once more, and a
//! page fault costs as much as copying the page (30 of 140 µs per 150 KB request).

#[cfg(unix)]
mod unix;

/// Sets the allocator up for long requests, where it can be. Before the first thread.
pub fn tune() {
    #[cfg(unix)]
    unix::tune();
}
