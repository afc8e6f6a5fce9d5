//! From polling to WebSocket against the engine's low road: spec 2.3, one test a line.

mod common;

use common::*;
use emio::{
    Config, Reason, SessionKey,
    engine::{Engine, Transport},
};

const UNKNOWN_SID: &str = r#"{"code":1,"message":"Session ID unknown"}"#;
const BAD_REQUEST: &str = r#"{"code":3,"message":"Bad request"}"#;

#[test]
fn wire_2_3_1_the_probe_frees_the_pending_get_and_the_upgrade_switches() {
    let mut world = World::new().on(echo);
    let poller = world.poller();
    let session = world.session();
    world.poll(&poller);
    let ws = world.probe(&poller.sid);
    world.is_silent(poller.get);
    world.send(ws, text("2probe"));
    assert_eq!(world.texts(ws), ["3probe"]);
    assert_eq!(world.polled(&poller), "6");
    assert_eq!(world.engine.transport(session), Transport::Polling);
    world.send(ws, [text("5"), text("4over it")].concat());
    assert_eq!(world.engine.transport(session), Transport::WebSocket);
    assert_eq!(world.texts(ws), ["4over it"]);
    let told = [
        Told::Opened(session),
        Told::Upgraded(session),
        Told::Text(session, "over it".into()),
    ];
    assert_eq!(world.told, told);
    // The deadline of the probe is over.
    world.advance(15_000);
    assert!(world.is_open(ws));
}

#[test]
fn wire_2_3_1_a_get_after_the_probe_is_answered_with_a_noop() {
    let mut world = World::new();
    let poller = world.poller();
    let ws = world.probe(&poller.sid);
    world.send(ws, text("2probe"));
    assert_eq!(world.texts(ws), ["3probe"]);
    for _ in 0..3 {
        world.poll(&poller);
        world.advance(100);
        assert_eq!(world.polled(&poller), "6");
    }
    world.send(ws, text("5"));
    world.poll(&poller);
    world.answer(poller.get).is_error(400, BAD_REQUEST);
}

#[test]
fn wire_2_3_1_what_waited_goes_over_the_websocket_once() {
    let mut world = World::new();
    let poller = world.poller();
    let session = world.session();
    let ws = world.probe(&poller.sid);
    world.send(ws, text("2probe"));
    world.act(|engine| {
        engine.send_text(session, &[b"a"]);
        engine.send_binary(session, &[1]);
        let frame = engine.frame(false, &[b"b"]);
        engine.send_frame(session, &frame);
    });
    assert_eq!(world.texts(ws), ["3probe"]);
    world.send(ws, text("5"));
    let expected = [Frame::text("4a"), Frame::binary(&[1]), Frame::text("4b")];
    assert_eq!(world.frames(ws), expected);
    assert_eq!(world.stats().messages_out, 3);
    assert_eq!(world.stats().backlog_bytes, 0);
}

#[test]
fn wire_2_3_2_messages_flow_over_polling_while_the_websocket_is_tried() {
    let mut world = World::new().on(echo);
    let poller = world.poller();
    world.poll(&poller);
    let ws = world.probe(&poller.sid);
    world.post(&poller, "4a").is(200, "ok");
    assert_eq!(world.polled(&poller), "4a");
    world.send(ws, text("2probe"));
    assert_eq!(world.texts(ws), ["3probe"]);
    world.post(&poller, "4b").is(200, "ok");
    world.poll(&poller);
    assert_eq!(world.polled(&poller), "4b");
    world.send(ws, text("5"));
    assert_eq!(world.frames(ws), []);
}

#[test]
fn wire_2_3_2_only_the_probe_and_the_upgrade_are_legal_on_the_new_websocket() {
    let illegal = [
        text("4a"),
        text("2"),
        text("2prob"),
        text("3probe"),
        text(""),
        text("5"),
        binary(b"2probe"),
        binary(b"5"),
        frame(true, 0x3, ""),
        frame(true, 0x1, [0xFF]),
        close(Some(1000)),
    ];
    for bytes in illegal {
        let mut world = World::new().on(echo);
        let poller = world.poller();
        let ws = world.probe(&poller.sid);
        world.send(ws, [&bytes[..], &text("4b")].concat());
        assert_eq!(world.frames(ws)[0].opcode, 0x8, "{bytes:?}");
        world.send(ws, close(None));
        assert!(!world.is_open(ws));
        // The session lives on, and may try again.
        assert_eq!(world.reasons(), [], "{bytes:?}");
        world.post(&poller, "4c").is(200, "ok");
        assert_eq!(world.heard(), ["c"]);
        let ws = world.probe(&poller.sid);
        world.send(ws, [text("2probe"), text("5")].concat());
        assert_eq!(world.texts(ws), ["3probe", "4c"]);
    }
}

#[test]
fn wire_2_3_2_something_else_after_the_probe_ends_only_the_websocket() {
    let mut world = World::new().on(echo);
    let poller = world.poller();
    let ws = world.probe(&poller.sid);
    world.send(ws, [text("2probe"), text("2probe"), text("4a")].concat());
    let frames = [
        Frame::text("3probe"),
        Frame::text("3probe"),
        Frame::close(None),
    ];
    assert_eq!(world.frames(ws), frames);
    assert_eq!(world.heard(), [""; 0]);
    // GETs are parked again.
    world.poll(&poller);
    world.is_silent(poller.get);
    world.post(&poller, "4b").is(200, "ok");
    assert_eq!(world.polled(&poller), "4b");
}

#[test]
fn wire_2_3_3_the_time_for_an_upgrade_counts_from_its_101() {
    for has_probed in [false, true] {
        let mut world = World::new().on(echo);
        let poller = world.poller();
        let ws = world.probe(&poller.sid);
        world.advance(5_000);
        if has_probed {
            world.send(ws, text("2probe"));
            assert_eq!(world.texts(ws), ["3probe"]);
        }
        world.advance(4_900);
        assert_eq!(world.frames(ws), []);
        world.advance(200);
        assert_eq!(world.frames(ws), [Frame::close(None)]);
        world.send(ws, text("5"));
        assert_eq!(world.reasons(), []);
        world.post(&poller, "4a").is(200, "ok");
        world.poll(&poller);
        assert_eq!(world.polled(&poller), "4a");
        world.send(ws, close(None));
        let ws = world.probe(&poller.sid);
        world.send(ws, [text("2probe"), text("5")].concat());
        assert_eq!(world.texts(ws), ["3probe"]);
    }
}

#[test]
fn wire_2_3_4_a_second_websocket_is_opened_and_closed() {
    let mut world = World::new().on(echo);
    let poller = world.poller();
    let first = world.probe(&poller.sid);
    let second = world.probe(&poller.sid);
    assert_eq!(world.frames(second), [Frame::close(None)]);
    world.send(second, [text("2probe"), text("5"), close(None)].concat());
    assert_eq!(world.frames(second), []);
    assert!(!world.is_open(second));
    world.send(first, text("2probe"));
    world.send(first, text("5"));
    assert_eq!(world.texts(first), ["3probe"]);
    let third = world.probe(&poller.sid);
    assert_eq!(world.frames(third), [Frame::close(None)]);
    world.reset(third);
    world.send(first, text("4a"));
    assert_eq!(world.texts(first), ["4a"]);
    assert_eq!(world.reasons(), []);
}

#[test]
fn wire_2_3_4_a_session_that_began_as_a_websocket_takes_no_other() {
    let mut world = World::new().on(echo);
    let (ws, sid) = world.websocket();
    let second = world.probe(&sid);
    assert_eq!(world.frames(second), [Frame::close(None)]);
    world.send(ws, text("4a"));
    assert_eq!(world.texts(ws), ["4a"]);
}

#[test]
fn wire_2_3_4_an_upgrade_of_a_session_that_is_over_is_refused() {
    let mut world = World::new();
    let poller = world.poller();
    let session = world.session();
    world.act(|engine| engine.close(session));
    let ws = world.ask(upgrade_of(&websocket(&poller.sid)));
    world.answer(ws).is(400, "Session ID unknown");
    world.poll(&poller);
    assert_eq!(world.polled(&poller), "6\x1e1");
    let ws = world.ask(upgrade_of(&websocket(&poller.sid)));
    let answer = world.answer(ws);
    answer.is(400, "Session ID unknown");
    assert_eq!(answer.header("content-type"), Some("text/html"));
    assert_eq!(answer.header("connection"), Some("close"));
}

#[test]
fn wire_2_3_5_a_post_in_flight_finishes_after_the_switch() {
    let mut world = World::new().on(echo);
    let poller = world.poller();
    let post = post_of(&polling(&poller.sid), "4a\x1e4b");
    world.send(poller.post, &post[..post.len() - 3]);
    let ws = world.probe(&poller.sid);
    world.send(ws, [text("2probe"), text("5"), text("4c")].concat());
    assert_eq!(world.texts(ws), ["3probe", "4c"]);
    world.send(poller.post, &post[post.len() - 3..]);
    world.answer(poller.post).is(200, "ok");
    assert_eq!(world.texts(ws), ["4a", "4b"]);
    // Only that one.
    world.post(&poller, "4d").is_error(400, BAD_REQUEST);
    assert_eq!(world.reasons(), []);
}

#[test]
fn wire_2_3_5_a_post_broken_off_after_the_switch_harms_nobody() {
    let mut world = World::new().on(echo);
    let poller = world.poller();
    let post = post_of(&polling(&poller.sid), "4a");
    world.send(poller.post, &post[..post.len() - 1]);
    let ws = world.probe(&poller.sid);
    world.send(ws, [text("2probe"), text("5")].concat());
    world.reset(poller.post);
    world.send(ws, text("4b"));
    assert_eq!(world.texts(ws), ["3probe", "4b"]);
    assert_eq!(world.reasons(), []);
}

#[test]
fn wire_2_3_5_a_get_pending_at_the_switch_gets_a_noop() {
    let mut world = World::new();
    let poller = world.poller();
    let ws = world.probe(&poller.sid);
    // In one segment, so that the GET cannot be answered in between.
    world.send(ws, text("2probe"));
    assert_eq!(world.texts(ws), ["3probe"]);
    world.poll(&poller);
    world.send(ws, text("5"));
    assert_eq!(world.polled(&poller), "6");
    assert_eq!(world.reasons(), []);
}

#[test]
fn wire_2_3_6_the_heartbeat_goes_on_through_the_switch() {
    let mut world = World::brisk();
    let poller = world.poller();
    world.poll(&poller);
    world.advance(320);
    assert_eq!(world.polled(&poller), "2");
    let ws = world.probe(&poller.sid);
    world.send(ws, [text("2probe"), text("5"), text("3")].concat());
    assert_eq!(world.texts(ws), ["3probe"]);
    for _ in 0..4 {
        world.advance(330);
        assert_eq!(world.texts(ws), ["2"]);
        world.send(ws, text("3"));
    }
    world.advance(600);
    assert_eq!(world.reasons(), [Reason::PingTimeout]);
}

#[test]
fn wire_2_3_6_a_ping_that_was_queued_goes_over_the_websocket() {
    let mut world = World::brisk();
    let poller = world.poller();
    let ws = world.probe(&poller.sid);
    world.send(ws, text("2probe"));
    world.advance(320);
    world.send(ws, text("5"));
    assert_eq!(world.texts(ws), ["3probe", "2"]);
    world.send(ws, text("3"));
    world.advance(310);
    assert_eq!(world.texts(ws), ["2"]);
    assert_eq!(world.reasons(), []);
}

#[test]
fn wire_2_3_6_a_silent_prober_dies_of_the_heartbeat() {
    let mut world = World::brisk();
    let poller = world.poller();
    world.poll(&poller);
    let ws = world.probe(&poller.sid);
    world.advance(600);
    assert_eq!(world.reasons(), [Reason::PingTimeout]);
    assert_eq!(world.polled(&poller), "2");
    assert_eq!(world.frames(ws), [Frame::close(None)]);
}

#[test]
fn closing_a_session_closes_the_websocket_it_tries() {
    let close: fn(&mut Engine, SessionKey) = |engine, session| {
        engine.close(session);
    };
    let discard: fn(&mut Engine, SessionKey) = |engine, session| {
        engine.discard(session, Reason::ForcedClose);
    };
    // Closed in order while no GET waits, the client is told over whichever it asks next.
    for (command, is_pending) in [(close, true), (discard, false), (discard, true)] {
        let mut world = World::new();
        let poller = world.poller();
        let session = world.session();
        let ws = world.probe(&poller.sid);
        if is_pending {
            world.poll(&poller);
        }
        world.act(|engine| command(engine, session));
        assert_eq!(world.frames(ws), [Frame::close(None)]);
        if is_pending {
            assert_eq!(world.polled(&poller), "1");
        }
        world.send(ws, [text("2probe"), text("5")].concat());
        assert_eq!(world.frames(ws), []);
    }
}

#[test]
fn losing_the_websocket_that_is_tried_leaves_the_session() {
    for leave in [World::end, World::reset] {
        let mut world = World::new().on(echo);
        let poller = world.poller();
        world.poll(&poller);
        let ws = world.probe(&poller.sid);
        world.send(ws, text("2probe"));
        leave(&mut world, ws);
        assert!(world.is_gone(ws));
        assert_eq!(world.polled(&poller), "6");
        world.poll(&poller);
        world.post(&poller, "4a").is(200, "ok");
        assert_eq!(world.polled(&poller), "4a");
        assert_eq!(world.reasons(), []);
    }
}

#[test]
fn losing_the_websocket_after_the_switch_closes_the_session() {
    let mut world = World::new();
    let (poller, ws) = world.upgraded();
    world.end(ws);
    assert_eq!(world.reasons(), [Reason::TransportClose]);
    world.poll(&poller);
    world.answer(poller.get).is_error(400, UNKNOWN_SID);
}

#[test]
fn the_connections_that_polled_may_go_after_the_switch() {
    let mut world = World::new().on(echo);
    let (poller, ws) = world.upgraded();
    world.end(poller.get);
    world.end(poller.post);
    world.send(ws, text("4a"));
    assert_eq!(world.texts(ws), ["4a"]);
}

#[test]
fn wire_2_1_13_base64_is_asked_for_by_the_request_of_the_upgrade() {
    let mut world = World::new().on(echo);
    let poller = world.poller();
    let session = world.session();
    let target = format!("{}&b64=1", websocket(&poller.sid));
    let ws = world.ask(upgrade_of(&target));
    world.answer(ws);
    world.send(ws, text("2probe"));
    world.act(|engine| engine.send_binary(session, &[1, 2]));
    world.send(ws, [text("5"), binary(&[3])].concat());
    assert_eq!(world.texts(ws), ["3probe", "bAQI=", "bAw=="]);
}

#[test]
fn an_upgrade_pipelined_behind_a_post_follows_its_answer() {
    let mut world = World::new().on(echo);
    let poller = world.poller();
    let post = post_of(&polling(&poller.sid), "4a");
    let upgrade = upgrade_of(&websocket(&poller.sid)).into_bytes();
    let frames = [text("2probe"), text("5")].concat();
    world.send(poller.post, [post, upgrade, frames].concat());
    world.answer(poller.post).is(200, "ok");
    assert_eq!(world.answer(poller.post).status, 101);
    assert_eq!(world.texts(poller.post), ["3probe", "4a"]);
}

#[test]
fn an_upgrade_pipelined_behind_a_pending_get_waits_for_its_answer() {
    let mut world = World::new().on(echo);
    let poller = world.poller();
    let get = get_of(&polling(&poller.sid)).into_bytes();
    let upgrade = upgrade_of(&websocket(&poller.sid)).into_bytes();
    let frames = [text("2probe"), text("5"), text("4b")].concat();
    world.send(poller.get, [get, upgrade, frames].concat());
    world.is_silent(poller.get);
    world.post(&poller, "4a").is(200, "ok");
    assert_eq!(world.polled(&poller), "4a");
    assert_eq!(world.answer(poller.get).status, 101);
    assert_eq!(world.texts(poller.get), ["3probe", "4b"]);
    assert_eq!(world.reasons(), []);
}

#[test]
fn upgrades_that_are_not_offered_are_honoured() {
    let mut world = World::with(Config {
        allow_upgrades: false,
        ..Config::default()
    });
    let (_, ws) = world.upgraded();
    assert!(world.is_open(ws));
}

#[test]
fn an_upgrade_is_the_same_however_it_is_cut() {
    is_the_same_however_cut(
        || World::new().on(echo),
        |world| {
            let poller = world.poller();
            world.poll(&poller);
            let upgrade = upgrade_of(&websocket(&poller.sid)).into_bytes();
            let ws = world.ask([upgrade, text("2probe")].concat());
            let answers = [world.answer(ws), world.answer(poller.get)];
            world.post(&poller, "4a").is(200, "ok");
            world.send(ws, [text("5"), text("4b"), binary(&[1])].concat());
            (answers, world.frames(ws), world.take_told())
        },
    );
}

#[test]
fn a_session_that_is_closed_while_its_client_moves_is_told_on_the_websocket() {
    let mut world = World::new();
    let poller = world.poller();
    let session = world.session();
    let ws = world.probe(&poller.sid);
    world.send(ws, text("2probe"));
    assert_eq!(world.texts(ws), ["3probe"]);
    world.act(|engine| engine.send_text(session, &[b"last words"]));
    let is_done = world.act(|engine| engine.close(session));
    assert!(!is_done);
    // The client has stopped polling, so that no GET will ever come.
    world.send(ws, text("5"));
    let frames = world.frames(ws);
    assert_eq!(frames[0].payload, b"4last words");
    assert_eq!(frames[1..], [Frame::close(None)]);
    assert_eq!(world.reasons(), [Reason::ForcedClose]);
}
