//! What namespaces and recovery really keep on the heap, where a limit in bytes or none at all says
//! what it may be.

#[path = "common/sio.rs"]
mod sio;

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
};

use emio::{Config, Recovery, Socket};
use sio::*;

/// The system's allocator, which counts the bytes of each thread: tests run side by side.
struct Counting;

thread_local! {
    static HELD: Cell<i64> = const { Cell::new(0) };
}

fn count(bytes: i64) {
    HELD.set(HELD.get() + bytes);
}

// SAFETY: every call is passed on to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as i64);
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        count(-(layout.size() as i64));
        // SAFETY: the caller's promise is passed on.
        unsafe { System.dealloc(block, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn recovering(log_bytes_max: u64) -> Config {
    Config {
        recovery: Some(Recovery {
            log_bytes_max,
            ..Recovery::default()
        }),
        ..Config::default()
    }
}

#[test]
fn the_rooms_of_a_broadcast_count_towards_the_log() {
    let mut party = Party::with(recovering(100_000), |io| {
        io.on("all", |_, socket: Socket<'_, Log>, (): ()| {
            let rooms: Vec<String> = (0..1_000).map(|n| format!("{n:0>200}")).collect();
            socket.io().to(rooms).emit("said", ());
        });
    });
    let guest = party.guest(Via::WebSocket);
    party.say(&guest, "0");
    let before = HELD.get();
    for _ in 0..500 {
        party.say(&guest, "2[\"all\"]");
        party.hear(&guest);
    }
    let kept = HELD.get() - before;
    party.vanish();
    assert!(kept < 1_000_000, "{kept} bytes for a log of at most 100000");
}

#[test]
fn namespaces_that_come_and_go_leave_nothing_behind() {
    let config = Config {
        cleanup_empty_namespaces: false,
        ..Config::default()
    };
    let mut party = Party::with(config, |io| {
        io.of_pattern("/room-#");
    });
    let (guest, _) = party.enter(Via::WebSocket);
    let visit = |party: &mut Party| {
        party.say_all(&guest, &[T("0/room-1,"), T("1/room-1,")]);
        party.hear(&guest);
    };
    for _ in 0..100 {
        visit(&mut party);
    }
    let before = HELD.get();
    for _ in 0..20_000 {
        visit(&mut party);
    }
    let kept = HELD.get() - before;
    party.vanish();
    assert!(kept < 10_000, "{kept} bytes after 20000 visits");
}
