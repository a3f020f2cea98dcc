//! An allocator that counts, and ends the program when one input holds more of the heap than it may.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// Bytes of heap per byte of input. A JSON value takes 32 bytes and a list of them doubles, so that "0,0,0" comes near.
const PER_BYTE: usize = 64;
/// And for buffers (those of YAML are 200 KiB) and the harness; little, so that inputs of a few KiB cannot hide behind it.
const BESIDE: usize = 320 << 10;

pub struct Counted;

static LIVE: AtomicUsize = AtomicUsize::new(0);
static MOST: AtomicUsize = AtomicUsize::new(usize::MAX);

// SAFETY: everything is the system allocator's; only sizes are added up.
unsafe impl GlobalAlloc for Counted {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        LIVE.fetch_sub(layout.size(), Relaxed);
        unsafe { System.dealloc(at, layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(size);
        LIVE.fetch_sub(layout.size(), Relaxed);
        unsafe { System.realloc(at, layout, size) }
    }
}

fn count(size: usize) {
    let live = LIVE.fetch_add(size, Relaxed) + size;
    if live > MOST.load(Relaxed) {
        MOST.store(usize::MAX, Relaxed);
        panic!("{size} bytes more make {live} bytes of heap, more than an input of this size may hold");
    }
}

/// Runs `read` on an input of `length` bytes, which may hold so much of the heap and no more.
pub fn bounded<T>(length: usize, read: impl FnOnce() -> T) -> T {
    bounded_by(PER_BYTE, length, read)
}

/// The same with another number of bytes per byte.
pub fn bounded_by<T>(per_byte: usize, length: usize, read: impl FnOnce() -> T) -> T {
    MOST.store(LIVE.load(Relaxed) + length * per_byte + BESIDE, Relaxed);
    let result = read();
    MOST.store(usize::MAX, Relaxed);
    result
}
