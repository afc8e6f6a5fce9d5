//! Hostile review: each test fails where there is a bug.
mod common;

use common::*;
use emio::{
    Config, Cors, Overflow, Volatile, Transport,
    engine::{Engine, Event},
};
use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    time::{Duration, Instant},
};

fn with(change: impl FnOnce(&mut Config)) -> World {
    let mut config = Config::default();
    change(&mut config);
    World::with(config)
}

// -- real sockets

const POLLING: &str = "GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: here\r\n\r\n";

fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (server, _) = listener.accept().unwrap();
    client.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    (client, server)
}

/// The caller of `adopt` kept a clone of the stream (a log, a table of connections): closing our
/// descriptor does not take it from the poll, and the peer's next byte is an event of a dead key.
#[test]
fn an_adopted_stream_of_which_a_clone_lives_does_not_panic_the_loop() {
    let config = Config {
        keep_alive_timeout: ms(50),
        ..Config::default()
    };
    let mut io = emio::Server::without_listener((), config).unwrap();
    let handle = io.handle();
    let (mut client, server) = pair();
    let _clone = server.try_clone().unwrap();
    handle.adopt(server, Vec::new()).unwrap();
    let get = "GET /nothing HTTP/1.1\r\nHost: here\r\n\r\n";
    client.write_all(get.as_bytes()).unwrap();
    while io.stats().connections_closed == 0 {
        io.turn(Some(Duration::from_millis(20))).unwrap();
    }
    client.write_all(get.as_bytes()).unwrap();
    for _ in 0..5 {
        io.turn(Some(Duration::from_millis(20))).unwrap();
    }
}

/// The same: `lose` only drops our descriptor, so the client of a cloned stream is told nothing.
#[test]
fn a_client_whose_adopted_connection_is_closed_sees_its_end() {
    let config = Config {
        keep_alive_timeout: ms(50),
        ..Config::default()
    };
    let mut io = emio::Server::without_listener((), config).unwrap();
    let handle = io.handle();
    let (mut client, server) = pair();
    let clone = server.try_clone().unwrap();
    handle.adopt(server, Vec::new()).unwrap();
    let get = "GET /nothing HTTP/1.1\r\nHost: here\r\n\r\n";
    client.write_all(get.as_bytes()).unwrap();
    while io.stats().connections_closed == 0 {
        io.turn(Some(Duration::from_millis(20))).unwrap();
    }
    // "it is closed": whoever waits for the end of the connection does not see it.
    client.set_read_timeout(Some(ms(500))).unwrap();
    let mut all = Vec::new();
    let end = client.read_to_end(&mut all);
    drop(clone);
    assert!(end.is_ok(), "the client was not told: {end:?}");
}

#[test]
fn an_own_loop_that_closes_after_a_quiet_while_says_goodbye() {
    let mut io = emio::Server::bind("127.0.0.1:0", ()).unwrap();
    let mut client = TcpStream::connect(io.local_addr().unwrap()).unwrap();
    client
        .write_all(upgrade_of(&websocket("")).as_bytes())
        .unwrap();
    while io.stats().sessions == 0 {
        io.turn(Some(Duration::from_millis(5))).unwrap();
    }
    while io.next_timeout() == Some(Duration::ZERO) {
        io.turn(Some(Duration::ZERO)).unwrap();
    }
    // 25 s until the next ping: the program sleeps where it sleeps.
    assert!(io.next_timeout() > Some(Duration::from_secs(10)));
    let mut bytes = [0; 4096];
    client.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
    let n = client.read(&mut bytes).unwrap();
    assert!(n > 0);
    client.set_read_timeout(Some(Duration::from_millis(3_300))).unwrap();
    assert!(client.read(&mut bytes).is_err(), "nothing comes meanwhile");
    io.close();
    let mut got = Vec::new();
    for _ in 0..3 {
        if !io.turn(Some(Duration::ZERO)).unwrap() {
            break;
        }
    }
    client.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
    while let Ok(n) = client.read(&mut bytes) {
        if n == 0 {
            break;
        }
        got.extend_from_slice(&bytes[..n]);
    }
    assert_eq!(got.first(), Some(&0x88), "a close frame: {got:?}");
}

/// The same for `shutdown`: the grace is counted from the last turn.
#[test]
fn the_grace_of_an_own_loop_begins_when_shutdown_is_called() {
    let mut io = emio::Server::bind("127.0.0.1:0", ()).unwrap();
    let address = io.local_addr().unwrap();
    let mut clients: Vec<TcpStream> = (0..8).map(|_| TcpStream::connect(address).unwrap()).collect();
    for client in &mut clients {
        client
            .write_all(upgrade_of(&websocket("")).as_bytes())
            .unwrap();
    }
    while io.stats().sessions < 8 {
        io.turn(Some(Duration::from_millis(5))).unwrap();
    }
    while io.next_timeout() == Some(Duration::ZERO) {
        io.turn(Some(Duration::ZERO)).unwrap();
    }
    let mut bytes = [0; 4096];
    let quiet = &mut clients[0];
    quiet.set_read_timeout(Some(Duration::from_millis(1_300))).unwrap();
    while quiet.read(&mut bytes).is_ok() {}
    // Eight guests over 1.2 s: the first now, one each 150 ms after it.
    io.shutdown(Duration::from_millis(1_200));
    io.turn(Some(Duration::ZERO)).unwrap();
    io.turn(Some(Duration::ZERO)).unwrap();
    assert!(io.stats().sessions >= 6, "all told at once: {}", io.stats().sessions);
}

/// What was asked for between turns is "written with the next turn": not after its sleep.
#[test]
fn a_turn_does_not_sleep_on_output() {
    struct Ids(Vec<emio::SocketId>);
    impl emio::App for Ids {
        type Data = ();
    }
    let mut io = emio::Server::bind("127.0.0.1:0", Ids(Vec::new())).unwrap();
    io.on_connect(|app: &mut Ids, socket: emio::Socket<'_, Ids>| app.0.push(socket.id()));
    let mut client = TcpStream::connect(io.local_addr().unwrap()).unwrap();
    client
        .write_all(upgrade_of(&websocket("")).as_bytes())
        .unwrap();
    client.write_all(&text("40")).unwrap();
    while io.app().0.is_empty() {
        io.turn(Some(Duration::from_millis(5))).unwrap();
    }
    while io.next_timeout() == Some(Duration::ZERO) {
        io.turn(Some(Duration::ZERO)).unwrap();
    }
    let mut bytes = [0; 4096];
    client.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    while client.read(&mut bytes).is_ok() {}
    let id = io.app().0[0];
    io.with_socket(id, |_, peer| peer.emit("x", ())).unwrap();
    let before = Instant::now();
    io.turn(Some(Duration::from_secs(2))).unwrap();
    let took = before.elapsed();
    assert!(client.read(&mut bytes).is_ok(), "it was written with the turn");
    assert!(took < Duration::from_secs(1), "the turn slept on it: {took:?}");
}

/// A timer that is set between turns counts from the last turn.
#[test]
fn a_timer_that_is_set_between_turns_counts_from_now() {
    let mut io = emio::Server::bind("127.0.0.1:0", ()).unwrap();
    let mut client = TcpStream::connect(io.local_addr().unwrap()).unwrap();
    while io.next_timeout() == Some(Duration::ZERO) {
        io.turn(Some(Duration::ZERO)).unwrap();
    }
    client.set_read_timeout(Some(ms(1_200))).unwrap();
    assert!(client.read(&mut [0; 1]).is_err());
    io.set_timeout(ms(1_000), |_, _| ());
    let left = io.next_timeout().unwrap();
    assert!(left > ms(800), "{left:?} of a second are left");
}

/// "At once nobody is accepted any more."
#[test]
fn nobody_is_accepted_once_the_server_was_told_to_end() {
    let mut io = emio::Server::bind("127.0.0.1:0", ()).unwrap();
    let address = io.local_addr().unwrap();
    while io.next_timeout() == Some(Duration::ZERO) {
        io.turn(Some(Duration::ZERO)).unwrap();
    }
    let _client = TcpStream::connect(address).unwrap();
    io.close();
    let before = Instant::now();
    while io.turn(Some(ms(50))).unwrap() {}
    let took = before.elapsed();
    let opened = io.stats().connections_opened;
    assert!(opened == 0 && took < ms(1_000), "{opened} accepted, ended after {took:?}");
}

// -- the end

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

/// `packets_per_answer_max`: "python-engineio refuses more than 16".
#[test]
fn the_last_answer_has_no_more_packets_than_others() {
    let mut world = World::new();
    let poller = world.poller();
    world.poll(&poller);
    let session = world.session();
    world.act(|engine| {
        for _ in 0..20 {
            engine.send_text(session, &[b"x"]);
        }
        engine.shut_down();
    });
    let packets = world.polled(&poller).split('\x1e').count();
    assert!(packets <= 16, "{packets} packets");
}

/// The volatile event that waits goes before the close, as in `take_leave`.
#[test]
fn a_volatile_event_that_waits_leaves_before_a_close() {
    let mut world = with(|config| config.volatile = Volatile::Latest);
    let poller = world.poller();
    let session = world.session();
    world.act(|engine| {
        let frame = engine.frame(false, &[b"v"]);
        assert!(!engine.keep_latest(session, &[frame]));
        engine.close(session)
    });
    world.poll(&poller);
    assert_eq!(world.polled(&poller), "4v");
}

// -- memory

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

// -- headers

/// "What the server writes itself, is left out."
#[test]
fn configured_headers_do_not_contradict_the_servers_own() {
    let mut world = with(|config| {
        config.headers = vec![
            ("Connection".into(), "close".into()),
            ("Upgrade".into(), "h2c".into()),
            ("Sec-WebSocket-Accept".into(), "x".into()),
            ("Sec-WebSocket-Extensions".into(), "permessage-deflate".into()),
        ];
    });
    let ws = world.ask(upgrade_of(&websocket("")));
    let answer = world.answer(ws);
    let count = |name: &str| {
        let headers = answer.headers.iter();
        headers.filter(|(is, _)| is.eq_ignore_ascii_case(name)).count()
    };
    assert_eq!(
        ["connection", "upgrade", "sec-websocket-accept", "sec-websocket-extensions"].map(count),
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
        headers.filter(|(is, _)| is.eq_ignore_ascii_case(name)).count()
    };
    assert_eq!(["content-encoding", "content-type"].map(count), [0, 1]);
}

// -- stats

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
                world.ask("POST /socket.io/?EIO=4&transport=polling&sid=".to_owned()
                    + &poller.sid + " HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\n4");
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
    });
    assert_eq!(world.stats().messages_out, 0);
}

// -- suspicions

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
fn notes_of_a_closed_session_come_in_order() {
    let mut world = with(|config| {
        config.backlog_bytes_max = 100;
        config.overflow = Overflow::DropNewest;
        config.volatile = Volatile::Latest;
    });
    world.engine.tell_sessions();
    let (ws, _) = world.websocket();
    let session = world.session();
    world.let_write(ws, Some(0));
    for _ in 0..50 {
        world.act(|engine| {
            if engine.admit(session) {
                engine.send_text(session, &[&[b'x'; 40]]);
                engine.end_event();
            }
        });
    }
    world.let_write(ws, None);
    assert!(world.is_open(ws));
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
fn unused(_: Event, _: Engine, _: Transport) {
    let _ = POLLING;
}

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
