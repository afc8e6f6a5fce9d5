//! Every limit and every deadline of the engine, against its low road: what happens just within,
//! just beyond, and that everything held is given back.

mod common;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use common::*;
use emio::{
    Config, Reason, Response,
    engine::{Engine, Event, READ_BYTES},
};

const UNAVAILABLE: &str = r#"{"code":6,"message":"Service unavailable"}"#;

fn limited(change: impl FnOnce(&mut Config)) -> World {
    let mut config = Config::default();
    change(&mut config);
    World::with(config)
}

// Limits.

#[test]
fn a_head_beyond_its_bytes_is_a_431() {
    let ask = |bytes: usize| {
        let plain = request("GET", "/", "X: \r\n").len();
        request("GET", "/", &format!("X: {}\r\n", "x".repeat(bytes - plain)))
    };
    for cut in [Cut::Whole, Cut::Every(1), Cut::Every(100)] {
        let mut world = limited(|config| config.head_bytes_max = 1_000)
            .on(echo)
            .cut(cut);
        let client = world.ask(ask(1_000));
        assert_eq!(world.answer(client).status, 200, "{cut:?}");
        world.send(client, ask(1_001));
        assert_eq!(world.answer(client).status, 431, "{cut:?}");
        assert!(!world.is_open(client));
        // Nor is one waited for that does not even end a line.
        let client = world.ask("x".repeat(1_100));
        assert!(!world.is_open(client), "{cut:?}");
        assert!(world.stats().incoming_bytes <= 2 * 1_100);
    }
}

#[test]
fn a_head_beyond_its_headers_is_a_431() {
    let mut world = limited(|config| config.headers_max = 5).on(echo);
    let ask = |count: usize| request("GET", "/", &"X: y\r\n".repeat(count - 1));
    let client = world.ask(ask(5));
    assert_eq!(world.answer(client).status, 200);
    world.send(client, ask(6));
    assert_eq!(world.answer(client).status, 431);
    assert!(!world.is_open(client));
    assert_eq!(world.stats().refused_by_limit, 1);
}

#[test]
fn a_body_beyond_its_bytes_is_a_413_however_it_is_announced() {
    for cut in [Cut::Whole, Cut::Every(1), Cut::Every(7)] {
        let mut world = limited(|config| config.max_payload = 10).on(echo).cut(cut);
        let client = world.ask(post_of("/", "0123456789"));
        world.answer(client).is(200, "POST / HTTP/1.1|0123456789");
        world.send(client, chunked_of("/", &["01234", "56789"]));
        world.answer(client).is(200, "POST / HTTP/1.1|0123456789");
        for (ask, status) in [
            (post_of("/", "0123456789a"), 413),
            (chunked_of("/", &["0123456789a"]), 413),
            (chunked_of("/", &["0123456789", "a"]), 413),
            (
                request("POST", "/", "Content-Length: 1000000000000\r\n").into(),
                413,
            ),
            (
                request("POST", "/", "Content-Length: 99999999999999999999\r\n").into(),
                400,
            ),
        ] {
            let client = world.ask(ask);
            world.answer(client).is(status, "");
            assert!(!world.is_open(client));
        }
        assert_eq!(world.stats().incoming_bytes, 0);
    }
}

#[test]
fn a_payload_beyond_its_packets_closes_the_session() {
    let mut world = limited(|config| config.packets_per_payload_max = 3);
    let poller = world.poller();
    world.post(&poller, "4a\x1e4b\x1e4c").is(200, "ok");
    world.post(&poller, "4d\x1e4e\x1e4f\x1e4g").is(400, "");
    assert_eq!(world.heard(), ["a", "b", "c", "d", "e", "f"]);
    assert_eq!(world.reasons(), [Reason::ParseError]);
    assert_eq!(world.stats().refused_by_limit, 1);
}

#[test]
fn a_session_too_many_is_a_503() {
    let mut world = limited(|config| config.sessions_max = 2);
    let poller = world.poller();
    world.websocket();
    let client = world.ask(get_of(&polling("")));
    world.answer(client).is_error(503, UNAVAILABLE);
    let ws = world.ask(upgrade_of(&websocket("")));
    world.answer(ws).is(503, "Service unavailable");
    assert_eq!(world.stats().refused_by_limit, 2);
    // Upgrading opens none.
    world.probe(&poller.sid);
    world.post(&poller, "1").is(200, "ok");
    world.send(client, get_of(&polling("")));
    assert_eq!(world.answer(client).status, 200);
}

#[test]
fn an_address_has_so_many_connections() {
    let mut world = limited(|config| config.connections_per_ip_max = 2);
    let one = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1));
    let same = IpAddr::V6(Ipv4Addr::new(10, 0, 0, 1).to_ipv6_mapped());
    let other = IpAddr::V6(Ipv6Addr::LOCALHOST);
    let first = world.connect_from(one).expect("the first");
    world.connect_from(same).expect("the second");
    assert_eq!(world.connect_from(one), None);
    assert_eq!(world.connect_from(same), None);
    world.connect_from(other).expect("another address");
    assert_eq!(world.stats().refused_by_address, 2);
    world.end(first);
    world.connect_from(one).expect("one has left");
    assert_eq!(world.connect_from(one), None);
}

#[test]
fn a_websocket_with_too_large_a_backlog_is_dropped() {
    // A queued frame counts with what it costs beside its bytes.
    let mut world = limited(|config| config.backlog_bytes_max = 1_500);
    let (ws, _) = world.websocket();
    let session = world.session();
    world.let_write(ws, Some(0));
    for _ in 0..3 {
        world.act(|engine| engine.send_text(session, &[&[b'x'; 495]]));
    }
    assert_eq!(
        world.reasons(),
        [],
        "the message that finds more is the one"
    );
    world.act(|engine| engine.send_text(session, &[b"x"]));
    assert_eq!(world.reasons(), [Reason::TransportError]);
    assert!(world.is_gone(ws));
    assert_eq!(world.stats().backlog_bytes, 0);
    assert_eq!(world.stats().refused_by_limit, 1);
}

#[test]
fn a_poller_with_too_large_a_backlog_is_closed() {
    let mut world = limited(|config| config.backlog_bytes_max = 1_500);
    let poller = world.poller();
    let session = world.session();
    // One message alone may be larger: there is a client that waits for it.
    world.poll(&poller);
    world.act(|engine| engine.send_text(session, &[&[b'x'; 2_000]]));
    assert_eq!(world.polled(&poller).len(), 2_001);
    for _ in 0..3 {
        world.act(|engine| engine.send_text(session, &[&[b'x'; 495]]));
    }
    assert_eq!(
        world.reasons(),
        [],
        "the message that finds more is the one"
    );
    world.act(|engine| engine.send_text(session, &[b"x"]));
    assert_eq!(world.reasons(), [Reason::TransportError]);
    assert_eq!(world.stats().backlog_bytes, 0);
    world.poll(&poller);
    assert_eq!(world.answer(poller.get).status, 400);
}

#[test]
fn in_a_process_with_too_large_a_backlog_those_who_lag_are_dropped() {
    let mut world = limited(|config| config.backlog_bytes_process_max = 10_000);
    let poller = world.poller();
    let polls = world.session();
    let lagging = world.poller();
    let lags = world.session();
    let (ws, _) = world.websocket();
    let fast = world.session();
    let (slow_ws, _) = world.websocket();
    let slow = world.session();
    world.let_write(slow_ws, Some(0));
    for _ in 0..2 {
        world.act(|engine| engine.send_text(slow, &[&[b'x'; 4_000]]));
    }
    world.act(|engine| engine.send_text(lags, &[&[b'x'; 4_000]]));
    assert!(world.stats().backlog_bytes > 10_000);
    // Who keeps up is served.
    world.poll(&poller);
    world.act(|engine| {
        engine.send_text(fast, &[b"a"]);
        engine.send_text(polls, &[b"a"]);
    });
    assert_eq!(world.texts(ws), ["4a"]);
    assert_eq!(world.polled(&poller), "4a");
    assert_eq!(world.reasons(), []);
    // Who does not is closed, until there is room.
    world.act(|engine| engine.send_text(lags, &[b"a"]));
    assert_eq!(world.reasons(), [Reason::TransportError]);
    world.act(|engine| engine.send_text(slow, &[b"a"]));
    assert_eq!(
        world.reasons(),
        [Reason::TransportError],
        "there is room now"
    );
    world.poll(&lagging);
    assert_eq!(world.answer(lagging.get).status, 400);
}

#[test]
fn a_frame_for_many_is_counted_once() {
    let mut world = World::new();
    let lagging: Vec<_> = (0..10).map(|_| world.websocket().0).collect();
    let sessions: Vec<_> = world
        .take_told()
        .into_iter()
        .filter_map(|told| match told {
            Told::Opened(session) => Some(session),
            _ => None,
        })
        .collect();
    for ws in &lagging {
        world.let_write(*ws, Some(0));
    }
    world.act(|engine| {
        let frame = engine.frame(false, &[&[b'x'; 9_995]]);
        for session in &sessions {
            engine.send_frame(*session, &frame);
        }
    });
    assert_eq!(world.stats().backlog_bytes, 10_096);
    assert_eq!(world.engine.backlog_bytes(sessions[3]), 10_000);
    for ws in &lagging {
        world.let_write(*ws, None);
        assert_eq!(world.frames(*ws)[0].payload.len(), 9_996);
    }
}

/// Answers `/big` with far more than fits, anything else with nothing, and echoes messages.
fn big(engine: &mut Engine, told: &Told) {
    let Told::Request(conn, serial, head, _) = told else {
        return echo(engine, told);
    };
    let body = if head.starts_with("GET /big") {
        20_000
    } else {
        0
    };
    engine.respond(*conn, *serial, Response::bytes("a/b", vec![0; body]));
}

/// A connection that has not read its answers, so that one more is too much.
fn lagging(world: &mut World) -> Client {
    let client = world.connect();
    world.let_write(client, Some(0));
    world.send(client, get_of("/big"));
    assert!(world.is_open(client));
    client
}

#[test]
fn a_pipeliner_that_does_not_read_is_dropped_whatever_it_asks_next() {
    for last in [
        upgrade_of(&websocket("")),
        upgrade_of("/raw"),
        get_of(&polling("")),
        get_of("/"),
        get_of("/socket.io/"),
        "GET\r\n".to_owned(),
    ] {
        let mut world = limited(|config| config.backlog_bytes_max = 1_000).on(big);
        world.engine.serve_raw("/raw");
        let client = lagging(&mut world);
        world.send(client, [&*last, "?"].concat());
        assert!(world.is_gone(client), "{last}");
        assert_eq!(world.stats().backlog_bytes, 0);
    }
}

/// Answers each request with 100,000 bytes, more than may wait while another is read.
fn huge(engine: &mut Engine, told: &Told) {
    if let Told::Request(conn, serial, ..) = told {
        let body = vec![b'x'; 100_000];
        engine.respond(*conn, *serial, Response::bytes("a/b", body));
    }
}

#[test]
fn a_pipeliner_that_reads_gets_every_answer_however_much_it_asks_for_at_once() {
    let mut world = World::new().on(huge);
    let client = world.ask(get_of("/").repeat(300));
    let answers = world.answers(client);
    assert_eq!(answers.len(), 300, "30 MB, of which 8 MiB may wait");
    assert!(answers.iter().all(|answer| answer.body.len() == 100_000));
    assert!(world.is_open(client));
}

#[test]
fn a_request_behind_a_large_answer_waits_until_that_has_left() {
    let mut world = World::new().on(huge);
    let client = world.connect();
    world.let_write(client, Some(0));
    world.send(client, get_of("/").repeat(3));
    assert!(world.stats().backlog_bytes < 110_000, "one answer waits");
    // Longer than a head may take: the client is slow, but it reads.
    for _ in 0..5 {
        world.advance(15_000);
        world.let_write(client, Some(10_000));
    }
    world.let_write(client, None);
    assert_eq!(world.answers(client).len(), 3);
    assert_eq!(world.stats().incoming_bytes, 0);
}

/// A client that takes them as fast as they can be made must not have a turn for itself.
#[test]
fn large_answers_to_pipelined_requests_are_made_in_turns_of_their_own() {
    let mut world = World::new();
    let clients: Vec<Client> = (0..10).map(|_| world.connect()).collect();
    let keys: Vec<_> = clients.iter().map(|&client| world.key(client)).collect();
    let now = world.now();
    let answered_in_a_turn = |engine: &mut Engine| {
        let mut answered = 0;
        loop {
            while let Some(event) = engine.poll_event() {
                if let Event::Request { conn, serial, .. } = event {
                    let body = vec![b'x'; 100_000];
                    engine.respond(conn, serial, Response::bytes("text/plain", body));
                    answered += 1;
                }
            }
            let Some(key) = engine.poll_dirty() else {
                return answered;
            };
            engine.transmit(key, &mut |slices| {
                Ok(slices.iter().map(|slice| slice.len()).sum())
            });
        }
    };
    let turns = world.act(|engine| {
        let mut first = 0;
        for &key in &keys {
            engine.handle_bytes(key, now, get_of("/").repeat(20).as_bytes());
            first += answered_in_a_turn(engine);
        }
        let mut turns = vec![first];
        while engine.take_up() {
            turns.push(answered_in_a_turn(engine));
        }
        turns
    });
    assert_eq!(
        turns[0], 10,
        "one for each, and more than one is too much at once"
    );
    assert!(turns[1..].iter().all(|&answers| answers <= 4), "{turns:?}");
    assert_eq!(turns.iter().sum::<usize>(), 10 * 20);
}

#[test]
fn a_pipeliner_that_never_reads_cannot_make_the_server_hold_its_requests() {
    let mut world = World::new().on(huge);
    let client = world.connect();
    world.let_write(client, Some(0));
    let requests = get_of("/").repeat(1_000);
    for _ in 0..10 {
        if world.is_open(client) {
            world.send(client, &requests);
        }
    }
    assert!(!world.is_open(client));
    assert_eq!(world.stats().backlog_bytes, 0);
}

/// The messages that come in each turn until nothing is held back.
fn turns(world: &mut World, client: Client, bytes: &[u8]) -> Vec<usize> {
    let key = world.key(client);
    let now = world.now();
    let mut turns = Vec::new();
    world.act(|engine| {
        engine.handle_bytes(key, now, bytes);
        loop {
            let events = std::iter::from_fn(|| engine.poll_event());
            let is_message = |event: &Event| matches!(event, Event::Message { .. });
            turns.push(events.filter(is_message).count());
            let is_held_back = engine.is_held_back(key);
            if !engine.take_up() {
                assert!(!is_held_back);
                return;
            }
            assert!(is_held_back);
        }
    });
    turns
}

#[test]
fn a_busy_client_has_its_share_of_each_turn_and_no_more() {
    let mut world = World::new();
    let (ws, _) = world.websocket();
    let messages = text("4x").repeat(300);
    let held_bytes = world.stats().incoming_bytes;
    assert_eq!(turns(&mut world, ws, &messages), [128, 128, 44]);
    assert_eq!(world.stats().incoming_bytes, held_bytes);
}

/// A flood by many must not make a turn as long as all of their shares together.
#[test]
fn many_busy_clients_get_their_shares_a_few_at_a_time_and_one_after_the_other() {
    let mut world = limited(|config| config.inputs_per_turn_max = 10);
    let clients: Vec<Client> = (0..20).map(|_| world.websocket().0).collect();
    let keys: Vec<_> = clients.iter().map(|&ws| world.key(ws)).collect();
    let now = world.now();
    let turns = world.act(|engine| {
        let messages = |engine: &mut Engine| {
            let events = std::iter::from_fn(|| engine.poll_event());
            let is_message = |event: &Event| matches!(event, Event::Message { .. });
            events.filter(is_message).count()
        };
        let mut first = 0;
        for &key in &keys {
            engine.handle_bytes(key, now, &text("4x").repeat(30));
            first += messages(engine);
        }
        let mut turns = vec![first];
        while engine.take_up() {
            turns.push(messages(engine));
            let waiting = keys.iter().filter(|&&key| engine.is_held_back(key)).count();
            assert!(
                turns.len() > 5 || waiting == 20,
                "each has its second turn before a third"
            );
        }
        turns
    });
    assert_eq!(
        turns[0],
        20 * 10,
        "what has just come is nobody's second share"
    );
    assert!(
        turns[1..].iter().all(|&messages| messages <= 40),
        "{turns:?}"
    );
    assert_eq!(turns.iter().sum::<usize>(), 20 * 30);
}

#[test]
fn a_request_that_waits_for_its_share_is_not_called_late() {
    let mut world = limited(|config| {
        config.inputs_per_turn_max = 1;
        config.head_timeout = ms(300);
        config.keep_alive_timeout = ms(300);
    });
    let clients: Vec<Client> = (0..20).map(|_| world.connect()).collect();
    let keys: Vec<_> = clients.iter().map(|&client| world.key(client)).collect();
    let (now, late) = (world.now(), world.now() + ms(1_000));
    let two = request("POST", "/socket.io/?EIO=4&transport=polling", "").repeat(2);
    world.act(|engine| {
        for &key in &keys {
            engine.handle_bytes(key, now, two.as_bytes());
            while engine.poll_event().is_some() {}
        }
        engine.handle_timeout(late);
    });
    for client in clients {
        for _ in 0..2 {
            assert_eq!(world.answer(client).status, 400, "neither is a 408");
        }
    }
}

#[test]
fn a_post_of_many_packets_has_its_share_of_each_turn_and_no_more() {
    let mut world = limited(|config| config.inputs_per_turn_max = 10);
    let poller = world.poller();
    let target = polling(&poller.sid);
    let post = |packets: usize| post_of(&target, vec!["4x"; packets].join("\x1e"));
    let requests = [post(25), post(3), get_of("/").into_bytes()].concat();
    // Opening and answering a request is work as well.
    let turns = turns(&mut world, poller.post, &requests);
    assert_eq!(turns.iter().sum::<usize>(), 28);
    assert!(
        turns.len() >= 3 && turns.iter().all(|&messages| messages <= 10),
        "{turns:?}"
    );
    world.drain();
    world.answer(poller.post).is(200, "ok");
    world.answer(poller.post).is(200, "ok");
}

#[test]
fn one_who_makes_the_server_say_much_waits_as_well() {
    let mut world = limited(|config| config.sends_per_turn_max = 50).on(echo_often);
    let (ws, _) = world.websocket();
    let key = world.key(ws);
    let now = world.now();
    world.act(|engine| engine.handle_bytes(key, now, &text("4x").repeat(20)));
    assert_eq!(world.texts(ws).len(), 20 * 10);
    assert_eq!(world.heard().len(), 20);
}

/// Sends every message back ten times; never more than a few such echoes in one turn.
fn echo_often(engine: &mut Engine, told: &Told) {
    if let Told::Text(session, text) = told {
        for _ in 0..10 {
            engine.send_text(*session, &[text.as_bytes()]);
        }
    }
}

#[test]
fn a_pong_behind_what_is_held_back_still_counts() {
    let mut world = limited(|config| {
        config.inputs_per_turn_max = 1;
        config.ping_interval = ms(300);
        config.ping_timeout = ms(200);
    });
    let (ws, _) = world.websocket();
    world.advance(310);
    let key = world.key(ws);
    let late = world.now() + ms(1_000);
    let input = [text("4x").repeat(3), text("3")].concat();
    // The process was stopped; now it reads, and deadlines are looked at before the pong is.
    world.engine.handle_bytes(key, late, &input);
    while world.engine.poll_event().is_some() {}
    world.engine.handle_timeout(late);
    assert_eq!(world.engine.poll_event(), None, "nobody is called silent");
    world.drain();
    assert_eq!(world.reasons(), []);
}

#[test]
fn a_silent_connection_and_an_idle_one_are_closed_in_their_time() {
    let mut world = limited(|config| {
        config.head_timeout = ms(300);
        config.keep_alive_timeout = ms(500);
    });
    let silent = world.connect();
    let half = world.ask("GET / HT");
    let idle = world.ask(get_of(&polling("")));
    assert_eq!(world.answer(idle).status, 200);
    world.advance(299);
    assert!(world.is_open(silent) && world.is_open(half));
    world.advance(20);
    assert!(!world.is_open(silent), "nothing was asked");
    world.answer(half).is(408, "");
    assert!(world.is_open(idle));
    world.advance(200);
    assert!(!world.is_open(idle));
}

#[test]
fn a_prober_that_does_not_read_is_dropped_and_its_session_polls_on() {
    let mut world = limited(|config| config.backlog_bytes_max = 1_000).on(big);
    let poller = world.poller();
    let client = lagging(&mut world);
    world.send(client, upgrade_of(&websocket(&poller.sid)));
    assert!(world.is_gone(client));
    world.post(&poller, "4a").is(200, "ok");
    let ws = world.probe(&poller.sid);
    world.send(ws, [text("2probe"), text("5")].concat());
    assert_eq!(world.texts(ws), ["3probe", "4a"]);
    assert_eq!(world.reasons(), []);
}

#[test]
fn a_flood_of_pings_that_are_not_read_leaves_one_answer_to_the_last() {
    let mut world = World::new();
    let (ws, _) = world.websocket();
    world.let_write(ws, Some(0));
    for number in 0..50 {
        world.send(ws, frame(true, 0x9, [number; 125]));
    }
    assert!(world.stats().backlog_bytes + world.stats().incoming_bytes < 1_000);
    world.let_write(ws, None);
    let pongs = [Frame::pong(&[0; 125]), Frame::pong(&[49; 125])];
    assert_eq!(world.frames(ws), pongs);
}

#[test]
fn small_messages_that_are_not_read_share_a_frame() {
    let mut world = World::new();
    let (ws, _) = world.websocket();
    let session = world.session();
    world.let_write(ws, Some(0));
    world.act(|engine| (0..10_000).for_each(|_| engine.send_text(session, &[b"x"])));
    // 4 bytes each; a frame for each would cost 96 more.
    let backlog_bytes = world.stats().backlog_bytes;
    assert!((40_000..45_000).contains(&backlog_bytes), "{backlog_bytes}");
    world.let_write(ws, None);
    assert_eq!(world.texts(ws), vec!["4x"; 10_000]);
}

#[test]
fn a_message_in_fragments_has_its_time_however_lively_its_sender() {
    let mut world = limited(|config| {
        config.body_timeout = ms(60_000);
        config.ping_interval = ms(3_600_000);
    });
    let (ws, _) = world.websocket();
    world.send(ws, frame(false, 0x1, "4a"));
    for _ in 0..5 {
        world.advance(11_000);
        world.send(ws, [frame(true, 0x9, ""), text_part("b")].concat());
    }
    world.frames(ws);
    assert_eq!(world.reasons(), []);
    world.advance(11_000);
    world.send(ws, text_part("c"));
    assert_eq!(world.reasons(), [Reason::TransportError]);
    assert_eq!(world.frames(ws).last(), Some(&Frame::close(Some(1008))));
}

/// One more fragment.
fn text_part(text: &str) -> Vec<u8> {
    frame(false, 0x0, text)
}

#[test]
fn an_answer_that_is_read_slowly_is_not_cut() {
    let mut world = World::new().on(big);
    let client = world.connect();
    world.let_write(client, Some(1_000));
    world.send(client, get_of("/big"));
    for _ in 0..21 {
        world.advance(20_000);
        world.let_write(client, Some(1_000));
    }
    assert_eq!(world.answer(client).body.len(), 20_000);
    world.let_write(client, Some(0));
    world.send(client, get_of("/big"));
    world.advance(29_000);
    assert!(world.is_open(client));
    world.advance(2_000);
    assert!(world.is_gone(client), "one that reads nothing is");
}

#[test]
fn request_heads_that_sessions_keep_have_a_budget_of_their_own() {
    let mut world = limited(|config| {
        config.handshake_bytes_max = 20_000;
        config.incoming_bytes_max = 10_000;
    });
    let cookie = format!("Cookie: {}\r\n", "x".repeat(9_000));
    let open = |world: &mut World| {
        let client = world.ask(request("GET", &polling(""), &cookie));
        world.answer(client).status
    };
    assert_eq!(
        [open(&mut world), open(&mut world), open(&mut world)],
        [200, 200, 503]
    );
    // Others may still send in parts.
    let client = world.connect();
    world.send(client, "GET / HT");
    world.send(client, "TP/1.1\r\nHost: a\r\n\r\n");
    world.act(|_| ());
    assert!(world.is_open(client));
}

#[test]
fn what_has_not_arrived_whole_is_counted_and_bounded_for_all() {
    let mut world = limited(|config| config.incoming_bytes_max = 10_000);
    let part = |target: &str, len: usize| {
        let headers = "Content-Length: 900000\r\n";
        request("POST", target, headers) + &"x".repeat(len)
    };
    let first = world.ask(part("/", 4_000));
    let second = world.ask(part("/", 4_000));
    let held = world.stats().incoming_bytes;
    assert!((8_000..9_000).contains(&held), "{held}");
    let third = world.ask(part("/", 4_000));
    world.answer(third).is(503, "");
    assert!(!world.is_open(third));
    assert_eq!(world.stats().incoming_bytes, held);
    world.is_silent(first);
    world.is_silent(second);
    // What arrives whole is not held.
    world.engine.judge_handshakes();
    let client = world.ask(post_of("/", "x".repeat(20_000)));
    let (conn, serial) = world.question();
    world.act(|engine| engine.respond(conn, serial, Response::text("fine")));
    world.answer(client).is(200, "fine");
    world.reset(first);
    world.send(second, "x".repeat(4_000));
    world.is_silent(second);
}

#[test]
fn a_post_that_exceeds_the_bytes_of_all_takes_its_session_with_it() {
    let mut world = limited(|config| config.incoming_bytes_max = 10_000);
    let poller = world.poller();
    world.poll(&poller);
    let headers = "Content-Length: 900000\r\n";
    let head = request("POST", &polling(&poller.sid), headers);
    let client = world.ask(head + &"4".repeat(5_000));
    world.is_silent(client);
    world.send(client, "4".repeat(5_000));
    world.answer(client).is(503, "");
    assert_eq!(world.polled(&poller), "1");
    assert_eq!(world.reasons(), [Reason::TransportError]);
}

#[test]
fn a_websocket_that_exceeds_the_bytes_of_all_is_closed() {
    let mut world = limited(|config| config.incoming_bytes_max = 10_000);
    world.engine.serve_raw("/raw");
    let (ws, _) = world.websocket();
    let raw = world.ask(upgrade_of("/raw"));
    world.answer(raw);
    for ws in [ws, raw] {
        world.send(ws, frame(false, 0x2, [0; 4_000]));
        world.send(ws, frame(false, 0x0, [0; 4_000]));
        world.is_silent(ws);
        world.send(ws, frame(false, 0x0, [0; 9_000]));
        assert_eq!(world.frames(ws), [Frame::close(Some(1013))]);
        world.send(ws, close(Some(1013)));
        assert!(!world.is_open(ws));
        assert_eq!(world.stats().incoming_bytes, 0);
    }
    assert_eq!(world.reasons(), [Reason::TransportError]);
    assert!(matches!(world.told.last(), Some(Told::RawClosed(..))));
    // Also when one frame alone does it.
    let (ws, _) = world.websocket();
    world.send(
        ws,
        [frame_head(true, 0x2, 20_000), vec![0; 15_000]].concat(),
    );
    assert_eq!(world.frames(ws), [Frame::close(Some(1013))]);
}

#[test]
fn a_probing_websocket_that_exceeds_the_bytes_of_all_loses_only_itself() {
    let mut world = limited(|config| config.incoming_bytes_max = 10_000);
    let poller = world.poller();
    let ws = world.probe(&poller.sid);
    world.send(
        ws,
        [frame_head(true, 0x2, 20_000), vec![0; 15_000]].concat(),
    );
    assert_eq!(world.frames(ws), [Frame::close(Some(1013))]);
    assert_eq!(world.reasons(), []);
    world.post(&poller, "4a").is(200, "ok");
    assert_eq!(world.heard(), ["a"]);
}

#[test]
fn what_comes_while_an_answer_is_owed_waits_but_not_without_end() {
    let junk = vec![b'x'; READ_BYTES / 2];
    let mut world = World::new();
    let poller = world.poller();
    world.poll(&poller);
    world.send(poller.get, &junk);
    world.send(poller.get, &junk);
    assert!(!world.is_gone(poller.get));
    world.send(poller.get, "x");
    assert!(world.is_gone(poller.get));
    assert_eq!(world.reasons(), [Reason::TransportError]);

    let client = world.ask(get_of("/"));
    let (conn, serial) = world.question();
    world.send(client, &junk);
    world.send(client, &junk);
    world.send(client, "x");
    assert!(world.is_gone(client));
    world.act(|engine| engine.respond(conn, serial, Response::new(200)));
    assert_eq!(
        world.stats().incoming_bytes,
        0,
        "the poller's head included"
    );
}

#[test]
fn the_head_of_a_session_is_counted_until_it_is_released() {
    let mut world = World::new();
    let poller = world.poller();
    let session = world.session();
    let head = get_of(&polling("")).len() as u64;
    assert_eq!(world.stats().incoming_bytes, head);
    let handshake = world.engine.handshake(session).expect("kept until then");
    assert_eq!(handshake.query("EIO").as_deref(), Some("4"));
    assert_eq!(handshake.header("host"), Some("here"));
    assert_eq!(handshake.issued_ms(), 1_700_000_000_000);
    world.act(|engine| engine.release_handshake(session));
    assert_eq!(world.stats().incoming_bytes, 0);
    world.act(|engine| engine.release_handshake(session));
    world.post(&poller, "1").is(200, "ok");
    world.act(|engine| engine.release_handshake(session));
    assert_eq!(world.stats().incoming_bytes, 0);
}

#[test]
fn a_burst_leaves_no_memory_behind() {
    let mut world = World::new().on(echo);
    let (ws, _) = world.websocket();
    let session = world.session();
    world.act(|engine| engine.release_handshake(session));
    let message = text(&format!("4{}", "x".repeat(900_000)));
    let (half, rest) = message.split_at(500_000);
    world.send(ws, half);
    assert!(world.stats().incoming_bytes >= 500_000);
    world.send(ws, rest);
    assert_eq!(world.texts(ws)[0].len(), 900_001);
    let pieces = [frame(false, 0x2, vec![1; 400_000]), frame(true, 0x0, [1])];
    world.send(ws, &pieces[0]);
    assert!(world.stats().incoming_bytes >= 400_000);
    world.send(ws, &pieces[1]);
    assert_eq!(world.frames(ws)[0].payload.len(), 400_001);
    assert_eq!(world.stats().incoming_bytes, 0);
    assert_eq!(world.stats().backlog_bytes, 0);
}

// Deadlines.

#[test]
fn a_connection_that_asks_nothing_is_dropped() {
    let mut world = World::new();
    let client = world.connect();
    world.advance(19_900);
    assert!(!world.is_gone(client));
    world.advance(200);
    assert!(world.is_gone(client));
    assert!(world.received(client).is_empty());
}

#[test]
fn a_head_that_does_not_end_is_a_408() {
    let mut world = World::new();
    let client = world.ask("GET / HTTP/1.1\r\nHost: h");
    // Trickling does not help.
    for _ in 0..19 {
        world.advance(1_000);
        world.send(client, "\r\nX: y");
        world.is_silent(client);
    }
    world.advance(1_100);
    let answer = world.answer(client);
    answer.is(408, "");
    assert_eq!(answer.header("connection"), Some("close"));
    assert!(!world.is_open(client));
    assert_eq!(world.stats().timeouts, 1);
}

#[test]
fn a_head_behind_an_answer_has_its_own_time() {
    let mut world = World::new().on(echo);
    let client = world.ask([&get_of("/"), "GET / HTTP/1.1\r\n"].concat());
    world.answer(client);
    world.advance(19_900);
    world.is_silent(client);
    world.advance(200);
    world.answer(client).is(408, "");

    // Also if it waited for that answer.
    let mut world = World::new();
    let client = world.ask([&get_of("/"), "GET / HTTP/1.1\r\n"].concat());
    let (conn, serial) = world.question();
    world.advance(15_000);
    world.act(|engine| engine.respond(conn, serial, Response::text("a")));
    world.answer(client).is(200, "a");
    world.advance(19_900);
    world.is_silent(client);
    world.advance(200);
    world.answer(client).is(408, "");
}

#[test]
fn a_body_that_does_not_end_is_a_408_and_ends_its_session() {
    for body in ["Content-Length: 10\r\n", "Transfer-Encoding: chunked\r\n"] {
        let mut world = limited(|config| config.ping_interval = ms(100_000));
        let poller = world.poller();
        world.send(poller.post, request("POST", &polling(&poller.sid), body));
        world.advance(30_000);
        world.send(poller.post, "4\r\n");
        world.advance(29_900);
        world.is_silent(poller.post);
        assert_eq!(world.reasons(), []);
        world.advance(200);
        world.answer(poller.post).is(408, "");
        assert!(!world.is_open(poller.post));
        assert_eq!(world.reasons(), [Reason::TransportError]);
    }
}

#[test]
fn an_idle_connection_is_kept_for_a_while() {
    let mut world = World::new().on(echo);
    let client = world.ask(get_of("/"));
    world.answer(client);
    world.advance(29_900);
    assert!(!world.is_gone(client));
    world.advance(200);
    assert!(world.is_gone(client));
    world.is_silent(client);
}

#[test]
fn an_answer_that_does_not_come_is_a_503() {
    let mut world = World::new();
    let client = world.ask(get_of("/"));
    let (conn, serial) = world.question();
    world.advance(19_900);
    world.is_silent(client);
    world.advance(200);
    world.answer(client).is(503, "");
    assert!(!world.is_open(client));
    world.act(|engine| engine.respond(conn, serial, Response::text("late")));
    world.is_silent(client);
}

#[test]
fn last_bytes_that_nobody_reads_are_dropped() {
    let mut world = World::new().on(echo);
    let client = world.connect();
    world.let_write(client, Some(10));
    world.send(client, request("GET", "/", "Connection: close\r\n"));
    world.advance(9_900);
    assert!(!world.is_gone(client));
    world.advance(200);
    assert!(world.is_gone(client));
    assert_eq!(world.stats().backlog_bytes, 0);
}

#[test]
fn an_ended_connection_is_read_for_a_moment() {
    let mut world = World::new().on(echo);
    let client = world.ask(request("GET", "/", "Connection: close\r\n"));
    assert!(!world.is_open(client));
    world.send(client, get_of("/"));
    world.advance(1_900);
    assert!(!world.is_gone(client));
    world.advance(200);
    assert!(world.is_gone(client));
    assert_eq!(world.answers(client).len(), 1);
}

#[test]
fn a_parked_get_lives_as_long_as_its_session() {
    let mut world = World::new();
    let poller = world.poller();
    world.poll(&poller);
    world.advance(24_900);
    world.is_silent(poller.get);
    world.advance(200);
    assert_eq!(world.polled(&poller), "2");
    world.poll(&poller);
    world.advance(19_800);
    world.is_silent(poller.get);
    world.advance(200);
    assert_eq!(world.polled(&poller), "1");
    assert_eq!(world.reasons(), [Reason::PingTimeout]);
}

#[test]
fn a_stopped_process_does_not_kill_who_has_answered() {
    let mut world = World::brisk();
    let (ws, _) = world.websocket();
    world.advance(320);
    assert_eq!(world.texts(ws), ["2"]);
    // The loop reads before it looks at deadlines, however late both are.
    let late = world.now() + ms(60_000);
    let key = world.key(ws);
    world.act(|engine| {
        engine.handle_bytes(key, late, &text("3"));
        while engine.poll_event().is_some() {}
        engine.handle_timeout(late);
    });
    assert_eq!(world.reasons(), []);
}
