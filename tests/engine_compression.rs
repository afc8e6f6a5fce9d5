//! Polling answers in gzip and deflate (spec 1.1, httpCompression); with the feature only.
#![cfg(feature = "compression")]

mod common;

use std::io::Read;

use common::*;
use emio::Config;
use flate2::read::{GzDecoder, ZlibDecoder};

const BOTH: &str = "Accept-Encoding: gzip, deflate, br\r\n";

/// A session with a message of so many bytes, polled with these headers.
fn polled(world: &mut World, bytes: usize, headers: &str) -> Answer {
    let poller = world.poller();
    let session = world.session();
    let message = "x".repeat(bytes);
    world.act(|engine| engine.send_text(session, &[message.as_bytes()]));
    world.send(poller.get, request("GET", &polling(&poller.sid), headers));
    world.answer(poller.get)
}

fn is_plain(answer: &Answer, bytes: usize) {
    assert_eq!(answer.header("content-encoding"), None);
    assert_eq!(answer.text(), format!("4{}", "x".repeat(bytes)));
}

#[test]
fn a_long_payload_is_written_as_the_client_takes_it() {
    let mut world = World::new();
    let wanted = format!("4{}", "x".repeat(5_000));
    let answer = polled(&mut world, 5_000, BOTH);
    assert_eq!(answer.header("content-encoding"), Some("gzip"));
    assert!(answer.body.len() < 100, "{}", answer.body.len());
    let mut text = String::new();
    GzDecoder::new(&answer.body[..])
        .read_to_string(&mut text)
        .expect("it is gzip");
    assert_eq!(text, wanted);

    let only = "Accept-Encoding: gzip;q=0, deflate;q=0.5\r\n";
    let answer = polled(&mut world, 5_000, only);
    assert_eq!(answer.header("content-encoding"), Some("deflate"));
    let mut text = String::new();
    ZlibDecoder::new(&answer.body[..])
        .read_to_string(&mut text)
        .expect("it is zlib");
    assert_eq!(text, wanted);
}

#[test]
fn what_a_client_does_not_take_is_written_plainly() {
    let mut world = World::new();
    for headers in [
        "",
        "Accept-Encoding: br\r\n",
        "Accept-Encoding: gzip;q=0\r\n",
        "Accept-Encoding: identity\r\n",
    ] {
        is_plain(&polled(&mut world, 5_000, headers), 5_000);
    }
}

#[test]
fn a_payload_below_the_threshold_is_written_plainly() {
    let mut world = World::new();
    is_plain(&polled(&mut world, 1_022, BOTH), 1_022);
    // The packet's type counts.
    let answer = polled(&mut world, 1_023, BOTH);
    assert_eq!(answer.header("content-encoding"), Some("gzip"));
    let mut never = World::with(Config {
        compression_threshold: None,
        ..Config::default()
    });
    is_plain(&polled(&mut never, 5_000, BOTH), 5_000);
}

#[test]
fn a_long_initial_packet_is_compressed_with_the_handshake() {
    let mut world = World::with(Config {
        initial_packet: Some("x".repeat(2_000).into()),
        ..Config::default()
    });
    let client = world.ask(request("GET", &polling(""), BOTH));
    let answer = world.answer(client);
    assert_eq!(answer.header("content-encoding"), Some("gzip"));
    let ws = world.ask(upgrade_with(&websocket(""), BOTH));
    let answer = world.answer(ws);
    assert_eq!(
        (answer.status, answer.header("content-encoding")),
        (101, None)
    );
    assert_eq!(world.texts(ws)[1].len(), 2_001);
}

#[test]
fn each_request_says_anew_what_its_client_takes() {
    let mut world = World::new();
    let poller = world.poller();
    let session = world.session();
    let long = "x".repeat(5_000);
    for (headers, coding) in [(BOTH, Some("gzip")), ("", None), (BOTH, Some("gzip"))] {
        world.send(poller.get, request("GET", &polling(&poller.sid), headers));
        world.act(|engine| engine.send_text(session, &[long.as_bytes()]));
        let answer = world.answer(poller.get);
        assert_eq!(answer.header("content-encoding"), coding);
    }
}
