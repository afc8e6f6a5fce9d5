//! Long-polling against the engine's low road: spec 2.1, one test a line, and how polling sessions
//! close and die.

mod common;

use common::*;
use emio::{Config, Reason};

const OK: &str = "ok";
const UNKNOWN_SID: &str = r#"{"code":1,"message":"Session ID unknown"}"#;
const BAD_REQUEST: &str = r#"{"code":3,"message":"Bad request"}"#;

#[test]
fn wire_2_1_1_each_message_comes_as_the_packet_of_its_kind() {
    let mut world = World::new().on(echo);
    let poller = world.poller();
    assert_eq!(world.post(&poller, "4hello\x1ebAQIDBA==\x1e4").text(), OK);
    assert_eq!(world.heard(), ["hello", "[1, 2, 3, 4]", ""]);
    world.poll(&poller);
    assert_eq!(world.polled(&poller), "4hello\x1ebAQIDBA==\x1e4");
    // Unpadded, as some clients write it, and empty.
    assert_eq!(world.post(&poller, "bAQI\x1eb").text(), OK);
    world.poll(&poller);
    assert_eq!(world.polled(&poller), "bAQI=\x1eb");
}

#[test]
fn wire_2_1_1_idle_packets_are_ignored() {
    let mut world = World::new();
    let poller = world.poller();
    assert_eq!(world.post(&poller, "6\x1e0{}\x1e5\x1e3\x1e4a").text(), OK);
    assert_eq!(world.heard(), ["a"]);
    assert_eq!(world.reasons(), []);
}

#[test]
fn wire_2_1_2_the_packets_before_a_bad_one_are_heard() {
    for bad in [
        "4a\x1eabc",
        "4a\x1e",
        "4a\x1e\x1e4b",
        "4a\x1e7\x1e4b",
        "4a\x1eb*\x1e4b",
    ] {
        let mut world = World::new();
        let poller = world.poller();
        world.post(&poller, bad).is(400, "");
        assert_eq!(world.heard(), ["a"], "{bad:?}");
        assert_eq!(world.reasons(), [Reason::ParseError], "{bad:?}");
    }
}

#[test]
fn wire_2_1_2_an_empty_body_is_a_bad_packet() {
    let mut world = World::new();
    let poller = world.poller();
    world.poll(&poller);
    world.post(&poller, "").is(400, "");
    assert_eq!(world.polled(&poller), "1");
    assert_eq!(world.reasons(), [Reason::ParseError]);
}

#[test]
fn wire_2_1_2_text_that_is_no_utf8_is_a_bad_packet() {
    let mut world = World::new();
    let poller = world.poller();
    world.post(&poller, b"4a\x1e4\xff\x1e4b").is(400, "");
    assert_eq!(world.heard(), ["a"]);
    assert_eq!(world.reasons(), [Reason::ParseError]);
}

#[test]
fn wire_2_1_3_a_bad_post_is_answered_and_the_connection_serves_on() {
    let mut world = World::new();
    let poller = world.poller();
    world.post(&poller, "abc").is(400, "");
    world.send(poller.post, get_of(&polling(&poller.sid)));
    world.answer(poller.post).is_error(400, UNKNOWN_SID);
}

#[test]
fn wire_2_1_4_the_handshake_tells_the_terms() {
    let mut world = World::new();
    let client = world.ask(get_of(&polling("")));
    let answer = world.answer(client);
    let sid = sid_of(answer.text());
    let terms = r#""pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000}"#;
    let open = format!(r#"0{{"sid":"{sid}","upgrades":["websocket"],{terms}"#);
    answer.is(200, &open);
    assert_eq!(
        answer.header("content-type"),
        Some("text/plain; charset=UTF-8")
    );
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert_eq!(answer.header("x-xss-protection"), None);
    assert_eq!(answer.header("access-control-allow-origin"), None);
    assert_eq!(answer.header("set-cookie"), None);
}

#[test]
fn wire_2_1_4_no_upgrade_is_offered_where_none_is_allowed() {
    let mut only_polling = Config::default();
    only_polling.transports.websocket = false;
    let not_allowed = Config {
        allow_upgrades: false,
        ..Config::default()
    };
    for config in [only_polling, not_allowed] {
        let mut world = World::with(config);
        let client = world.ask(get_of(&polling("")));
        let answer = world.answer(client);
        assert!(answer.text().contains(r#""upgrades":[],"#), "{answer:?}");
    }
}

#[test]
fn wire_2_1_5_a_binary_body_is_refused_and_the_session_closed() {
    let mut world = World::new();
    let poller = world.poller();
    world.poll(&poller);
    let octets = "Content-Type: application/octet-stream\r\n";
    let post = post_with(&polling(&poller.sid), octets, "4a");
    world.send(poller.post, post);
    world.answer(poller.post).is(400, "");
    assert_eq!(world.polled(&poller), "1");
    assert_eq!(world.heard(), [""; 0]);
    assert_eq!(world.reasons(), [Reason::TransportError]);
}

#[test]
fn wire_2_1_6_a_body_that_is_too_large_leaves_the_session_open() {
    let mut world = World::with(Config {
        max_payload: 10,
        ..Config::default()
    });
    let poller = world.poller();
    world.post(&poller, "4123456789").is(200, OK);
    world.post(&poller, "41234567890").is(413, "");
    assert!(!world.is_open(poller.post), "the rest is not read");
    let client = world.ask(chunked_of(&polling(&poller.sid), &["4123", "456789"]));
    world.answer(client).is(200, OK);
    let client = world.ask(chunked_of(&polling(&poller.sid), &["4123", "4567890"]));
    world.answer(client).is(413, "");
    // Refused by the second chunk's size, after the first was waited for.
    let target = polling(&poller.sid);
    let client = world.ask(request("POST", &target, "Transfer-Encoding: chunked\r\n"));
    world.send(client, "4\r\n4123\r\n");
    world.is_silent(client);
    world.send(client, "7fffffff\r\n");
    world.answer(client).is(413, "");
    world.post(&poller, "4still").is(200, OK);
    assert_eq!(world.heard(), ["123456789", "123456789", "still"]);
    assert_eq!(world.reasons(), []);
}

#[test]
fn wire_2_1_7_a_second_get_is_refused_and_the_first_hears_the_end() {
    let mut world = World::new();
    let poller = world.poller();
    world.poll(&poller);
    let second = world.ask(get_of(&polling(&poller.sid)));
    world.answer(second).is(400, "");
    assert_eq!(world.polled(&poller), "1");
    assert_eq!(world.reasons(), [Reason::TransportError]);
    world.poll(&poller);
    world.answer(poller.get).is_error(400, UNKNOWN_SID);
}

#[test]
fn wire_2_1_7_a_second_post_is_refused_and_closes_the_session() {
    let mut world = World::new();
    let poller = world.poller();
    world.poll(&poller);
    let post = post_of(&polling(&poller.sid), "4slow");
    world.send(poller.post, &post[..post.len() - 1]);
    let second = world.ask(post_of(&polling(&poller.sid), "4fast"));
    world.answer(second).is(400, "");
    assert_eq!(world.polled(&poller), "1");
    assert_eq!(world.reasons(), [Reason::TransportError]);
    // What the first was about to say is for nobody.
    world.send(poller.post, "w");
    assert_eq!(world.answer(poller.post).status, 400);
    assert_eq!(world.heard(), [""; 0]);
}

#[test]
fn wire_2_1_7_requests_in_one_connection_do_not_overlap() {
    let mut world = World::new().on(echo);
    let poller = world.poller();
    let get = get_of(&polling(&poller.sid));
    world.send(poller.get, get.repeat(2));
    world.is_silent(poller.get);
    world.post(&poller, "4a").is(200, OK);
    assert_eq!(world.polled(&poller), "4a");
    world.is_silent(poller.get);
    world.post(&poller, "4b").is(200, OK);
    assert_eq!(world.polled(&poller), "4b");
    assert_eq!(world.reasons(), []);
}

#[test]
fn wire_2_1_8_a_pending_get_takes_the_session_with_it() {
    for leave in [World::end, World::reset] {
        let mut world = World::new();
        let poller = world.poller();
        world.poll(&poller);
        leave(&mut world, poller.get);
        assert!(world.is_gone(poller.get));
        assert_eq!(world.reasons(), [Reason::TransportError]);
        world.post(&poller, "4a").is_error(400, UNKNOWN_SID);
    }
}

#[test]
fn wire_2_1_8_a_post_broken_off_takes_the_session_with_it() {
    for leave in [World::end, World::reset] {
        let mut world = World::new();
        let poller = world.poller();
        let post = post_of(&polling(&poller.sid), "4a");
        world.send(poller.post, &post[..post.len() - 1]);
        leave(&mut world, poller.post);
        assert_eq!(world.reasons(), [Reason::TransportError]);
    }
}

#[test]
fn wire_2_1_8_connections_may_go_between_requests() {
    let mut world = World::new().on(echo);
    let poller = world.poller();
    world.post(&poller, "4a").is(200, OK);
    world.end(poller.get);
    world.reset(poller.post);
    let next = Poller {
        get: world.connect(),
        post: world.connect(),
        ..poller
    };
    world.poll(&next);
    assert_eq!(world.polled(&next), "4a");
    assert_eq!(world.reasons(), []);
}

#[test]
fn wire_2_1_9_a_client_that_leaves_gets_a_noop() {
    let mut world = World::new();
    let poller = world.poller();
    world.poll(&poller);
    world.post(&poller, "4a\x1e1\x1e4b").is(200, OK);
    assert_eq!(world.polled(&poller), "6");
    assert_eq!(world.heard(), ["a"]);
    assert_eq!(world.reasons(), [Reason::TransportClose]);
    world.poll(&poller);
    world.answer(poller.get).is_error(400, UNKNOWN_SID);
}

#[test]
fn wire_2_1_10_a_pending_get_is_told_of_the_close() {
    let mut world = World::new();
    let poller = world.poller();
    world.poll(&poller);
    let session = world.session();
    assert!(world.act(|engine| engine.close(session)), "at once");
    assert_eq!(world.polled(&poller), "1");
    assert_eq!(world.reasons(), [Reason::ForcedClose]);
}

#[test]
fn wire_2_1_10_the_next_get_is_told_of_the_close() {
    let mut world = World::new();
    let poller = world.poller();
    let session = world.session();
    assert!(!world.act(|engine| engine.close(session)), "it waits");
    assert_eq!(world.reasons(), []);
    assert!(!world.act(|engine| engine.close(session)), "it waits still");
    // Received packets are ignored, and what is sent is dropped.
    world.act(|engine| engine.send_text(session, &[b"late"]));
    world.post(&poller, "4a").is(200, OK);
    assert_eq!(world.heard(), [""; 0]);
    world.poll(&poller);
    assert_eq!(world.polled(&poller), "6\x1e1");
    assert_eq!(world.reasons(), [Reason::ForcedClose]);
    world.poll(&poller);
    world.answer(poller.get).is_error(400, UNKNOWN_SID);
}

#[test]
fn wire_2_1_10_what_was_sent_before_the_close_arrives_first() {
    let mut world = World::with(Config {
        packets_per_answer_max: 2,
        ..Config::default()
    });
    let poller = world.poller();
    let session = world.session();
    for text in ["a", "b", "c"] {
        world.act(|engine| engine.send_text(session, &[text.as_bytes()]));
    }
    world.act(|engine| engine.close(session));
    world.poll(&poller);
    assert_eq!(world.polled(&poller), "4a\x1e4b");
    world.poll(&poller);
    assert_eq!(world.polled(&poller), "4c");
    assert_eq!(world.reasons(), []);
    // The official client would forget messages that share a payload with the close packet.
    world.poll(&poller);
    assert_eq!(world.polled(&poller), "6\x1e1");
    assert_eq!(world.reasons(), [Reason::ForcedClose]);
}

#[test]
fn wire_2_1_10_a_client_that_does_not_ask_is_forgotten() {
    let mut world = World::new();
    world.poller();
    let session = world.session();
    world.act(|engine| engine.close(session));
    world.advance(9_900);
    assert_eq!(world.reasons(), []);
    world.advance(200);
    assert_eq!(world.reasons(), [Reason::ForcedClose]);
}

#[test]
fn wire_2_1_10_a_close_in_a_handler_is_heard_by_the_packets_behind_it() {
    let mut world = World::new().on(|engine, told| {
        if let Told::Text(session, text) = told {
            engine.send_text(*session, &[b"bye"]);
            assert_eq!(text, "close me");
            engine.close(*session);
        }
    });
    let poller = world.poller();
    world.post(&poller, "4close me\x1e4more").is(200, OK);
    assert_eq!(world.heard(), ["close me"]);
    world.poll(&poller);
    assert_eq!(world.polled(&poller), "4bye");
    world.poll(&poller);
    assert_eq!(world.polled(&poller), "6\x1e1");
}

#[test]
fn wire_2_1_10_discarding_waits_for_nothing() {
    let mut world = World::new();
    let poller = world.poller();
    let session = world.session();
    world.act(|engine| engine.discard(session, Reason::ServerShuttingDown));
    assert_eq!(world.reasons(), [Reason::ServerShuttingDown]);
    world.poll(&poller);
    world.answer(poller.get).is_error(400, UNKNOWN_SID);
}

#[test]
fn wire_2_1_11_an_empty_message_is_a_message() {
    let mut world = World::new().on(echo);
    let poller = world.poller();
    world.post(&poller, "4").is(200, OK);
    assert_eq!(world.heard(), [""]);
    world.poll(&poller);
    assert_eq!(world.polled(&poller), "4");
}

#[test]
fn wire_2_1_12_a_request_must_name_the_transport_of_its_session() {
    let mut world = World::new();
    let poller = world.poller();
    world.send(poller.get, get_of(&websocket(&poller.sid)));
    world.answer(poller.get).is_error(400, BAD_REQUEST);
    let post = post_of(&websocket(&poller.sid), "4a");
    world.send(poller.post, post);
    world.answer(poller.post).is_error(400, BAD_REQUEST);
    assert_eq!(world.reasons(), []);

    let (poller, _) = world.upgraded();
    world.poll(&poller);
    world.answer(poller.get).is_error(400, BAD_REQUEST);
    world.post(&poller, "4a").is_error(400, BAD_REQUEST);
    assert_eq!(world.reasons(), []);
}

#[test]
fn wire_2_1_14_a_session_id_has_twenty_characters_and_belongs_to_one_session() {
    let mut world = World::new();
    let sids: Vec<_> = (0..5).map(|_| world.poller().sid).collect();
    for (at, sid) in sids.iter().enumerate() {
        assert_eq!(sid.len(), 20);
        let is_url_safe = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
        assert!(sid.bytes().all(is_url_safe), "{sid}");
        assert!(!sids[..at].contains(sid), "{sid}");
    }
}

#[test]
fn wire_2_1_15_a_guessed_session_id_is_unknown() {
    let mut world = World::new();
    let sid = world.poller().sid;
    let last = if sid.ends_with('A') { "B" } else { "A" };
    let first = if sid.starts_with('A') { "B" } else { "A" };
    let guesses = [
        format!("{first}{}", &sid[1..]),
        format!("{}{last}", &sid[..19]),
        sid[..19].to_owned(),
        format!("{sid}A"),
        "x".to_owned(),
    ];
    for guess in guesses {
        let client = world.ask(get_of(&polling(&guess)));
        world.answer(client).is_error(400, UNKNOWN_SID);
    }
}

#[test]
fn wire_2_1_15_the_id_of_a_closed_session_is_not_that_of_its_successor() {
    let mut world = World::new();
    let old = world.poller();
    world.post(&old, "1").is(200, OK);
    let new = world.poller();
    world.poll(&old);
    world.answer(old.get).is_error(400, UNKNOWN_SID);
    world.post(&new, "4a").is(200, OK);
    assert_eq!(world.heard(), ["a"]);
}

#[test]
fn wire_2_1_16_one_connection_serves_posts_and_gets_in_their_order() {
    let mut world = World::new().on(echo);
    let client = world.connect();
    let poller = world.poller_on(client, client);
    let target = polling(&poller.sid);
    let both = [
        &post_of(&target, "4a\x1e4b")[..],
        get_of(&target).as_bytes(),
    ]
    .concat();
    world.send(client, &both);
    let answer = world.answer(client);
    answer.is(200, OK);
    assert_eq!(answer.header("content-type"), Some("text/html"));
    assert_eq!(answer.header("content-length"), Some("2"));
    assert_eq!(world.polled(&poller), "4a\x1e4b");
    world.send(client, both.repeat(3));
    let answers = world.answers(client);
    let bodies: Vec<_> = answers.iter().map(|answer| answer.text()).collect();
    assert_eq!(bodies, ["ok", "4a\x1e4b"].repeat(3));
}

#[test]
fn what_is_sent_in_one_turn_leaves_in_one_answer() {
    let mut world = World::new();
    let poller = world.poller();
    let session = world.session();
    world.poll(&poller);
    world.act(|engine| {
        engine.send_text(session, &[b"a", b"", b"bc"]);
        engine.send_binary(session, &[255]);
        let frame = engine.frame(false, &[b"d"]);
        engine.send_frame(session, &frame);
    });
    assert_eq!(world.polled(&poller), "4abc\x1eb/w==\x1e4d");
    world.is_silent(poller.get);
}

#[test]
fn a_frame_for_many_reaches_each_in_its_form() {
    let mut world = World::new();
    let poller = world.poller();
    let polls = world.session();
    let (ws, _) = world.websocket();
    let has_websocket = world.session();
    world.poll(&poller);
    world.act(|engine| {
        let frames = [
            engine.frame(true, &[&[1], &[2]]),
            engine.frame(false, &[b"x"]),
        ];
        for frame in frames {
            engine.send_frame(polls, &frame);
            engine.send_frame(has_websocket, &frame);
        }
    });
    assert_eq!(world.polled(&poller), "bAQI=\x1e4x");
    assert_eq!(
        world.frames(ws),
        [Frame::binary(&[1, 2]), Frame::text("4x")]
    );
}

#[test]
fn an_answer_has_at_most_sixteen_packets() {
    let mut world = World::new();
    let poller = world.poller();
    let session = world.session();
    world.act(|engine| (0..20).for_each(|_| engine.send_text(session, &[b"x"])));
    world.poll(&poller);
    assert_eq!(world.polled(&poller).split('\x1e').count(), 16);
    world.poll(&poller);
    assert_eq!(world.polled(&poller).split('\x1e').count(), 4);
}

#[test]
fn old_internet_explorers_are_told_not_to_guess() {
    let mut world = World::new();
    for agent in ["Mozilla/5.0 (compatible;MSIE 9.0)", "Trident/7.0; rv:11.0"] {
        let headers = format!("User-Agent: {agent}\r\n");
        let client = world.ask(request("GET", &polling(""), &headers));
        let answer = world.answer(client);
        assert_eq!(answer.header("x-xss-protection"), Some("0"), "{agent}");
    }
}

#[test]
fn wire_2_4_the_server_pings_and_only_a_pong_counts() {
    let mut world = World::brisk();
    let poller = world.poller();
    world.poll(&poller);
    world.advance(260);
    world.is_silent(poller.get);
    world.advance(30);
    assert_eq!(world.polled(&poller), "2");
    world.post(&poller, "3").is(200, OK);
    world.poll(&poller);
    world.advance(310);
    assert_eq!(world.polled(&poller), "2");
    // Messages are no sign of life.
    world.poll(&poller);
    world.advance(150);
    world.post(&poller, "4a").is(200, OK);
    world.advance(80);
    assert_eq!(world.polled(&poller), "1");
    assert_eq!(world.reasons(), [Reason::PingTimeout]);
}

#[test]
fn wire_2_4_a_ping_that_nobody_fetches_is_not_answered_either() {
    let mut world = World::brisk();
    let poller = world.poller();
    world.advance(460);
    assert_eq!(world.reasons(), []);
    // No later than interval and timeout after the opening.
    world.advance(40);
    assert_eq!(world.reasons(), [Reason::PingTimeout]);
    world.poll(&poller);
    world.answer(poller.get).is_error(400, UNKNOWN_SID);
}

#[test]
fn wire_2_4_an_interval_shorter_than_the_timeout_still_waits_the_timeout() {
    let mut world = World::with(Config {
        ping_interval: ms(100),
        ping_timeout: ms(500),
        ..Config::default()
    });
    let poller = world.poller();
    world.poll(&poller);
    world.advance(120);
    assert_eq!(world.polled(&poller), "2");
    world.advance(450);
    assert_eq!(world.reasons(), []);
    world.post(&poller, "3").is(200, OK);
    world.poll(&poller);
    world.advance(200);
    assert_eq!(world.polled(&poller), "2", "and it goes on");
    world.advance(320);
    assert_eq!(world.reasons(), [], "until 500 ms after that ping");
    world.advance(20);
    assert_eq!(world.reasons(), [Reason::PingTimeout]);
}

#[test]
fn wire_2_4_a_ping_over_polling_is_in_the_wrong_direction() {
    let mut world = World::new();
    let poller = world.poller();
    world.post(&poller, "2\x1e4a");
    assert_eq!(world.heard(), [""; 0]);
    assert_eq!(world.reasons(), [Reason::TransportError]);
}

#[test]
fn a_heartbeat_may_go_on_for_an_hour() {
    let mut world = World::new();
    let poller = world.poller();
    let mut pings = 0;
    world.poll(&poller);
    for _ in 0..3_600 {
        world.advance(1_000);
        // Asked once a second, so a parked GET answers almost at once.
        if let [answer] = &world.answers(poller.get)[..] {
            assert_eq!(answer.text(), "2");
            pings += 1;
            world.post(&poller, "3").is(200, OK);
            world.poll(&poller);
        }
    }
    assert_eq!(world.reasons(), []);
    assert!((143..=144).contains(&pings), "{pings}");
}

#[test]
fn shutting_down_tells_those_who_wait() {
    let mut world = World::new();
    let waits = world.poller();
    world.poll(&waits);
    let idle = world.poller();
    let asking = world.connect();
    world.act(|engine| engine.shut_down());
    let answer = world.answer(waits.get);
    answer.is(200, "1");
    assert_eq!(answer.header("connection"), Some("close"));
    for client in [waits.get, waits.post, idle.get, asking] {
        assert!(!world.is_open(client));
    }
    assert_eq!(world.reasons(), [Reason::ServerShuttingDown; 2]);
    let late = world.ask(get_of(&polling("")));
    assert_eq!(world.answer(late).status, 503);
}

#[test]
fn a_polling_conversation_is_the_same_however_it_is_cut() {
    is_the_same_however_cut(
        || World::new().on(echo),
        |world| {
            let poller = world.poller();
            let target = polling(&poller.sid);
            world.poll(&poller);
            world.post(&poller, "4a\x1ebAQID\x1e4");
            let bodies = [world.polled(&poller)];
            world.send(
                poller.post,
                chunked_of(&target, &["4ch", "unk\x1e4s", "\x1eb/w"]),
            );
            let answer = world.answer(poller.post);
            world.poll(&poller);
            let more = world.polled(&poller);
            let last = world.post(&poller, "4b\x1ex");
            let told = world.take_told();
            (bodies, answer, more, last, told)
        },
    );
}
