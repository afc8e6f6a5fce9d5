//! Bugs of the engine that a hostile review found, each by its smallest input.

mod common;

use common::*;
use emio::{Config, ConnectionContext, Cors, Reason, Volatile, engine::Engine};

fn with(change: impl FnOnce(&mut Config)) -> World {
    let mut config = Config::default();
    change(&mut config);
    World::with(config)
}

/// "From the first word on nobody new is let in."
#[test]
fn no_raw_websocket_is_let_in_while_the_server_ends() {
    let mut world = World::new();
    world.act(|engine| engine.serve_raw("/raw"));
    let (_one, _) = world.websocket();
    let (_two, _) = world.websocket();
    let early = world.connect();
    world.act(|engine| engine.wind_down(ms(10_000)));
    world.advance(100);
    assert!(world.engine.is_ending() && !world.engine.is_shut());
    world.send(early, upgrade_of("/raw"));
    assert_eq!(world.answer(early).status, 503);
}

/// The volatile event that waits goes before the close, as in `take_leave`.
#[test]
fn a_volatile_event_that_waits_leaves_before_a_close() {
    let mut world = with(|config| config.volatile = Volatile::Latest);
    let poller = world.poller();
    let session = world.session();
    world.act(|engine| {
        let frame = engine.frame(false, &[b"v"]);
        assert!(!engine.keep_latest(session, 0, &[frame]));
        engine.close(session)
    });
    world.poll(&poller);
    assert_eq!(world.polled(&poller), "4v");
}

/// The `Origin` of a parked GET is kept and counted by nothing.
#[test]
fn the_origin_that_a_parked_get_keeps_is_counted() {
    let mut world = with(|config| {
        config.cors = Some(Cors::origins(["https://here.example"]));
        config.incoming_bytes_max = 40_000;
    });
    let origin = format!("Origin: http://{}\r\n", "a".repeat(12_000));
    let mut parked = 0;
    for _ in 0..20 {
        let poller = world.poller();
        let session = world.session();
        world.act(|engine| engine.release_handshake(session));
        world.send(poller.get, request("GET", &polling(&poller.sid), &origin));
        if world.is_open(poller.get) {
            parked += 1;
        }
    }
    let counted = world.stats().incoming_bytes;
    assert!(
        parked < 20 || counted > 200_000,
        "{parked} GETs hold 12 kB each, of which {counted} bytes are counted"
    );
}

/// A handshake that waits for a judgement keeps the subprotocol that was offered.
#[test]
fn the_subprotocol_of_a_judged_handshake_is_counted() {
    let mut world = World::new();
    world.engine.judge_handshakes();
    let offer = format!("Sec-WebSocket-Protocol: {}\r\n", "a".repeat(12_000));
    world.ask(upgrade_with(&websocket(""), &offer));
    let counted = world.stats().incoming_bytes;
    assert!(counted > 20_000, "held twice, counted {counted}");
}

/// What a preflight asks for, mirrored, while the application thinks.
#[test]
fn the_mirrored_headers_of_a_continued_preflight_are_counted() {
    let mut world = with(|config| config.cors = Some(Cors::any().preflight_continue(true)));
    let wish = format!("Access-Control-Request-Headers: {}\r\n", "a".repeat(12_000));
    world.ask(request("OPTIONS", &polling(""), &wish));
    let counted = world.stats().incoming_bytes;
    assert!(counted > 10_000, "counted {counted}");
}

/// "What the server writes itself, is left out."
#[test]
fn configured_headers_do_not_contradict_the_servers_own() {
    let mut world = with(|config| {
        config.headers = vec![
            ("Connection".into(), "close".into()),
            ("Upgrade".into(), "h2c".into()),
            ("Sec-WebSocket-Accept".into(), "x".into()),
            (
                "Sec-WebSocket-Extensions".into(),
                "permessage-deflate".into(),
            ),
        ];
    });
    let ws = world.ask(upgrade_of(&websocket("")));
    let answer = world.answer(ws);
    let count = |name: &str| {
        let headers = answer.headers.iter();
        headers
            .filter(|(is, _)| is.eq_ignore_ascii_case(name))
            .count()
    };
    assert_eq!(
        [
            "connection",
            "upgrade",
            "sec-websocket-accept",
            "sec-websocket-extensions"
        ]
        .map(count),
        [1, 1, 1, 0]
    );
}

#[test]
fn configured_content_headers_are_left_out() {
    let mut world = with(|config| {
        config.headers = vec![
            ("Content-Encoding".into(), "gzip".into()),
            ("Content-Type".into(), "x/y".into()),
        ];
    });
    let client = world.ask(get_of(&polling("")));
    let answer = world.answer(client);
    let count = |name: &str| {
        let headers = answer.headers.iter();
        headers
            .filter(|(is, _)| is.eq_ignore_ascii_case(name))
            .count()
    };
    assert_eq!(["content-encoding", "content-type"].map(count), [0, 1]);
}

#[test]
fn a_handshake_beyond_a_limit_is_no_fault() {
    let mut world = with(|config| config.sessions_max = 0);
    let client = world.ask(get_of(&polling("")));
    assert_eq!(world.answer(client).status, 503);
    let stats = world.stats();
    assert_eq!((stats.refused_by_limit, stats.refused_by_fault), (1, 0));
}

#[test]
fn a_body_that_is_too_large_is_refused_because_of_a_limit() {
    let mut world = with(|config| config.max_payload = 10);
    let poller = world.poller();
    let status = world.post(&poller, "4aaaaaaaaaaaaaaaaaaaaa").status;
    assert_eq!(status, 413);
    let stats = world.stats();
    assert_eq!((stats.refused_by_limit, stats.refused_by_fault), (1, 0));
}

#[test]
fn requests_that_break_the_protocol_are_counted() {
    for which in 0..4 {
        let mut world = World::new();
        let poller = world.poller();
        match which {
            0 => {
                world.poll(&poller);
                world.ask(get_of(&polling(&poller.sid)));
            }
            1 => {
                world.send(poller.get, request("PUT", &polling(&poller.sid), ""));
            }
            2 => {
                let kind = "Content-Type: application/octet-stream\r\n";
                world.ask(post_with(&polling(&poller.sid), kind, "4a"));
            }
            _ => {
                world.ask(
                    "POST /socket.io/?EIO=4&transport=polling&sid=".to_owned()
                        + &poller.sid
                        + " HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\n4",
                );
                world.ask(post_of(&polling(&poller.sid), "4a"));
            }
        }
        assert!(world.stats().refused_by_fault > 0, "{which}");
    }
}

#[test]
fn what_is_sent_to_a_closed_session_is_not_counted_as_sent() {
    let mut world = World::new();
    let _poller = world.poller();
    let session = world.session();
    world.act(|engine| {
        engine.close(session);
        engine.send_text(session, &[b"x"]);
        let frame = engine.frame(false, &[b"x"]);
        engine.send_frame(session, &frame);
    });
    assert_eq!(world.stats().messages_out, 0);
}

#[test]
fn a_judgement_after_the_end_refuses_and_closes() {
    for target in [get_of(&polling("")), upgrade_of(&websocket(""))] {
        let mut world = World::new();
        world.engine.judge_handshakes();
        let client = world.ask(target);
        let (conn, serial) = world.question();
        world.act(|engine| engine.shut_down());
        world.act(|engine| engine.decide(conn, serial, Ok(())));
        assert_eq!(world.answer(client).status, 503);
        assert!(!world.is_open(client));
    }
}

#[test]
fn a_shutdown_while_upgrading_ends_both() {
    let mut world = World::new();
    let poller = world.poller();
    let ws = world.probe(&poller.sid);
    world.send(ws, text("2probe"));
    assert_eq!(world.texts(ws), ["3probe"]);
    world.act(|engine| engine.wind_down(ms(1_000)));
    world.advance(500);
    world.send(ws, text("5"));
    world.advance(100);
    assert_eq!(world.reasons(), [emio::Reason::ServerShuttingDown]);
    world.advance(4_000);
    assert!(world.is_gone(ws) && world.is_gone(poller.get));
}

#[test]
fn an_initial_packet_with_a_judged_websocket_and_early_frames() {
    let mut world = with(|config| config.initial_packet = Some("hi".into())).on(echo);
    world.engine.judge_handshakes();
    let mut bytes = upgrade_of(&websocket("")).into_bytes();
    bytes.extend(text("4a"));
    let ws = world.ask(bytes);
    let (conn, serial) = world.question();
    world.act(|engine| engine.decide(conn, serial, Ok(())));
    assert_eq!(world.answer(ws).status, 101);
    let texts = world.texts(ws);
    assert_eq!(texts[1..], ["4hi", "4a"]);
}

#[allow(dead_code)]
/// "Closed" is the last that is told of a session.
#[test]
fn nothing_is_told_of_a_session_after_its_end() {
    let mut world = with(|config| config.backlog_bytes_max = 300);
    world.engine.tell_sessions();
    let poller = world.poller();
    let session = world.session();
    world.let_write(poller.get, Some(0));
    for _ in 0..8 {
        world.poll(&poller);
        world.act(|engine| {
            if engine.is_open(session) {
                engine.send_text(session, &[&[b'x'; 100]]);
            }
        });
    }
    let told: Vec<_> = world
        .told
        .iter()
        .filter_map(|told| match told {
            Told::Session(event) => Some(*event),
            _ => None,
        })
        .collect();
    let end = told
        .iter()
        .position(|event| matches!(event, emio::SessionEvent::Closed(_)))
        .expect("it was closed");
    assert_eq!(told[end + 1..], [], "{told:?}");
}

/// The rest of a POST that was put off went to whoever had the slot of its session by then.
#[test]
fn the_rest_of_a_post_is_not_heard_as_the_next_session_of_the_slot() {
    let mut world = with(|config| config.inputs_per_turn_max = 2);
    let poller = world.poller();
    let session = world.session();
    world.in_one_turn(|world| {
        world.send(poller.post, post_of(&polling(&poller.sid), "4a\x1e4b"));
        world.act(|engine| engine.discard(session, Reason::TransportClose));
        assert_eq!(world.engine.poll_dead(), None, "its slot is free");
        let _next = world.poller();
        assert_eq!(world.session(), session, "the next one has it");
    });
    assert_eq!(world.heard(), ["a"]);
    world.answer(poller.post).is(200, "ok");
}

/// So did the end of one whose body was broken.
#[test]
fn a_broken_body_does_not_end_the_next_session_of_the_slot() {
    let mut world = World::new();
    let poller = world.poller();
    let session = world.session();
    let head = chunked_of(&polling(&poller.sid), &[]);
    let head = head.strip_suffix(b"0\r\n\r\n").expect("no chunks");
    world.send(poller.post, head);
    world.act(|engine| engine.discard(session, Reason::TransportClose));
    let _next = world.poller();
    assert_eq!(world.session(), session, "the next one has the slot");
    world.send(poller.post, "no size\r\n");
    assert_eq!(world.answer(poller.post).status, 400);
    assert_eq!(world.reasons(), [Reason::TransportClose]);
}

/// Each kept what it had read until its peer had answered: some 64 KiB beyond the limit, for every
/// connection that was there.
#[test]
fn websockets_closed_for_what_they_hold_hold_it_no_more() {
    let mut world = with(|config| config.incoming_bytes_max = 10_000);
    world.act(|engine| engine.serve_raw("/raw"));
    let (ws, _) = world.websocket();
    let raw = world.ask(upgrade_of("/raw"));
    for client in [ws, raw] {
        world.received(client);
        let before = world.stats().incoming_bytes;
        world.send(client, frame_head(true, 0x1, 50_000));
        world.send(client, [b'x'; 20_000]);
        assert!(world.stats().incoming_bytes <= before, "it was let go");
    }
    assert_eq!(world.reasons(), [Reason::TransportError]);
}

/// Connections that were gone kept their places in the line, and four places are all that go on in
/// a turn.
#[test]
fn those_who_left_use_up_no_share() {
    let mut world = with(|config| config.inputs_per_turn_max = 1);
    world.act(|engine| engine.serve_raw("/raw"));
    let gone: Vec<_> = (0..40).map(|_| world.ask(upgrade_of("/raw"))).collect();
    let honest = world.ask(upgrade_of("/raw"));
    let turns = world.in_one_turn(|world| {
        for client in gone {
            world.send(client, [text("x"), text("y")].concat());
            world.reset(client);
        }
        world.send(honest, [text("1"), text("2")].concat());
        let mut turns = 0;
        while !world.heard().contains(&"2".to_owned()) {
            turns += 1;
            world.engine.take_up();
            world.act(|_| ());
        }
        turns
    });
    assert_eq!(turns, 1, "turns until the only one that waits went on");
}

/// Dispatches and writes as the loop does until nothing is left; frees no slot.
fn flush(engine: &mut Engine) {
    loop {
        while engine.poll_event().is_some() {}
        let Some(key) = engine.poll_dirty() else {
            return;
        };
        engine.transmit(key, &mut |slices| {
            Ok(slices.iter().map(|slice| slice.len()).sum())
        });
    }
}

/// A GET that was answered at once went on with a new share, and left its place in the line: others
/// waited behind thousands of such places.
#[test]
fn who_pipelines_polls_has_one_place_in_the_line() {
    let mut world = with(|config| config.inputs_per_turn_max = 4);
    world.act(|engine| engine.serve_raw("/raw"));
    let poller = world.poller();
    // While it is tried, every GET is answered at once.
    let ws = world.probe(&poller.sid);
    world.send(ws, text("2probe"));
    let honest = world.ask(upgrade_of("/raw"));
    let many = get_of(&polling(&poller.sid)).repeat(200);
    let (key, honest, now) = (world.key(poller.get), world.key(honest), world.now());
    world.engine.handle_bytes(key, now, many.as_bytes());
    flush(&mut world.engine);
    for _ in 0..20 {
        world.engine.take_up();
        flush(&mut world.engine);
    }
    world.engine.handle_bytes(honest, now, &text("x").repeat(5));
    flush(&mut world.engine);
    assert!(world.engine.is_held_back(honest) && world.engine.is_held_back(key));
    world.engine.take_up();
    flush(&mut world.engine);
    assert!(!world.engine.is_held_back(honest), "its turn came at once");
}

/// What it sends is looked at as it comes in turn; that must not put its end off.
#[test]
fn a_closed_websocket_that_floods_is_dropped_in_time() {
    let mut world = with(|config| config.inputs_per_turn_max = 1);
    let (ws, _) = world.websocket();
    let session = world.session();
    world.act(|engine| engine.close(session));
    let (key, now) = (world.key(ws), world.now());
    let pings = frame(true, 0x9, "").repeat(100);
    world.engine.handle_bytes(key, now, &pings);
    flush(&mut world.engine);
    assert!(world.engine.is_held_back(key));
    world.engine.handle_timeout(now + ms(10_100));
    assert!(!world.engine.is_held_back(key), "nothing is waited for");
    world.drain();
    assert!(world.is_gone(ws));
}

/// The first `Origin` was told, or nothing, whichever had been refused.
#[test]
fn every_origin_of_a_refused_websocket_is_told() {
    let other = "https://there.example";
    for (headers, said) in [
        (format!("Sec-WebSocket-Origin: {other}\r\n"), other),
        (
            format!("Origin: http://here\r\nOrigin: {other}\r\n"),
            "http://here, https://there.example",
        ),
    ] {
        let mut world = World::new();
        world.engine.tell_refusals();
        let ws = world.ask(upgrade_with(&websocket(""), &headers));
        assert_eq!(world.answer(ws).status, 403);
        let told = world.take_told();
        let [Told::Refused(error)] = &told[..] else {
            panic!("{told:?}")
        };
        assert_eq!(error.context(), &ConnectionContext::Origin(said.into()));
    }
}
