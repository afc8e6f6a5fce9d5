//! What a server may be told about the protocol's answers, and what it tells of them: cookie, first
//! packet, headers, ids (spec 1.1 and 1.5), refusals, what happens to sessions, and counters.

mod common;

use common::*;
use emio::{
    BadRequest, Census, Config, ConnectionContext, Cookie, Cors, Headers, Reason, Refusals,
    Response, SessionEvent, Transport, Transports,
    engine::{Denial, Engine, PacketKind, Welcome},
};

const HERE: &str = "https://here.example";

fn all_of<'a>(answer: &'a Answer, name: &str) -> Vec<&'a str> {
    let headers = answer.headers.iter();
    let named = headers.filter(|(is, _)| is.eq_ignore_ascii_case(name));
    named.map(|(_, value)| &**value).collect()
}

fn with(change: impl FnOnce(&mut Config)) -> World {
    let mut config = Config::default();
    change(&mut config);
    World::with(config)
}

#[test]
fn wire_1_1_the_cookie_comes_with_the_polling_handshake_only() {
    let mut world = with(|config| config.cookie = Some(Cookie::default())).on(echo);
    let client = world.ask(get_of(&polling("")));
    let answer = world.answer(client);
    let sid = sid_of(answer.text());
    let cookie = format!("io={sid}; Path=/; HttpOnly; SameSite=Lax");
    assert_eq!(all_of(&answer, "set-cookie"), [cookie]);
    for ask in [
        post_of(&polling(&sid), "4a"),
        get_of(&polling(&sid)).into(),
        upgrade_of(&websocket(&sid)).into(),
        upgrade_of(&websocket("")).into(),
        get_of("/elsewhere").into(),
        get_of(&polling("x")).into(),
    ] {
        let client = world.ask(ask);
        let answer = world.answer(client);
        assert_eq!(answer.header("set-cookie"), None, "{answer:?}");
    }
}

#[test]
fn wire_1_1_the_initial_packet_follows_the_open_packet() {
    let mut world = with(|config| config.initial_packet = Some("hi".into()));
    let client = world.ask(get_of(&polling("")));
    let answer = world.answer(client);
    let (open, initial) = answer.text().split_once('\x1e').expect("two packets");
    assert_eq!(initial, "4hi");
    assert!(open.starts_with("0{") && open.ends_with('}'), "{open}");
    let poller = Poller {
        sid: sid_of(open),
        get: client,
        post: world.connect(),
    };
    world.poll(&poller);
    world.is_silent(client);

    let ws = world.ask(upgrade_of(&websocket("")));
    assert_eq!(world.answer(ws).status, 101);
    let texts = world.texts(ws);
    assert_eq!((texts.len(), &*texts[1]), (2, "4hi"));
    assert_eq!(world.stats().messages_out, 2);
}

#[test]
fn wire_2_1_4_a_binary_initial_packet_has_the_form_that_the_client_takes() {
    let mut world = with(|config| config.initial_packet = Some(vec![1, 2, 3].into()));
    let client = world.ask(get_of(&polling("")));
    assert!(world.answer(client).text().ends_with("}\x1ebAQID"));
    let ws = world.ask(upgrade_of(&websocket("")));
    world.answer(ws);
    assert_eq!(world.frames(ws)[1..], [Frame::binary(&[1, 2, 3])]);
    let ws = world.ask(upgrade_of(&format!("{}&b64=1", websocket(""))));
    world.answer(ws);
    assert_eq!(world.frames(ws)[1..], [Frame::text("bAQID")]);
}

#[test]
fn configured_headers_are_on_every_answer_of_the_protocol() {
    let mut world = with(|config| {
        config.headers = vec![
            ("X-One".into(), "1".into()),
            ("X-Two".into(), "2\r\nX-Three: 3".into()),
            ("not a name".into(), "4".into()),
        ];
        config.cors = Some(Cors::any());
    })
    .on(echo);
    let poller = world.poller();
    for ask in [
        get_of(&polling("")).into(),
        post_of(&polling(&poller.sid), "4a"),
        get_of(&polling(&poller.sid)).into(),
        post_with(&polling(&poller.sid), "", "?"),
        get_of(&polling("x")).into(),
        get_of("/socket.io/").into(),
        request("OPTIONS", &polling(""), "").into(),
        upgrade_of(&websocket("")).into(),
        upgrade_of(&websocket("x")).into(),
        get_of("/socket.io/socket.io.js").into(),
    ] {
        let text = String::from_utf8_lossy(&ask).into_owned();
        let client = world.ask(ask);
        let answer = world.answer(client);
        assert_eq!(all_of(&answer, "x-one"), ["1"], "{text}");
        assert_eq!(all_of(&answer, "x-two"), ["2  X-Three: 3"], "{text}");
        assert_eq!(answer.header("not a name"), None);
    }
    let client = world.ask(get_of("/elsewhere"));
    assert_eq!(world.answer(client).header("x-one"), None);
}

/// A world that gives every handshake what `welcome` makes.
fn welcoming(
    welcome: impl Fn(&mut Headers) -> Result<Option<[u8; 11]>, Denial<'static>> + 'static,
) -> World {
    let mut world = World::new().on(move |engine, told| {
        if let Told::Opening(conn, serial) = told {
            let mut headers = Headers::default();
            let verdict = welcome(&mut headers).map(|secret| Welcome { headers, secret });
            engine.conclude(*conn, *serial, verdict);
        }
    });
    world.engine.judge_handshakes();
    world
}

#[test]
fn a_handshakes_answer_has_the_applications_headers() {
    let mut world = welcoming(|headers| {
        headers.append("Set-Cookie", "a=1").unwrap();
        headers.append("Set-Cookie", "b=2").unwrap();
        Ok(None)
    });
    let client = world.ask(get_of(&polling("")));
    let answer = world.answer(client);
    assert_eq!(all_of(&answer, "set-cookie"), ["a=1", "b=2"]);
    let sid = sid_of(answer.text());
    let post = world.connect();
    let poller = Poller {
        sid,
        get: client,
        post,
    };
    assert_eq!(world.post(&poller, "4a").header("set-cookie"), None);
    let ws = world.ask(upgrade_of(&websocket("")));
    let answer = world.answer(ws);
    assert_eq!(answer.status, 101);
    assert_eq!(all_of(&answer, "set-cookie"), ["a=1", "b=2"]);
    assert_eq!(world.texts(ws).len(), 1);
    let ws = world.ask(upgrade_of(&websocket(&poller.sid)));
    assert_eq!(world.answer(ws).header("set-cookie"), None);
}

#[test]
fn an_id_may_be_the_applications() {
    let mut world = welcoming(|_| Ok(Some([7; 11])));
    let client = world.ask(get_of(&polling("")));
    let sid = sid_of(world.answer(client).text());
    assert!(sid.starts_with("BwcHBwcHBwcHBw"), "{sid}");
    assert_eq!(sid.len(), 20);
    let post = world.connect();
    let poller = Poller {
        sid,
        get: client,
        post,
    };
    world.post(&poller, "4a").is(200, "ok");
}

#[test]
fn wire_1_5_a_handshake_without_an_id_is_a_bad_request() {
    let mut world = welcoming(|_| Err(Denial::NoId));
    world.engine.tell_refusals();
    let client = world.ask(get_of(&polling("")));
    let bad = r#"{"code":3,"message":"Bad request"}"#;
    world.answer(client).is_error(400, bad);
    let ws = world.ask(upgrade_of(&websocket("")));
    world.answer(ws).is(400, "Bad request");
    for error in refusals(&world) {
        let context = ConnectionContext::BadRequest(BadRequest::IdGeneration);
        assert_eq!((error.0, error.1), (3, context));
    }
    assert_eq!(refusals(&world).len(), 2);
    assert_eq!(world.stats().sessions_opened, 0);
}

#[test]
fn wire_1_8_an_origin_may_be_judged_by_a_function() {
    let cors = Cors::origins_if(|origin| origin.ends_with("//here.example"));
    let mut world = with(|config| config.cors = Some(cors));
    for (origin, named) in [(HERE, Some(HERE)), ("https://there.example", None)] {
        let origin = format!("Origin: {origin}\r\n");
        let client = world.ask(request("GET", &polling(""), &origin));
        let answer = world.answer(client);
        assert_eq!(answer.header("access-control-allow-origin"), named);
        assert_eq!(answer.header("vary"), Some("Origin"));
    }
}

#[test]
fn wire_1_8_a_preflight_may_be_the_applications_to_answer() {
    let cors = Cors::origins([HERE]).preflight_continue(true).max_age(60);
    let mut world = with(|config| config.cors = Some(cors)).on(|engine, told| {
        if let Told::Request(conn, serial, head, body) = told {
            assert!(head.starts_with("OPTIONS /socket.io/?"), "{head}");
            assert_eq!(body, b"");
            engine.respond(*conn, *serial, Response::text("mine"));
        }
    });
    let asked = format!("Origin: {HERE}\r\nAccess-Control-Request-Headers: x-a\r\n");
    let client = world.ask(request("OPTIONS", &polling(""), &asked));
    let answer = world.answer(client);
    answer.is(200, "mine");
    for (name, value) in [
        ("access-control-allow-origin", HERE),
        ("access-control-allow-headers", "x-a"),
        ("access-control-max-age", "60"),
        ("vary", "Origin, Access-Control-Request-Headers"),
    ] {
        assert_eq!(all_of(&answer, name), [value]);
    }
    // What follows on the same connection is an ordinary answer again.
    world.send(client, request("GET", &polling(""), &asked));
    let answer = world.answer(client);
    assert_eq!(answer.header("access-control-allow-origin"), Some(HERE));
    assert_eq!(answer.header("access-control-max-age"), None);
}

/// Code, context, method and URL of the refusals that were told.
fn refusals(world: &World) -> Vec<(u8, ConnectionContext, String, String)> {
    let refused = world.told.iter().filter_map(|told| match told {
        Told::Refused(error) => Some((
            error.code(),
            error.context().clone(),
            error.method().to_owned(),
            error.request().url().to_owned(),
        )),
        _ => None,
    });
    refused.collect()
}

#[test]
fn wire_1_5_a_refusal_is_told_with_its_context() {
    use ConnectionContext::{Method, Protocol, Sid};
    let mismatch =
        |transport| ConnectionContext::BadRequest(BadRequest::TransportMismatch(transport));
    let handshake = || ConnectionContext::BadRequest(BadRequest::TransportHandshake);
    let unknown = |name: &str| ConnectionContext::Transport(name.to_owned());
    let mut world = World::new().on(echo);
    world.engine.tell_refusals();
    let poller = world.poller();
    let (_, upgraded) = world.websocket();
    let table = [
        ("GET", "EIO=4", 0, unknown("")),
        ("GET", "EIO=4&transport=tobi", 0, unknown("tobi")),
        ("PUT", "EIO=4&transport=polling", 2, Method("PUT".into())),
        (
            "POST",
            "EIO=4&transport=polling&sid=x%20y",
            1,
            Sid("x y".into()),
        ),
        ("GET", "EIO=4&transport=websocket", 3, handshake()),
        ("GET", "EIO=3&transport=polling", 5, Protocol(3)),
        (
            "GET",
            &format!("transport=websocket&sid={}", poller.sid),
            3,
            mismatch(Transport::Polling),
        ),
        (
            "GET",
            &format!("transport=polling&sid={upgraded}"),
            3,
            mismatch(Transport::WebSocket),
        ),
    ];
    for (method, query, code, context) in table {
        world.take_told();
        let url = format!("/socket.io/?{query}");
        let client = world.ask(request(method, &url, "X-Test: yes\r\n"));
        assert_eq!(world.answer(client).status, 400);
        let told = world.take_told();
        let [Told::Refused(error)] = &told[..] else {
            panic!("{told:?}")
        };
        assert_eq!((error.code(), error.context()), (code, &context), "{query}");
        assert_eq!((error.method(), error.request().url()), (method, &*url));
        assert_eq!(error.request().header("x-test"), Some("yes"));
        assert_eq!(error.request().address().to_string(), "127.0.0.1");
    }
    let client = world.ask(upgrade_of("/socket.io/?EIO=4&transport=tobi"));
    world.answer(client).is(400, "Transport unknown");
    assert_eq!(refusals(&world)[0].1, unknown("tobi"));
    let old = upgrade_of(&websocket("")).replace("Version: 13", "Version: 7");
    let client = world.ask(old);
    assert_eq!(world.answer(client).status, 400);
    assert_eq!(refusals(&world)[1].1, handshake());
}

#[test]
fn wire_1_5_a_handshake_that_the_application_refused_is_told() {
    let mut world = World::new().on(|engine, told| {
        if let Told::Opening(conn, serial) = told {
            engine.decide(*conn, *serial, Err("not you"));
        }
    });
    world.engine.judge_handshakes();
    world.engine.tell_refusals();
    let client = world.ask(get_of(&polling("")));
    assert_eq!(world.answer(client).status, 403);
    let told = world.take_told();
    let [Told::Opening(..), Told::Refused(error)] = &told[..] else {
        panic!("{told:?}")
    };
    assert_eq!((error.code(), error.message()), (4, "not you"));
    assert_eq!(error.context(), &ConnectionContext::Forbidden);
    assert_eq!(error.request().url(), polling(""));
}

#[test]
fn refusals_are_told_only_to_those_who_listen() {
    let mut world = World::new();
    let client = world.ask(get_of("/socket.io/"));
    assert_eq!(world.answer(client).status, 400);
    assert_eq!(world.told, []);
}

#[test]
fn wire_1_7_an_origin_that_is_none_is_a_bad_request() {
    let mut world = World::new();
    world.engine.tell_refusals();
    let mut ask = request("GET", &polling(""), "Origin: http://*.example\r\n").into_bytes();
    let star = ask.iter().position(|&byte| byte == b'*').unwrap();
    ask[star] = 0xE9;
    let client = world.ask(&ask);
    let bad = r#"{"code":3,"message":"Bad request"}"#;
    world.answer(client).is_error(400, bad);
    let context = ConnectionContext::BadRequest(BadRequest::InvalidOrigin);
    assert_eq!(refusals(&world)[0].1, context);
    assert_eq!(BadRequest::InvalidOrigin.name(), "INVALID_ORIGIN");
    // A control character makes it no request at all.
    ask[star] = 0x01;
    let client = world.ask(&ask);
    world.answer(client).is(400, "");
    assert_eq!(refusals(&world).len(), 1);
    let client = world.ask(request("GET", &polling(""), "Origin: null\r\n"));
    assert_eq!(world.answer(client).status, 200);
}

/// What watchers were told since the last `take_told`.
fn events(world: &mut World) -> Vec<SessionEvent> {
    let told = world.take_told().into_iter();
    let event = |told| match told {
        Told::Session(event) => Some(event),
        _ => None,
    };
    told.filter_map(event).collect()
}

#[test]
fn wire_1_5_what_happens_to_a_session_is_told() {
    use SessionEvent::{
        Closed, Drain, Heartbeat, Opened, Packet, PacketCreate, Upgraded, Upgrading,
    };
    let mut world = World::brisk().on(echo);
    world.engine.tell_sessions();
    let poller = world.poller();
    assert_eq!(events(&mut world), [Opened, PacketCreate(PacketKind::Open)]);
    world.post(&poller, "4a");
    assert_eq!(
        events(&mut world),
        [
            Packet(PacketKind::Message),
            PacketCreate(PacketKind::Message)
        ]
    );
    world.poll(&poller);
    assert_eq!(world.polled(&poller), "4a");
    assert_eq!(events(&mut world), [Drain]);
    world.poll(&poller);
    world.advance(300);
    assert_eq!(world.polled(&poller), "2");
    assert_eq!(events(&mut world), [PacketCreate(PacketKind::Ping), Drain]);
    world.post(&poller, "3");
    assert_eq!(events(&mut world), [Packet(PacketKind::Pong), Heartbeat]);

    let ws = world.probe(&poller.sid);
    world.send(ws, text("2probe"));
    assert_eq!(events(&mut world), [Upgrading]);
    world.send(ws, text("5"));
    assert_eq!(events(&mut world), [Upgraded]);
    world.send(ws, text("1"));
    assert_eq!(
        events(&mut world),
        [Packet(PacketKind::Close), Closed(Reason::TransportClose)]
    );
}

#[test]
fn a_packet_is_told_before_its_message() {
    let mut world = World::new();
    world.engine.tell_sessions();
    let (ws, _) = world.websocket();
    world.take_told();
    world.send(ws, [text("4a"), binary(&[1])].concat());
    let told = world.take_told();
    let packet = Told::Session(SessionEvent::Packet(PacketKind::Message));
    let [first, Told::Text(_, a), second, Told::Binary(_, data)] = &told[..] else {
        panic!("{told:?}")
    };
    assert_eq!((first, second), (&packet, &packet));
    assert_eq!((&**a, &data[..]), ("a", &[1][..]));
}

#[test]
fn a_websocket_that_reads_again_is_told_drained() {
    let mut world = World::new();
    world.engine.tell_sessions();
    let (ws, _) = world.websocket();
    let session = world.session();
    world.let_write(ws, Some(0));
    world.take_told();
    world.act(|engine: &mut Engine| engine.send_text(session, &[b"a"]));
    assert_eq!(
        events(&mut world),
        [SessionEvent::PacketCreate(PacketKind::Message)]
    );
    world.let_write(ws, None);
    assert_eq!(events(&mut world), [SessionEvent::Drain]);
    assert_eq!(world.texts(ws)[..], ["4a"]);
}

#[test]
fn sessions_are_watched_only_if_somebody_does() {
    let mut world = World::new().on(echo);
    let poller = world.poller();
    world.post(&poller, "4a");
    let is_note = |told: &Told| matches!(told, Told::Session(_));
    assert!(!world.told.iter().any(is_note));
}

#[test]
fn refusals_are_counted_by_their_code() {
    let mut world = with(|config| {
        config.sessions_max = 1;
        config.transports = Transports {
            polling: true,
            websocket: false,
        };
    });
    let client = world.connect();
    for (method, query) in [
        ("GET", "EIO=4"),
        ("GET", "EIO=4&transport=websocket"),
        ("GET", "EIO=4&transport=polling&sid=x"),
        ("PUT", "EIO=4&transport=polling"),
        ("GET", "EIO=2&transport=polling"),
        ("GET", "EIO=4&transport=polling"),
        ("GET", "EIO=4&transport=polling"),
    ] {
        world.send(client, request(method, &format!("/socket.io/?{query}"), ""));
        world.answer(client);
    }
    let client = world.ask(upgrade_of("/socket.io/?EIO=4&transport=polling"));
    world.answer(client).is(400, "Bad request");
    let stats = world.stats();
    assert_eq!(
        stats.refused,
        Refusals {
            transport: 2,
            sid: 1,
            method: 1,
            request: 1,
            protocol: 1,
            unavailable: 1,
            ..Refusals::default()
        }
    );
    assert_eq!((stats.refused_by_fault, stats.refused_by_limit), (6, 1));
}

#[test]
fn packets_are_counted_both_ways() {
    let mut world = World::brisk().on(echo);
    let (ws, _) = world.websocket();
    world.send(ws, [text("4a"), binary(&[1])].concat());
    world.advance(300);
    world.send(ws, text("3"));
    let stats = world.stats();
    // The open packet, two echoes and a ping; two messages and a pong.
    assert_eq!((stats.packets_out, stats.packets_in), (4, 3));
    assert_eq!((stats.messages_out, stats.messages_in), (2, 2));
    let (poller, _) = world.upgraded();
    assert_eq!(world.stats().sessions_upgraded, 1);
    assert_eq!(world.stats().packets_out, 5);
    drop(poller);
}

#[test]
fn a_census_tells_what_everybody_is_doing() {
    let mut world = World::new();
    world.connect();
    let poller = world.poller();
    world.poll(&poller);
    world.websocket();
    let probed = world.poller();
    world.probe(&probed.sid);
    world.ask(get_of("/elsewhere"));
    let half = post_of(&polling(&probed.sid), "4abc");
    world.send(probed.post, &half[..half.len() - 1]);
    assert_eq!(
        world.engine.census(),
        Census {
            // The first, the parked session's POST connection, and the tried one's GET connection.
            connections_idle: 3,
            connections_reading: 1,
            connections_polling: 1,
            connections_deciding: 1,
            connections_websocket: 2,
            sessions_polling: 1,
            sessions_probing: 1,
            sessions_websocket: 1,
            ..Census::default()
        }
    );
    let ended = world.ask(upgrade_of(&websocket("x")));
    world.act(|engine| engine.serve_raw("*"));
    world.ask(upgrade_of("/raw"));
    let census = world.engine.census();
    assert_eq!((census.connections_raw, census.connections_closing), (1, 1));
    assert!(!world.is_open(ended));
}

#[test]
fn turns_are_measured_in_microseconds() {
    let mut world = World::new();
    assert_eq!(world.stats().turns, 0);
    for _ in 0..100 {
        world.engine.handle_turn(ms(2));
    }
    world.engine.handle_turn(ms(18));
    let stats = world.stats();
    assert_eq!((stats.turns, stats.turn_us_last), (101, 18_000));
    assert_eq!((stats.turn_us_max, stats.turn_us_mean), (18_000, 3_000));
}
