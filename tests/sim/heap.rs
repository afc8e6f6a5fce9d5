//! An allocator that counts what the server holds: bytes taken while the server runs, however and
//! whenever they are given back.
//!
//! What always holds: each block bears the mark of whoever took it, so a block that changes hands
//! is still counted where it belongs. Counts are of one thread, because each test runs in its own.

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
};

pub struct Counting;

thread_local! {
    static IS_SERVER: Cell<bool> = const { Cell::new(false) };
    static LIVE_BYTES: Cell<isize> = const { Cell::new(0) };
}

/// Runs `work` as the server.
pub fn server<R>(work: impl FnOnce() -> R) -> R {
    as_server(true, work)
}

/// Runs `work` as the test, within the server.
pub fn test<R>(work: impl FnOnce() -> R) -> R {
    as_server(false, work)
}

fn as_server<R>(is_server: bool, work: impl FnOnce() -> R) -> R {
    struct Restore(bool);
    impl Drop for Restore {
        fn drop(&mut self) {
            IS_SERVER.set(self.0);
        }
    }
    let _restore = Restore(IS_SERVER.replace(is_server));
    work()
}

/// What the servers of this thread hold now.
pub fn live_bytes() -> isize {
    LIVE_BYTES.get()
}

/// The mark lies right before the block: 1 if the server took it.
const MARK_BYTES: usize = 8;

fn head_bytes(layout: Layout) -> usize {
    layout.align().max(16)
}

fn whole(layout: Layout) -> Layout {
    let head = head_bytes(layout);
    // SAFETY: the alignment is a power of two, and no program has blocks near `isize::MAX`.
    unsafe { Layout::from_size_align_unchecked(layout.size() + head, head) }
}

// SAFETY: every block is one of the system's, of `whole(layout)`, handed out from behind its head.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let is_server = IS_SERVER.get();
        unsafe {
            let block = System.alloc(whole(layout));
            if block.is_null() {
                return block;
            }
            let bytes = block.add(head_bytes(layout));
            bytes.sub(MARK_BYTES).cast::<u64>().write(is_server.into());
            if is_server {
                LIVE_BYTES.set(LIVE_BYTES.get() + layout.size() as isize);
            }
            bytes
        }
    }

    unsafe fn dealloc(&self, bytes: *mut u8, layout: Layout) {
        unsafe {
            if bytes.sub(MARK_BYTES).cast::<u64>().read() == 1 {
                LIVE_BYTES.set(LIVE_BYTES.get() - layout.size() as isize);
            }
            System.dealloc(bytes.sub(head_bytes(layout)), whole(layout));
        }
    }

    unsafe fn realloc(&self, bytes: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // The block keeps its mark, which is in the head that the system copies.
        let head = head_bytes(layout);
        unsafe {
            let is_server = bytes.sub(MARK_BYTES).cast::<u64>().read() == 1;
            let block = System.realloc(bytes.sub(head), whole(layout), size + head);
            if block.is_null() {
                return block;
            }
            if is_server {
                let grown = size as isize - layout.size() as isize;
                LIVE_BYTES.set(LIVE_BYTES.get() + grown);
            }
            block.add(head)
        }
    }
}
