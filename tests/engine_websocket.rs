//! Sessions that begin as WebSockets, and application WebSockets, against the engine's low road:
//! spec 2.2 and 2.4, RFC 6455, one test a line.

mod common;

use common::*;
use emio::{Config, Reason};

#[test]
fn wire_2_2_1_the_101_follows_the_rfc_and_echoes_the_first_subprotocol() {
    let mut world = World::new();
    let ws = world.ask(upgrade_of(&websocket("")));
    let answer = world.answer(ws);
    assert_eq!(answer.status, 101);
    assert_eq!(answer.header("upgrade"), Some("websocket"));
    assert_eq!(answer.header("connection"), Some("Upgrade"));
    assert_eq!(answer.header("sec-websocket-accept"), Some(ACCEPT));
    assert_eq!(answer.header("sec-websocket-protocol"), None);
    assert_eq!(answer.header("content-length"), None);
    let offer = "Sec-WebSocket-Protocol: chat, superchat\r\n";
    let ws = world.ask(upgrade_with(&websocket(""), offer));
    let answer = world.answer(ws);
    assert_eq!(answer.header("sec-websocket-protocol"), Some("chat"));
}

#[test]
fn wire_2_2_1_both_versions_are_spoken_and_others_refused() {
    let mut world = World::new();
    let with = |version: &str| upgrade_of(&websocket("")).replace("Version: 13", version);
    let ws = world.ask(with("Version: 8"));
    assert_eq!(world.answer(ws).status, 101);
    for version in ["Version: 12", "Version: 7", "Version: x", "Nothing: 13"] {
        let ws = world.ask(with(version));
        let answer = world.answer(ws);
        assert_eq!(answer.status, 400, "{version}");
        assert_eq!(answer.header("sec-websocket-version"), Some("13, 8"));
        assert!(!world.is_open(ws));
    }
    assert_eq!(world.stats().sessions, 1);
}

#[test]
fn wire_2_2_1_a_bad_key_is_refused() {
    let mut world = World::new();
    for key in [
        "Key: short",
        "Key: dGhlIHNhbXBsZSBub25jZQ!=",
        "Nothing: here",
    ] {
        let upgrade = upgrade_of(&websocket(""));
        let upgrade = upgrade.replace("Key: dGhlIHNhbXBsZSBub25jZQ==", key);
        let ws = world.ask(upgrade);
        world.answer(ws).is(400, "Bad request");
        assert!(!world.is_open(ws));
    }
}

#[test]
fn wire_2_2_1_only_a_get_becomes_a_websocket() {
    let mut world = World::new();
    let sid = world.poller().sid;
    let ws = world.ask(upgrade_of(&websocket(&sid)).replace("GET", "POST"));
    world.answer(ws).is(405, "");
    // Without a session the protocol's own check comes first.
    let ws = world.ask(upgrade_of(&websocket("")).replace("GET", "POST"));
    world.answer(ws).is(400, "Bad handshake method");
    assert_eq!(world.reasons(), []);
}

#[test]
fn wire_2_2_2_a_message_that_is_too_large_closes_with_1009() {
    let mut world = World::with(Config {
        max_payload: 200,
        ..Config::default()
    })
    .on(echo);
    let most = "x".repeat(199);
    let (ws, _) = world.websocket();
    world.send(ws, text(&format!("4{most}")));
    assert_eq!(world.texts(ws), [format!("4{most}")]);
    // The claim alone is enough, whatever it is.
    for claim in [201, 70_000, 1 << 40, u64::MAX >> 1] {
        let (ws, _) = world.websocket();
        world.take_told();
        world.send(ws, [frame_head(true, 0x2, claim), vec![0; 4]].concat());
        assert_eq!(world.frames(ws), [Frame::close(Some(1009))], "{claim}");
        assert_eq!(world.reasons(), [Reason::TransportError]);
        assert!(!world.is_open(ws));
    }
    // Together, in pieces.
    let (ws, _) = world.websocket();
    world.send(ws, frame(false, 0x2, vec![0; 150]));
    world.send(ws, frame(true, 0x0, vec![0; 51]));
    assert_eq!(world.frames(ws), [Frame::close(Some(1009))]);
}

#[test]
fn wire_2_2_2_text_that_is_no_utf8_closes_with_1007() {
    let mut world = World::new();
    let bad: [&[&[u8]]; 4] = [
        &[b"4\xff"],
        &[b"4\xe2\x82"],
        &[b"4\xe2", b"a"],
        &[b"4\xe2", b"\x82"],
    ];
    for pieces in bad {
        let (ws, _) = world.websocket();
        world.take_told();
        for (at, piece) in pieces.iter().enumerate() {
            let opcode = if at == 0 { 0x1 } else { 0x0 };
            world.send(ws, frame(at + 1 == pieces.len(), opcode, piece));
        }
        assert_eq!(world.frames(ws), [Frame::close(Some(1007))], "{pieces:?}");
        assert_eq!(world.reasons(), [Reason::TransportError]);
        assert_eq!(world.heard(), [""; 0]);
    }
}

#[test]
fn rfc6455_8_1_wrong_text_is_refused_before_its_frame_is_whole() {
    let mut world = World::new();
    let (ws, _) = world.websocket();
    world.take_told();
    let whole = frame(true, 0x1, b"4caf\xC3\xA9 \xF4\x90 and more");
    // Byte by byte: the second byte of 0x110000 is the first that is wrong.
    let wrong = whole.len() - b"\x90 and more".len();
    for byte in &whole[..wrong] {
        world.send(ws, [*byte]);
    }
    assert_eq!(world.frames(ws), []);
    world.send(ws, [whole[wrong]]);
    assert_eq!(world.frames(ws), [Frame::close(Some(1007))]);
    assert_eq!(world.reasons(), [Reason::TransportError]);
    assert!(!world.is_open(ws));
}

#[test]
fn rfc6455_8_1_the_rest_of_a_fragment_completes_its_character() {
    let mut world = World::new().on(echo);
    let (ws, _) = world.websocket();
    world.send(ws, frame(false, 0x1, b"4\xF0\x9F"));
    let rest = frame(true, 0x0, b"\xA6\x80!");
    for byte in rest {
        world.send(ws, [byte]);
    }
    assert_eq!(world.texts(ws), ["4🦀!"]);
}

#[test]
fn rfc6455_5_broken_frames_close_with_1002() {
    let mut unmasked = frame_head(true, 0x1, 2);
    unmasked[1] &= 0x7F;
    unmasked.extend_from_slice(b"4a");
    let mut reserved = text("4a");
    reserved[0] |= 0x40;
    let broken = [
        unmasked,
        reserved,
        frame(true, 0x3, "4a"),
        frame(true, 0xB, "4a"),
        frame(false, 0x9, ""),
        [frame_head(true, 0x9, 126), vec![0; 4]].concat(),
        frame(true, 0x0, "a"),
        [frame(false, 0x1, "4a"), text("4b")].concat(),
        frame(true, 0x8, [3]),
        close(Some(1005)),
        close(Some(999)),
    ];
    let mut world = World::new();
    for bytes in broken {
        let (ws, _) = world.websocket();
        world.take_told();
        world.send(ws, &bytes);
        assert_eq!(world.frames(ws), [Frame::close(Some(1002))], "{bytes:?}");
        assert_eq!(world.reasons(), [Reason::TransportError], "{bytes:?}");
        assert!(!world.is_open(ws), "{bytes:?}");
    }
}

#[test]
fn nothing_behind_a_broken_frame_is_heard() {
    let mut world = World::new().on(echo);
    let (ws, _) = world.websocket();
    world.send(ws, [text("4a"), frame(true, 0x3, ""), text("4b")].concat());
    world.send(ws, text("4c"));
    assert_eq!(world.heard(), ["a"]);
    assert_eq!(
        world.frames(ws),
        [Frame::text("4a"), Frame::close(Some(1002))]
    );
}

#[test]
fn rfc6455_5_4_a_message_may_come_in_pieces_with_control_frames_between() {
    let mut world = World::new().on(echo);
    let (ws, _) = world.websocket();
    let pieces = [
        frame(false, 0x1, "4he"),
        frame(true, 0x9, "are you there"),
        frame(false, 0x0, ""),
        frame(true, 0xA, "unasked"),
        frame(false, 0x0, "ll"),
        frame(true, 0x0, "o"),
        frame(false, 0x2, [1, 2]),
        frame(true, 0x0, [3]),
    ];
    world.send(ws, pieces.concat());
    assert_eq!(world.heard(), ["hello", "[1, 2, 3]"]);
    let expected = [
        Frame::pong(b"are you there"),
        Frame::text("4hello"),
        Frame::binary(&[1, 2, 3]),
    ];
    assert_eq!(world.frames(ws), expected);
    assert_eq!(world.stats().incoming_bytes, {
        // Only the head of the handshake is still held.
        upgrade_of(&websocket("")).len() as u64
    });
}

#[test]
fn rfc6455_8_1_a_fragment_may_end_inside_a_character() {
    let mut world = World::new();
    let (ws, _) = world.websocket();
    let word = "4κόσμε 🦀".as_bytes();
    for at in 1..word.len() {
        world.take_told();
        world.send(ws, frame(false, 0x1, &word[..at]));
        world.send(ws, frame(true, 0x0, &word[at..]));
        assert_eq!(world.heard(), ["κόσμε 🦀"], "cut at {at}");
    }
}

#[test]
fn rfc6455_5_5_1_a_close_is_answered_in_kind() {
    let mut world = World::new();
    for code in [None, Some(1000), Some(1001), Some(3000), Some(4999)] {
        let (ws, _) = world.websocket();
        world.take_told();
        world.send(ws, [close(code), text("4a")].concat());
        assert_eq!(world.frames(ws), [Frame::close(code)]);
        assert_eq!(world.reasons(), [Reason::TransportClose]);
        assert_eq!(world.heard(), [""; 0]);
        assert!(
            !world.is_open(ws) && !world.is_gone(ws),
            "the peer may still read"
        );
        world.end(ws);
        assert!(world.is_gone(ws));
    }
}

#[test]
fn rfc6455_5_5_2_a_ping_is_answered_with_its_data() {
    let mut world = World::new();
    let (ws, _) = world.websocket();
    let long = [7; 125];
    world.send(ws, [frame(true, 0x9, ""), frame(true, 0x9, long)].concat());
    assert_eq!(world.frames(ws), [Frame::pong(b""), Frame::pong(&long)]);
    world.send(ws, frame(true, 0xA, "whatever"));
    assert_eq!(world.frames(ws), []);
    assert_eq!(world.reasons(), []);
}

#[test]
fn wire_2_2_3_one_message_is_one_packet() {
    let mut world = World::new().on(echo);
    let (ws, _) = world.websocket();
    world.send(ws, text("4a\x1e4b"));
    assert_eq!(world.heard(), ["a\x1e4b"]);
    assert_eq!(world.texts(ws), ["4a\x1e4b"]);
}

#[test]
fn wire_2_1_1_a_binary_message_is_a_bare_frame_or_base64_in_a_text() {
    let mut world = World::new().on(echo);
    let (ws, _) = world.websocket();
    world.send(
        ws,
        [binary(&[4, 0]), binary(&[]), text("bAQI="), text("4")].concat(),
    );
    assert_eq!(world.heard(), ["[4, 0]", "[]", "[1, 2]", ""]);
    let expected = [
        Frame::binary(&[4, 0]),
        Frame::binary(&[]),
        Frame::binary(&[1, 2]),
        Frame::text("4"),
    ];
    assert_eq!(world.frames(ws), expected);
    world.send(ws, text("b*"));
    assert_eq!(world.reasons(), [Reason::ParseError]);
}

#[test]
fn wire_2_1_13_a_client_that_asks_for_base64_gets_it_over_its_websocket() {
    let mut world = World::new().on(echo);
    let ws = world.ask(upgrade_of(&format!("{}&b64=1", websocket(""))));
    world.answer(ws);
    world.texts(ws);
    let session = world.session();
    world.send(ws, binary(&[1, 2]));
    assert_eq!(world.texts(ws), ["bAQI="]);
    world.act(|engine| {
        let frame = engine.frame(true, &[&[1]]);
        engine.send_frame(session, &frame);
    });
    assert_eq!(world.texts(ws), ["bAQ=="]);
}

#[test]
fn wire_2_2_4_a_close_packet_closes_at_once_and_idle_packets_do_nothing() {
    let mut world = World::new();
    let (ws, _) = world.websocket();
    world.send(ws, [text("0"), text("5"), text("6"), text("3")].concat());
    assert_eq!(world.reasons(), []);
    world.send(ws, [text("1"), text("4a")].concat());
    assert_eq!(world.reasons(), [Reason::TransportClose]);
    assert_eq!(world.heard(), [""; 0]);
    assert_eq!(world.frames(ws), [Frame::close(None)]);
    assert!(!world.is_open(ws));
}

#[test]
fn wire_2_2_5_a_ping_from_the_client_is_in_the_wrong_direction() {
    let mut world = World::new();
    for ping in ["2", "2probe"] {
        let (ws, _) = world.websocket();
        world.take_told();
        world.send(ws, text(ping));
        assert_eq!(world.frames(ws), [Frame::close(None)]);
        assert_eq!(world.reasons(), [Reason::TransportError]);
    }
}

#[test]
fn wire_2_2_6_a_packet_that_is_none_is_a_parse_error() {
    let mut world = World::new();
    for packet in ["", "7", "abc", "\u{1e}"] {
        let (ws, _) = world.websocket();
        world.take_told();
        world.send(ws, text(packet));
        assert_eq!(world.frames(ws), [Frame::close(None)], "{packet:?}");
        assert_eq!(world.reasons(), [Reason::ParseError], "{packet:?}");
    }
}

#[test]
fn wire_2_3_7_the_open_packet_is_the_first_frame_and_offers_no_upgrade() {
    let mut world = World::new();
    let ws = world.ask(upgrade_of(&websocket("")));
    assert_eq!(world.answer(ws).status, 101);
    let texts = world.texts(ws);
    let [open] = &texts[..] else {
        panic!("{texts:?}")
    };
    let sid = sid_of(open);
    let terms = r#""upgrades":[],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000}"#;
    let expected = format!(r#"0{{"sid":"{sid}",{terms}"#);
    assert_eq!(*open, expected);
}

#[test]
fn frames_in_the_segment_of_the_upgrade_are_heard() {
    let mut world = World::new().on(echo);
    let upgrade = upgrade_of(&websocket("")).into_bytes();
    let ws = world.ask([upgrade, text("4a"), binary(&[1]), frame(true, 0x9, "")].concat());
    assert_eq!(world.answer(ws).status, 101);
    let frames = world.frames(ws);
    let expected = [Frame::text("4a"), Frame::binary(&[1]), Frame::pong(b"")];
    assert_eq!(frames[1..], expected);
}

#[test]
fn what_is_sent_on_opening_follows_the_open_packet() {
    let mut world = World::new().on(|engine, told| {
        if let Told::Opened(session) = told {
            engine.send_text(*session, &[b"welcome"]);
        }
    });
    let ws = world.ask(upgrade_of(&websocket("")));
    world.answer(ws);
    assert_eq!(world.texts(ws)[1..], ["4welcome"]);
    let poller = world.poller();
    world.poll(&poller);
    assert_eq!(world.polled(&poller), "4welcome");
}

#[test]
fn lengths_of_every_size_go_both_ways() {
    let mut world = World::new().on(echo);
    let (ws, _) = world.websocket();
    for len in [
        0, 1, 123, 124, 125, 126, 127, 65_534, 65_535, 65_536, 200_000, 999_999,
    ] {
        let message = format!("4{}", "x".repeat(len));
        world.send(ws, text(&message));
        assert_eq!(world.texts(ws), [message], "{len}");
        let data = vec![9; len];
        world.send(ws, binary(&data));
        assert_eq!(world.frames(ws), [Frame::binary(&data)], "{len}");
    }
}

#[test]
fn wire_2_4_the_server_pings_the_websocket_and_waits_for_the_pong() {
    let mut world = World::brisk();
    let (ws, _) = world.websocket();
    for _ in 0..5 {
        world.advance(300);
        assert_eq!(world.texts(ws), ["2"]);
        world.send(ws, text("3"));
    }
    // One that is not asked for does not count for the next.
    world.send(ws, text("3"));
    world.take_told();
    world.advance(290);
    assert_eq!(world.texts(ws), ["2"]);
    world.send(
        ws,
        [text("4alive?"), frame(true, 0xA, ""), frame(true, 0x9, "")].concat(),
    );
    world.advance(300);
    assert_eq!(world.reasons(), [Reason::PingTimeout]);
    assert_eq!(world.frames(ws), [Frame::pong(b""), Frame::close(None)]);
    world.advance(1_100);
    assert!(world.is_gone(ws), "one so silent does not close either");
}

#[test]
fn wire_2_4_a_pong_that_lies_unread_is_waited_for() {
    let mut world = World::brisk();
    let (ws, _) = world.websocket();
    let key = world.key(ws);
    world.advance(320);
    world.act(|engine| engine.handle_more(key, true));
    world.advance(1_000);
    assert_eq!(world.reasons(), []);
    world.send(ws, text("3"));
    world.act(|engine| engine.handle_more(key, false));
    world.advance(200);
    assert_eq!(world.reasons(), []);
    world.advance(900);
    assert_eq!(world.reasons(), [Reason::PingTimeout]);
}

#[test]
fn closing_sends_what_is_queued_then_a_close_frame() {
    let mut world = World::new();
    let (ws, _) = world.websocket();
    let session = world.session();
    let at_once = world.act(|engine| {
        engine.send_text(session, &[b"bye"]);
        engine.close(session)
    });
    assert!(at_once);
    assert_eq!(world.frames(ws), [Frame::text("4bye"), Frame::close(None)]);
    assert_eq!(world.reasons(), [Reason::ForcedClose]);
    // What the client still says is for nobody, until its own close frame.
    world.send(ws, [text("4a"), frame(true, 0x9, "x")].concat());
    assert_eq!(world.heard(), [""; 0]);
    assert_eq!(world.frames(ws), []);
    assert!(world.is_open(ws));
    world.send(ws, close(None));
    assert_eq!(world.frames(ws), []);
    assert!(!world.is_open(ws));
}

#[test]
fn closing_behind_a_blocked_client_is_told_to_wait() {
    let mut world = World::new();
    let (ws, _) = world.websocket();
    let session = world.session();
    world.let_write(ws, Some(0));
    world.act(|engine| engine.send_text(session, &[b"bye"]));
    assert!(!world.act(|engine| engine.close(session)));
    assert_eq!(world.frames(ws), []);
    world.let_write(ws, None);
    assert_eq!(world.frames(ws), [Frame::text("4bye"), Frame::close(None)]);
}

#[test]
fn losing_the_connection_closes_the_session() {
    for leave in [World::end, World::reset] {
        let mut world = World::new();
        let (ws, _) = world.websocket();
        leave(&mut world, ws);
        assert!(world.is_gone(ws));
        assert_eq!(world.reasons(), [Reason::TransportClose]);
    }
}

#[test]
fn a_write_that_fails_closes_the_session_in_the_same_turn() {
    let mut world = World::new();
    let (ws, _) = world.websocket();
    let session = world.session();
    world.break_writes(ws);
    world.act(|engine| engine.send_text(session, &[b"a"]));
    assert!(world.is_gone(ws));
    assert_eq!(world.reasons(), [Reason::TransportClose]);
}

#[test]
fn partial_writes_lose_nothing() {
    for step in [1, 2, 5, 64] {
        let mut world = World::new().on(echo);
        let (ws, _) = world.websocket();
        let session = world.session();
        world.let_write(ws, Some(0));
        world.send(ws, [text("4a"), binary(&[1, 2, 3])].concat());
        world.act(|engine| {
            for _ in 0..40 {
                engine.send_text(session, &[b"many"]);
            }
            let frame = engine.frame(false, &[&[b'x'; 5_000]]);
            engine.send_frame(session, &frame);
        });
        world.send(ws, text("4last"));
        assert!(world.engine.backlog_bytes(session) > 5_000);
        assert!(!world.engine.is_writable(session));
        // Bounded by the bytes that wait.
        for _ in 0..6_000 {
            world.let_write(ws, Some(step));
        }
        world.let_write(ws, None);
        assert!(world.engine.is_writable(session));
        assert_eq!(world.engine.backlog_bytes(session), 0);
        let frames = world.frames(ws);
        assert_eq!(frames[..2], [Frame::text("4a"), Frame::binary(&[1, 2, 3])]);
        assert_eq!(frames[2..42], vec![Frame::text("4many"); 40]);
        assert_eq!(frames[42].payload.len(), 5_001);
        assert_eq!(frames[43..], [Frame::text("4last")]);
        assert_eq!(world.stats().backlog_bytes, 0);
    }
}

#[test]
fn what_others_say_in_one_turn_arrives_in_its_order() {
    let mut world = World::new().on({
        let mut all = Vec::new();
        move |engine, told| match told {
            Told::Opened(session) => all.push(*session),
            Told::Text(_, text) => {
                all.iter()
                    .for_each(|to| engine.send_text(*to, &[text.as_bytes()]));
            }
            _ => {}
        }
    });
    let (one, _) = world.websocket();
    let (two, _) = world.websocket();
    let poller = world.poller();
    world.poll(&poller);
    world.in_one_turn(|world| {
        world.send(one, text("4a"));
        world.send(two, [text("4b"), text("4c")].concat());
        world.send(one, text("4d"));
        let post = post_of(&polling(&poller.sid), "4e\x1e4f");
        world.send(poller.post, post);
    });
    let all = ["4a", "4b", "4c", "4d", "4e", "4f"];
    assert_eq!(world.texts(one), all);
    assert_eq!(world.texts(two), all);
    assert_eq!(world.polled(&poller), all.join("\x1e"));
}

#[test]
fn who_is_lost_in_a_turn_may_still_be_read_in_it() {
    let mut world = World::new().on(echo);
    let (ws, _) = world.websocket();
    let poller = world.poller();
    world.poll(&poller);
    world.in_one_turn(|world| {
        for client in [ws, poller.get, poller.post] {
            world.reset(client);
            world.send(client, text("4a"));
            world.end(client);
            world.let_write(client, None);
        }
        // A new session does not get the place of the old before the turn's end.
        world.websocket();
    });
    assert_eq!(world.heard(), [""; 0]);
    assert_eq!(
        world.reasons(),
        [Reason::TransportClose, Reason::TransportError]
    );
}

#[test]
fn shutting_down_closes_every_websocket() {
    let mut world = World::new();
    world.engine.serve_raw("/raw");
    let (ws, _) = world.websocket();
    let raw = world.ask(upgrade_of("/raw"));
    world.answer(raw);
    world.act(|engine| engine.shut_down());
    assert_eq!(world.frames(ws), [Frame::close(None)]);
    assert_eq!(world.frames(raw), [Frame::close(Some(1001))]);
    assert_eq!(world.reasons(), [Reason::ServerShuttingDown]);
    let late = world.ask(upgrade_of(&websocket("")));
    assert_eq!(world.answer(late).status, 503);
}

#[test]
fn a_close_frame_that_is_not_answered_is_not_waited_for() {
    for close_ms in [10_000, 400] {
        let mut world = World::with(Config {
            close_timeout: ms(close_ms),
            ..Config::default()
        });
        let (ws, _) = world.websocket();
        let session = world.session();
        world.act(|engine| engine.close(session));
        world.advance(close_ms - 100);
        assert!(!world.is_gone(ws));
        world.advance(200);
        assert!(world.is_gone(ws));
    }
}

#[test]
fn a_peer_whose_last_word_was_its_close_frame_is_hung_up_on_at_once() {
    let mut world = World::new();
    let (ws, _) = world.websocket();
    world.send(ws, close(Some(1000)));
    assert_eq!(world.frames(ws), [Frame::close(Some(1000))]);
    assert!(world.is_gone(ws));
}

#[test]
fn a_peer_that_does_not_hang_up_is_dropped_after_a_moment() {
    let mut world = World::new();
    let (ws, _) = world.websocket();
    // More than a close frame: a reset now could take our answer from it.
    world.send(ws, [close(Some(1000)), text("4more")].concat());
    assert!(!world.is_open(ws) && !world.is_gone(ws));
    world.send(ws, text("4more"));
    world.advance(1_900);
    assert!(!world.is_gone(ws));
    world.advance(200);
    assert!(world.is_gone(ws));
}

#[test]
fn an_application_has_websockets_of_its_own() {
    let mut world = World::new().on(echo);
    world.engine.serve_raw("/raw");
    let upgrade = upgrade_of("/raw?a=b").into_bytes();
    let ws = world.ask([upgrade, text("hello"), binary(&[1, 2])].concat());
    let answer = world.answer(ws);
    assert_eq!(answer.status, 101);
    assert_eq!(answer.header("sec-websocket-accept"), Some(ACCEPT));
    assert_eq!(
        world.frames(ws),
        [Frame::text("hello"), Frame::binary(&[1, 2])]
    );
    let Told::RawOpened(_, _, head) = &world.told[0] else {
        panic!("{:?}", world.told)
    };
    assert!(head.starts_with("GET /raw?a=b HTTP/1.1\r\n"), "{head}");
    let (conn, serial) = world.question();
    assert!(world.engine.is_raw(conn, serial));
    world.send(ws, close(Some(4321)));
    assert_eq!(world.frames(ws), [Frame::close(Some(4321))]);
    assert_eq!(
        world.told.last(),
        Some(&Told::RawClosed(conn, serial, Some(4321)))
    );
    assert!(!world.engine.is_raw(conn, serial));
    world.act(|engine| engine.raw_send(conn, serial, false, b"late"));
    world.act(|engine| engine.raw_close(conn, serial, None, ""));
    assert_eq!(world.frames(ws), []);
}

#[test]
fn an_application_closes_its_websocket_with_a_code() {
    let mut world = World::new();
    world.engine.serve_raw("/raw");
    let ws = world.ask(upgrade_of("/raw"));
    world.answer(ws);
    let (conn, serial) = world.question();
    world.act(|engine| engine.raw_send(conn, serial.wrapping_add(1), false, b"stale"));
    world.act(|engine| engine.raw_close(conn, serial, Some(4000), "enough"));
    let frames = world.frames(ws);
    assert_eq!(frames.len(), 1);
    assert_eq!(frames[0].payload, b"\x0f\xa0enough");
    let closed = |told: &&Told| matches!(told, Told::RawClosed(..));
    assert_eq!(world.told.iter().filter(closed).count(), 1);
    world.send(ws, close(Some(4000)));
    assert_eq!(world.told.iter().filter(closed).count(), 1);
    assert!(!world.is_open(ws));
}

#[test]
fn an_application_websocket_is_pinged_and_given_up_when_silent() {
    let mut world = World::brisk();
    world.engine.serve_raw("*");
    let ws = world.ask(upgrade_of("/any/path"));
    world.answer(ws);
    let mut pings = 0;
    for _ in 0..200 {
        world.advance(10);
        if world.frames(ws) == [Frame::ping()] {
            pings += 1;
            world.send(ws, frame(true, 0xA, ""));
        }
    }
    assert!((5..=10).contains(&pings), "{pings} in two seconds");
    assert!(world.is_open(ws));
    world.advance(700);
    assert!(world.is_gone(ws));
    assert!(matches!(
        world.told.last(),
        Some(Told::RawClosed(_, _, None))
    ));
}

#[test]
fn an_application_websocket_obeys_the_same_limits() {
    let mut world = World::with(Config {
        max_payload: 10,
        ..Config::default()
    });
    world.engine.serve_raw("/raw");
    for (bytes, code) in [
        (text("12345678901"), 1009),
        (frame(true, 0x1, b"\xff"), 1007),
        (frame(true, 0x0, b"a"), 1002),
    ] {
        let ws = world.ask(upgrade_of("/raw"));
        world.answer(ws);
        world.send(ws, bytes);
        assert_eq!(world.frames(ws), [Frame::close(Some(code))]);
        assert!(matches!(world.told.last(), Some(Told::RawClosed(..))));
        assert!(!world.is_open(ws));
    }
}

#[test]
fn only_served_paths_become_application_websockets() {
    let mut world = World::new().on(echo);
    world.engine.serve_raw("/raw");
    for target in ["/raw/", "/ra", "/other"] {
        let client = world.ask(upgrade_of(target));
        world
            .answer(client)
            .is(200, &format!("GET {target} HTTP/1.1|"));
    }
    let client = world.ask(upgrade_of("/raw").replace("Version: 13", "Version: 9"));
    assert_eq!(world.answer(client).status, 400);
    let client = world.ask(upgrade_of("/raw").replace("GET", "POST"));
    assert_eq!(world.answer(client).status, 405);
}

#[test]
fn a_websocket_conversation_is_the_same_however_it_is_cut() {
    is_the_same_however_cut(
        || World::new().on(echo),
        |world| {
            let upgrade = upgrade_of(&websocket("")).into_bytes();
            let ws = world.ask([upgrade, text("4first")].concat());
            let answer = world.answer(ws);
            world.send(
                ws,
                [text("4κόσμε"), frame(true, 0x9, "?"), binary(&[7; 130])].concat(),
            );
            let pieces = [frame(false, 0x1, b"4\xe2\x82"), frame(true, 0x0, b"\xac")];
            world.send(ws, [&pieces[0][..], &text("")[..0], &pieces[1]].concat());
            world.send(ws, [text("bAQID"), text("3"), close(Some(1000))].concat());
            let (frames, told) = (world.frames(ws), world.take_told());
            (answer, frames, told, world.is_open(ws))
        },
    );
}

#[test]
fn a_broken_websocket_is_refused_the_same_however_it_is_cut() {
    is_the_same_however_cut(
        || World::new().on(echo),
        |world| {
            let mut outcomes = Vec::new();
            for bad in [frame(true, 0x3, "x"), frame(true, 0x1, b"\xff"), text("x")] {
                let (ws, _) = world.websocket();
                world.send(ws, [text("4a"), bad, text("4b")].concat());
                outcomes.push((world.frames(ws), world.take_told()));
            }
            outcomes
        },
    );
}

#[test]
fn an_application_websocket_is_the_same_however_it_is_cut() {
    is_the_same_however_cut(
        || {
            let mut world = World::new().on(echo);
            world.engine.serve_raw("*");
            world
        },
        |world| {
            let ws = world.ask([upgrade_of("/").into_bytes(), text("a")].concat());
            world.send(
                ws,
                [frame(false, 0x2, [1]), frame(true, 0x0, [2]), close(None)].concat(),
            );
            (world.answer(ws), world.frames(ws), world.take_told())
        },
    );
}
