//! The allocator. A small request makes some sixty short-lived blocks, which the C library's allocator made a fifth of
//! its cost; a long one is a few large blocks, which glibc maps anew and gives back each time, at a page fault per
//! page (docs/performance.md).

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;
