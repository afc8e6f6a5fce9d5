//! What the codecs cost by themselves, in nanoseconds: `cargo bench --bench codecs`.
//!
//! Each line asserts what was understood. The figure is the best of several runs, because
//! everything else on the machine can only make it worse.

mod common;

use std::{hint::black_box, time::Instant};

use common::{UPGRADE, event, frame};
use emio::fuzzing;

fn main() {
    best("HTTP head of a WebSocket handshake", || {
        fuzzing::http_head(black_box(UPGRADE)) == Some(5)
    });
    let browser = browser_head();
    best("HTTP head of a browser's poll, 12 headers", || {
        fuzzing::http_head(black_box(browser.as_bytes())) == Some(12)
    });
    for (name, bytes) in [
        ("WebSocket frame, 16 B", 16),
        ("WebSocket frame, 4 KiB", 4096),
    ] {
        // Unmasking twice gives the same bytes again, so the frame can be read over and over.
        let mut one = frame(&"x".repeat(bytes));
        best(name, || {
            fuzzing::ws_frame(black_box(&mut one)) == Some(bytes)
        });
    }
    let payload = vec!["42[\"echo\",\"sixteen bytes...\"]"; 16].join("\u{1e}");
    best("polling payload of 16 packets", || {
        fuzzing::eio_payload(black_box(payload.as_bytes())) == 16
    });
    for (name, bytes) in [("event packet, 16 B", 16), ("event packet, 4 KiB", 4096)] {
        // Without the Engine.IO type.
        let packet = event("echo", bytes)[1..].to_owned();
        best(name, || fuzzing::sio_packet(black_box(&packet)) == Some(1));
    }
    let object =
        "2[\"put\",{\"id\":17,\"name\":\"a name\",\"tags\":[\"a\",\"b\",\"c\"],\"x\":1.5}]";
    best("event packet with an object", || {
        fuzzing::sio_packet(black_box(object)) == Some(1)
    });
    let mut out = Vec::new();
    best("event written, a string and a number", || {
        fuzzing::write_event(&mut out, "user joined", black_box(&("a name", 17_u32))) == 27
    });
    best("arguments read, a string and a number", || {
        let args: Option<(String, u32)> = fuzzing::read_args(black_box("\"a name\",17"));
        args.is_some_and(|(name, number)| name.len() == 6 && number == 17)
    });
}

/// Runs `work`, which says whether its answer was right, and prints what it took.
fn best(name: &str, mut work: impl FnMut() -> bool) {
    let mut best = f64::INFINITY;
    for _ in 0..RUNS {
        let began = Instant::now();
        let right = (0..CALLS).filter(|_| work()).count();
        best = best.min(began.elapsed().as_nanos() as f64 / CALLS as f64);
        assert_eq!(right, CALLS, "{name}");
    }
    println!("{name:44} {best:9.0} ns");
}

fn browser_head() -> String {
    let headers = [
        "Host: localhost:3000",
        "Connection: keep-alive",
        "sec-ch-ua-platform: \"Linux\"",
        "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko)",
        "sec-ch-ua: \"Chromium\";v=\"140\", \"Not=A?Brand\";v=\"24\"",
        "sec-ch-ua-mobile: ?0",
        "Accept: */*",
        "Sec-Fetch-Site: same-origin",
        "Sec-Fetch-Mode: cors",
        "Referer: http://localhost:3000/",
        "Accept-Encoding: gzip, deflate, br, zstd",
        "Accept-Language: en-US,en;q=0.9",
    ];
    format!(
        "GET /socket.io/?EIO=4&transport=polling&t=x1&sid=AAAAAAAAAAAAAAAAAAAA HTTP/1.1\r\n{}\r\n\r\n",
        headers.join("\r\n")
    )
}

const RUNS: usize = 30;
const CALLS: usize = 2_000;
