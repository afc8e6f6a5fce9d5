//! Requests against the engine's low road: the error table (spec 1.7), CORS (1.8), handshakes that
//! are judged, requests of applications, and HTTP/1.1 as clients really use it (2.1.16).

mod common;

use common::*;
use emio::{Config, Cors, Files, Origin, Reason, Response, Transports};

const UNKNOWN_TRANSPORT: &str = r#"{"code":0,"message":"Transport unknown"}"#;
const UNKNOWN_SID: &str = r#"{"code":1,"message":"Session ID unknown"}"#;
const BAD_METHOD: &str = r#"{"code":2,"message":"Bad handshake method"}"#;
const BAD_REQUEST: &str = r#"{"code":3,"message":"Bad request"}"#;
const BAD_VERSION: &str = r#"{"code":5,"message":"Unsupported protocol version"}"#;
const NOBODY: &str = "AAAAAAAAAAAAAAAAAAAA";
const HERE: &str = "https://here.example";

#[test]
fn wire_1_7_the_error_table_over_http() {
    let unknown = format!("EIO=4&transport=polling&sid={NOBODY}");
    let table = [
        ("GET", "", UNKNOWN_TRANSPORT),
        ("GET", "EIO=4", UNKNOWN_TRANSPORT),
        ("GET", "EIO=4&transport=tobi", UNKNOWN_TRANSPORT),
        ("GET", "EIO=4&transport=webtransport", UNKNOWN_TRANSPORT),
        ("GET", "EIO=4&transport=POLLING", UNKNOWN_TRANSPORT),
        ("POST", "EIO=4&transport=tobi&sid=x", UNKNOWN_TRANSPORT),
        ("GET", &unknown, UNKNOWN_SID),
        ("POST", &unknown, UNKNOWN_SID),
        ("PUT", &unknown, UNKNOWN_SID),
        ("GET", "EIO=4&transport=websocket&sid=x", UNKNOWN_SID),
        ("POST", "EIO=4&transport=polling", BAD_METHOD),
        ("PUT", "EIO=4&transport=polling", BAD_METHOD),
        ("OPTIONS", "EIO=4&transport=polling", BAD_METHOD),
        ("POST", "EIO=4&transport=websocket", BAD_METHOD),
        ("GET", "EIO=4&transport=websocket", BAD_REQUEST),
        ("GET", "transport=websocket", BAD_REQUEST),
        ("GET", "transport=polling", BAD_VERSION),
        ("GET", "EIO=3&transport=polling", BAD_VERSION),
        ("GET", "EIO=5&transport=polling", BAD_VERSION),
        ("GET", "EIO=abc&transport=polling&sid=", BAD_VERSION),
    ];
    let mut world = World::new();
    let client = world.connect();
    for (method, query, body) in table {
        world.send(client, request(method, &format!("/socket.io/?{query}"), ""));
        let answer = world.answer(client);
        assert_eq!(answer.text(), body, "{method} {query}");
        answer.is_error(400, body);
    }
    assert!(world.is_open(client), "one connection served them all");
    assert_eq!(world.told, []);
}

#[test]
fn wire_1_7_a_head_gets_the_head_of_its_refusal() {
    let mut world = World::new();
    let client = world.ask(request("HEAD", &polling(""), ""));
    let answer = world.answer_to_head(client);
    assert_eq!(answer.status, 400);
    let length = BAD_METHOD.len().to_string();
    assert_eq!(answer.header("content-length"), Some(&*length));
    world.is_silent(client);
    world.send(client, get_of(&polling("")));
    assert_eq!(world.answer(client).status, 200);
}

#[test]
fn wire_1_7_an_odd_method_of_a_known_session_gets_500() {
    let mut world = World::new();
    let poller = world.poller();
    for method in ["PUT", "DELETE", "OPTIONS", "PATCH"] {
        world.send(poller.post, request(method, &polling(&poller.sid), ""));
        world.answer(poller.post).is(500, "");
    }
    world.send(poller.post, request("HEAD", &polling(&poller.sid), ""));
    assert_eq!(world.answer_to_head(poller.post).status, 500);
    assert_eq!(world.reasons(), []);
}

#[test]
fn wire_1_7_a_refused_websocket_is_told_in_plain_text() {
    let unknown = format!("EIO=4&transport=websocket&sid={NOBODY}");
    let known = World::new().poller().sid;
    let mismatch = format!("EIO=4&transport=polling&sid={known}");
    let table = [
        ("EIO=4", "Transport unknown"),
        (&unknown, "Session ID unknown"),
        ("EIO=4&transport=polling", "Bad request"),
        (&mismatch, "Bad request"),
        ("transport=websocket", "Unsupported protocol version"),
        ("EIO=3&transport=websocket", "Unsupported protocol version"),
    ];
    for (query, body) in table {
        let mut world = World::new();
        // The same randomness: the same id.
        assert_eq!(world.poller().sid, known);
        let ws = world.ask(upgrade_of(&format!("/socket.io/?{query}")));
        let answer = world.answer(ws);
        assert_eq!(answer.text(), body, "{query}");
        answer.is(400, body);
        assert_eq!(answer.header("content-type"), Some("text/html"));
        assert_eq!(answer.header("connection"), Some("close"));
        assert!(!world.is_open(ws));
    }
}

#[test]
fn wire_1_7_a_transport_that_is_switched_off_is_unknown() {
    let with = |polling, websocket| {
        World::with(Config {
            transports: Transports { polling, websocket },
            ..Config::default()
        })
    };
    let mut world = with(false, true);
    let client = world.ask(get_of(&polling("")));
    world.answer(client).is_error(400, UNKNOWN_TRANSPORT);
    world.websocket();
    let mut world = with(true, false);
    let client = world.ask(upgrade_of(&websocket("")));
    world.answer(client).is(400, "Transport unknown");
    world.poller();
}

#[test]
fn wire_1_1_every_target_with_the_path_in_front_is_the_protocols() {
    let mut world = World::new().on(echo);
    for path in [
        "/socket.io/",
        "/socket.io/whatever",
        "/socket.io//",
        // The same path, however a proxy writes it.
        "/socket%2Eio/",
    ] {
        let client = world.ask(get_of(&format!("{path}?EIO=4&transport=polling")));
        assert_eq!(world.answer(client).status, 200, "{path}");
        assert!(matches!(world.take_told()[..], [Told::Opened(_)]), "{path}");
    }
    for path in ["/socket.io", "/Socket.io/", "/", "/socket.iofoo/"] {
        let target = format!("{path}?EIO=4&transport=polling");
        let client = world.ask(get_of(&target));
        world
            .answer(client)
            .is(200, &format!("GET {target} HTTP/1.1|"));
    }
    let mut world = World::with(Config::default().at("engine.io"));
    let client = world.ask(get_of("/engine.io/?EIO=4&transport=polling"));
    assert_eq!(world.answer(client).status, 200);
}

#[test]
fn the_query_is_decoded() {
    let mut world = World::new();
    let client = world.ask(get_of("/socket.io/?%45IO=%34&transport=%70olling"));
    assert_eq!(world.answer(client).status, 200);
    let poller = world.poller();
    let sid = format!("%{:02x}{}", poller.sid.as_bytes()[0], &poller.sid[1..]);
    let poller = Poller { sid, ..poller };
    world.post(&poller, "4a").is(200, "ok");
}

#[test]
fn the_browser_client_is_the_applications_to_serve() {
    let mut files = Files::new();
    files.insert("/socket.io.js", "text/javascript", "the application has it");
    let config = Config {
        client_files: Some(files),
        ..Config::default()
    };
    let mut world = World::with(config).on(echo);
    let client = world.ask(get_of("/socket.io/socket.io.js?v=1"));
    assert_eq!(world.answer(client).status, 200);
    assert!(matches!(world.told[..], [Told::Request(..)]));
    let mut world = World::with(Config {
        serve_client: false,
        ..Config::default()
    });
    let client = world.ask(get_of("/socket.io/socket.io.js"));
    world.answer(client).is_error(400, UNKNOWN_TRANSPORT);
}

fn with_cors(cors: Cors) -> World {
    World::with(Config {
        cors: Some(cors),
        ..Config::default()
    })
    .on(echo)
}

fn from(origin: &str) -> String {
    format!("Origin: {origin}\r\n")
}

#[test]
fn wire_1_8_any_origin_is_a_star_on_every_answer() {
    let mut world = with_cors(Cors::any());
    let client = world.connect();
    let poller = world.poller();
    let octets = "Content-Type: application/octet-stream\r\n";
    for ask in [
        get_of(&polling("")),
        get_of("/socket.io/"),
        get_of("/socket.io/socket.io.js"),
        upgrade_of(&websocket(NOBODY)),
        upgrade_of(&websocket("")),
    ] {
        let client = world.ask(&ask);
        let answer = world.answer(client);
        let origin = answer.header("access-control-allow-origin");
        assert_eq!(origin, Some("*"), "{ask} {answer:?}");
        assert_eq!(answer.header("vary"), None);
    }
    let post = post_with(&polling(&poller.sid), octets, "4a");
    world.send(client, post);
    let answer = world.answer(client);
    assert_eq!(answer.status, 400);
    assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
    // Not where the protocol is not.
    world.send(client, get_of("/elsewhere"));
    let answer = world.answer(client);
    assert_eq!(answer.header("access-control-allow-origin"), None);
}

#[test]
fn wire_1_8_a_fixed_origin_is_named_whoever_asks() {
    let mut world = with_cors(Cors::new(Origin::Exact(HERE.into())));
    let client = world.ask(request("GET", &polling(""), &from("https://there.example")));
    let answer = world.answer(client);
    assert_eq!(answer.header("access-control-allow-origin"), Some(HERE));
    assert_eq!(answer.header("vary"), Some("Origin"));
}

#[test]
fn wire_1_8_an_origin_of_a_list_is_named_to_itself_only() {
    let mut world = with_cors(Cors::origins([HERE, "https://b.example"]).credentials(true));
    for (origin, named) in [(HERE, Some(HERE)), ("https://there.example", None)] {
        let client = world.connect();
        for ask in [
            request("GET", &polling(""), &from(origin)),
            request("PUT", &polling(""), &from(origin)),
            request("OPTIONS", &polling(""), &from(origin)),
            upgrade_with(&websocket(""), &from(origin)),
        ] {
            world.send(client, ask);
            let answer = world.answer(client);
            assert_eq!(answer.header("access-control-allow-origin"), named);
            let credentials = answer.header("access-control-allow-credentials");
            assert_eq!(credentials, Some("true"));
            assert!(answer.header("vary").unwrap().starts_with("Origin"));
        }
    }
    // The origin of one request is not that of the next.
    let client = world.ask(request("GET", &polling(""), &from(HERE)));
    world.answer(client);
    world.send(client, get_of(&polling("")));
    let answer = world.answer(client);
    assert_eq!(answer.header("access-control-allow-origin"), None);
}

#[test]
fn wire_1_8_a_parked_get_is_answered_to_its_own_origin() {
    let mut world = with_cors(Cors::origins([HERE]));
    let poller = world.poller();
    let target = polling(&poller.sid);
    world.send(poller.get, request("GET", &target, &from(HERE)));
    world.send(poller.get, get_of(&target));
    for named in [Some(HERE), None] {
        world.post(&poller, "4a").is(200, "ok");
        let answer = world.answer(poller.get);
        answer.is(200, "4a");
        assert_eq!(answer.header("access-control-allow-origin"), named);
    }
}

#[test]
fn wire_1_8_any_options_is_a_preflight() {
    let cors = Cors::origins([HERE]).methods(["GET", "POST"]).max_age(600);
    let mut world = with_cors(cors);
    let client = world.connect();
    let headers = format!("{}Access-Control-Request-Headers: x-a, x-b\r\n", from(HERE));
    for target in ["/socket.io/".to_owned(), polling(""), polling(NOBODY)] {
        world.send(client, request("OPTIONS", &target, &headers));
        let answer = world.answer(client);
        answer.is(204, "");
        let expected = [
            ("Access-Control-Allow-Origin", HERE),
            ("Vary", "Origin, Access-Control-Request-Headers"),
            ("Access-Control-Allow-Methods", "GET,POST"),
            ("Access-Control-Allow-Headers", "x-a, x-b"),
            ("Access-Control-Max-Age", "600"),
        ];
        let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(answer.headers, expected);
    }
    world.send(client, get_of(&polling("")));
    assert_eq!(world.answer(client).status, 200, "on the same connection");
    let mut world = with_cors(Cors::any().options_success_status(200));
    let client = world.ask(request("OPTIONS", "/socket.io/", ""));
    let answer = world.answer(client);
    answer.is(200, "");
    assert_eq!(answer.header("content-length"), Some("0"));
}

#[test]
fn wire_1_8_without_cors_nothing_is_said_and_nothing_blocked() {
    let mut world = World::new();
    let client = world.ask(request("GET", &polling(""), &from(HERE)));
    let answer = world.answer(client);
    assert_eq!(answer.status, 200);
    let is_cors = |(name, _): &(String, String)| name.starts_with("Access-");
    assert!(!answer.headers.iter().any(is_cors), "{answer:?}");
    let client = world.ask(request("OPTIONS", &polling(""), &from(HERE)));
    world.answer(client).is_error(400, BAD_METHOD);
}

fn judging(verdict: Option<Result<(), &'static str>>) -> World {
    let mut world = World::new().on(move |engine, told| {
        if let (Told::Opening(conn, serial), Some(verdict)) = (told, verdict) {
            engine.decide(*conn, *serial, verdict);
        }
        echo(engine, told);
    });
    world.engine.judge_handshakes();
    world
}

#[test]
fn wire_1_7_a_refused_handshake_gets_the_applications_message() {
    let mut world = judging(Some(Err("not \"you\"")));
    let client = world.ask(get_of(&polling("")));
    let answer = world.answer(client);
    answer.is_error(403, r#"{"code":4,"message":"not \"you\""}"#);
    assert!(world.is_open(client));
    let ws = world.ask(upgrade_of(&websocket("")));
    let answer = world.answer(ws);
    answer.is(403, "not \"you\"");
    assert_eq!(answer.header("content-type"), Some("text/html"));
    assert!(!world.is_open(ws));
    assert_eq!(world.stats().sessions_opened, 0);
}

#[test]
fn wire_1_7_a_judge_sees_the_request_and_is_asked_about_handshakes_only() {
    let mut world = World::new().on(|engine, told| {
        if let Told::Opening(conn, serial) = told {
            let opening = engine.opening(*conn, *serial);
            assert!(opening.is_some());
            engine.decide(*conn, *serial, Ok(()));
            assert!(engine.opening(*conn, *serial).is_none());
        }
    });
    world.engine.judge_handshakes();
    let poller = world.poller();
    world.post(&poller, "4a").is(200, "ok");
    world.poll(&poller);
    world.probe(&poller.sid);
    // Refused before the application is asked.
    for target in ["/socket.io/?EIO=4", "/socket.io/?EIO=4&transport=websocket"] {
        let client = world.ask(get_of(target));
        assert_eq!(world.answer(client).status, 400);
    }
    let is_asked = |told: &&Told| matches!(told, Told::Opening(..));
    assert_eq!(world.told.iter().filter(is_asked).count(), 1);
    // The version is looked at after the judgement, as the official server does.
    let client = world.ask(get_of("/socket.io/?EIO=3&transport=polling"));
    world.answer(client).is_error(400, BAD_VERSION);
    assert_eq!(world.told.iter().filter(is_asked).count(), 2);
}

#[test]
fn a_handshake_let_in_at_once_goes_on_with_what_follows_it() {
    let mut world = judging(Some(Ok(())));
    let upgrade = upgrade_of(&websocket("")).into_bytes();
    let ws = world.ask([upgrade, text("4a")].concat());
    assert_eq!(world.answer(ws).status, 101);
    assert_eq!(world.texts(ws)[1..], ["4a"]);
    let client = world.ask(get_of(&polling("")).repeat(2));
    assert_eq!(world.answers(client).len(), 2);
}

#[test]
fn a_judgement_may_come_later() {
    let mut world = judging(None);
    let pipelined = [get_of(&polling("")), request("PUT", &polling(""), "")].concat();
    let client = world.ask(pipelined);
    world.is_silent(client);
    let (conn, serial) = world.question();
    world.advance(5_000);
    world.act(|engine| engine.decide(conn, serial.wrapping_add(1), Ok(())));
    world.is_silent(client);
    world.act(|engine| engine.decide(conn, serial, Ok(())));
    let answers = world.answers(client);
    assert_eq!(answers[0].status, 200);
    answers[1].is_error(400, BAD_METHOD);
    world.act(|engine| engine.decide(conn, serial, Err("too late")));
    world.is_silent(client);
    assert_eq!(world.stats().sessions, 1);
}

#[test]
fn a_websocket_let_in_later_goes_on_with_what_waited() {
    let mut world = judging(None);
    let upgrade = upgrade_of(&websocket("")).into_bytes();
    let ws = world.ask([upgrade, text("4a")].concat());
    world.send(ws, &text("4b")[..3]);
    world.is_silent(ws);
    let (conn, serial) = world.question();
    world.act(|engine| engine.decide(conn, serial, Ok(())));
    assert_eq!(world.answer(ws).status, 101);
    assert_eq!(world.texts(ws)[1..], ["4a"]);
    world.send(ws, &text("4b")[3..]);
    assert_eq!(world.texts(ws), ["4b"]);
    let head = upgrade_of(&websocket("")).len() as u64;
    assert_eq!(world.stats().incoming_bytes, head, "only the head is held");
}

#[test]
fn a_websocket_refused_later_is_told_and_closed() {
    let mut world = judging(None);
    let upgrade = upgrade_of(&websocket("")).into_bytes();
    let ws = world.ask([upgrade, text("4a")].concat());
    let (conn, serial) = world.question();
    world.act(|engine| engine.decide(conn, serial, Err("no")));
    world.answer(ws).is(403, "no");
    world.is_silent(ws);
    assert!(!world.is_open(ws));
    assert_eq!(world.heard(), [""; 0]);
    assert_eq!(world.stats().incoming_bytes, 0);
}

#[test]
fn a_judgement_that_does_not_come_is_a_503() {
    for ask in [get_of(&polling("")), upgrade_of(&websocket(""))] {
        let mut world = judging(None);
        let client = world.ask(ask);
        let (conn, serial) = world.question();
        world.advance(19_900);
        world.is_silent(client);
        world.advance(200);
        world.answer(client).is(503, "");
        assert!(!world.is_open(client));
        world.act(|engine| engine.decide(conn, serial, Ok(())));
        assert_eq!(world.stats().sessions, 0);
    }
}

#[test]
fn who_leaves_before_the_judgement_opens_no_session() {
    for leave in [World::end, World::reset] {
        let mut world = judging(None);
        let ws = world.ask(upgrade_of(&websocket("")));
        let (conn, serial) = world.question();
        leave(&mut world, ws);
        world.act(|engine| engine.decide(conn, serial, Ok(())));
        assert_eq!(world.stats().sessions, 0);
        assert!(world.is_gone(ws));
    }
}

#[test]
fn who_ends_only_its_side_still_gets_an_answer() {
    let mut world = judging(None);
    let client = world.ask(get_of("/page"));
    let (conn, serial) = world.question();
    world.answer(client);
    world.end(client);
    assert!(world.is_gone(client));

    let mut world = World::new();
    let client = world.ask(get_of("/page"));
    let (later_conn, later_serial) = world.question();
    assert_eq!((later_conn, later_serial).0, conn);
    assert_eq!(later_serial, serial, "the same randomness");
    world.end(client);
    assert!(!world.is_gone(client));
    world.act(|engine| engine.respond(conn, serial, Response::text("here")));
    world.answer(client).is(200, "here");
    assert!(world.is_gone(client));
}

#[test]
fn an_application_answers_requests_at_once() {
    let mut world = World::new().on(echo);
    let client = world.ask(get_of("/a?b=c"));
    let answer = world.answer(client);
    answer.is(200, "GET /a?b=c HTTP/1.1|");
    assert_eq!(answer.header("content-type"), Some("text/plain"));
    world.send(client, post_of("/a", "body"));
    world.answer(client).is(200, "POST /a HTTP/1.1|body");
    world.send(client, chunked_of("/a", &["chunks ", "of", " a body"]));
    world
        .answer(client)
        .is(200, "POST /a HTTP/1.1|chunks of a body");
}

#[test]
fn an_application_answers_requests_later_and_in_order() {
    let mut world = World::new();
    let client = world.ask([get_of("/1"), get_of("/2")].concat());
    let (conn, serial) = world.question();
    world.is_silent(client);
    assert_eq!(world.told.len(), 1, "the second is not read yet");
    world.send(client, &get_of("/3")[..7]);
    world.act(|engine| engine.respond(conn, serial, Response::text("one")));
    world.answer(client).is(200, "one");
    world.act(|engine| engine.respond(conn, serial, Response::text("stale")));
    world.is_silent(client);
    let (conn, serial) = world.question();
    world.act(|engine| engine.respond(conn, serial, Response::text("two")));
    world.answer(client).is(200, "two");
    world.send(client, &get_of("/3")[7..]);
    let (conn, serial) = world.question();
    world.act(|engine| engine.respond(conn, serial, Response::new(304)));
    world.answer(client).is(304, "");
    let paths = world.told.iter().map(|told| match told {
        Told::Request(_, _, head, _) => &head[4..6],
        _ => panic!("{told:?}"),
    });
    assert_eq!(paths.collect::<Vec<_>>(), ["/1", "/2", "/3"]);
}

#[test]
fn a_response_is_written_as_the_request_wants_it() {
    let mut world = World::new().on(|engine, told| {
        if let Told::Request(conn, serial, ..) = told {
            let response = Response::text("hello").header("X-A", "1").with_status(404);
            engine.respond(*conn, *serial, response);
        }
    });
    let client = world.ask(request("HEAD", "/", ""));
    let answer = world.answer_to_head(client);
    assert_eq!(answer.status, 404);
    assert_eq!(answer.header("content-length"), Some("5"));
    assert_eq!(answer.header("x-a"), Some("1"));
    world.is_silent(client);
    world.send(client, request("GET", "/", "Connection: close\r\n"));
    let answer = world.answer(client);
    answer.is(404, "hello");
    assert_eq!(answer.header("connection"), Some("close"));
    assert!(!world.is_open(client));
}

#[test]
fn large_bodies_of_every_kind_arrive_whole() {
    let big = vec![b'x'; 300_000];
    let shared: std::sync::Arc<[u8]> = big.clone().into();
    for is_shared in [false, true] {
        for step in [None, Some(50_000)] {
            let (big, shared) = (big.clone(), shared.clone());
            let mut world = World::new().on(move |engine, told| {
                if let Told::Request(conn, serial, ..) = told {
                    let response = if is_shared {
                        Response::bytes("image/png", shared.clone())
                    } else {
                        Response::bytes("image/png", big.clone())
                    };
                    engine.respond(*conn, *serial, response);
                }
            });
            let client = world.connect();
            if step.is_some() {
                world.let_write(client, Some(10));
            }
            world.send(client, get_of("/").repeat(2));
            while world.stats().backlog_bytes > 0 {
                world.let_write(client, step);
            }
            let answers = world.answers(client);
            assert_eq!(answers.len(), 2);
            assert!(answers.iter().all(|answer| answer.body.len() == 300_000));
        }
    }
}

#[test]
fn the_answer_to_the_request_that_shuts_down_is_written() {
    for is_answered_first in [false, true] {
        let mut world = World::new().on(move |engine, told| {
            if let Told::Request(conn, serial, ..) = told {
                if is_answered_first {
                    engine.respond(*conn, *serial, Response::text("good night"));
                }
                engine.shut_down();
                engine.respond(*conn, *serial, Response::text("good night"));
            }
        });
        let client = world.ask(get_of("/quit"));
        world.answer(client).is(200, "good night");
        assert!(!world.is_open(client) && !world.is_gone(client));
    }
}

#[test]
fn http_keep_alive_serves_one_request_after_the_other() {
    let mut world = World::new().on(echo);
    let client = world.connect();
    for _ in 0..10 {
        world.send(client, get_of("/"));
        let answer = world.answer(client);
        assert_eq!(answer.header("connection"), None);
        world.advance(10_000);
    }
    assert!(world.is_open(client));
}

#[test]
fn http_1_0_closes_unless_it_asks_to_stay() {
    let mut world = World::new().on(echo);
    let client = world.ask("GET / HTTP/1.0\r\n\r\n");
    let answer = world.answer(client);
    answer.is(200, "GET / HTTP/1.0|");
    assert_eq!(answer.header("connection"), Some("close"));
    assert!(!world.is_open(client));
    let client = world.ask("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    let answer = world.answer(client);
    assert_eq!(answer.header("connection"), Some("keep-alive"));
    assert!(world.is_open(client));
    // It may poll as well.
    let target = polling("");
    world.send(client, format!("GET {target} HTTP/1.0\r\n\r\n"));
    let sid = sid_of(world.answer(client).text());
    let target = polling(&sid);
    let client = world.ask(format!("GET {target} HTTP/1.0\r\n\r\n"));
    let poller = Poller {
        sid,
        get: client,
        post: world.connect(),
    };
    world.post(&poller, "4a").is(200, "ok");
    assert_eq!(world.polled(&poller), "4a");
    assert!(!world.is_open(client));
    assert_eq!(world.reasons(), []);
}

#[test]
fn connection_close_is_obeyed_on_every_answer() {
    let mut world = World::new().on(echo);
    let close = "Connection: close\r\n";
    let poller = world.poller();
    let post = post_with(&polling(&poller.sid), close, "4a");
    for ask in [
        request("GET", &polling(""), close).into_bytes(),
        request("GET", &polling(&poller.sid), close).into_bytes(),
        post,
        request("PUT", &polling(""), close).into_bytes(),
        request("GET", "/", close).into_bytes(),
    ] {
        let client = world.ask([&ask[..], get_of("/").as_bytes()].concat());
        if world.received(client).is_empty() {
            world.post(&poller, "4b").is(200, "ok");
        }
        let answers = world.answers(client);
        assert_eq!(answers.len(), 1, "the request behind it is not read");
        assert_eq!(answers[0].header("connection"), Some("close"));
        assert!(!world.is_open(client));
    }
    assert_eq!(world.reasons(), []);
}

#[test]
fn absolute_targets_and_empty_lines_in_front_are_understood() {
    let mut world = World::new().on(echo);
    let target = format!("http://here.example{}", polling(""));
    let client = world.ask(format!("\r\n\r\n{}", get_of(&target)));
    let sid = sid_of(world.answer(client).text());
    let target = format!("http://here.example{}", polling(&sid));
    world.send(client, [b"\r\n", &post_of(&target, "4a")[..]].concat());
    world.answer(client).is(200, "ok");
    assert_eq!(world.heard(), ["a"]);
    let target = format!("ws://here.example{}", websocket(&sid));
    let ws = world.ask(upgrade_of(&target));
    assert_eq!(world.answer(ws).status, 101);
}

#[test]
fn options_about_the_server_itself_is_a_request() {
    let mut world = World::new().on(echo);
    let client = world.ask(request("OPTIONS", "*", ""));
    world.answer(client).is(200, "OPTIONS * HTTP/1.1|");
}

#[test]
fn expect_100_continue_is_answered_once_when_the_body_is_waited_for() {
    let mut world = World::new().on(echo);
    let expect = "Expect: 100-continue\r\n";
    let poller = world.poller();
    let post = post_with(&polling(&poller.sid), expect, "4a");
    let (head, body) = post.split_at(post.len() - 2);
    world.send(poller.post, head);
    assert_eq!(world.answer(poller.post).status, 100);
    world.send(poller.post, &body[..1]);
    world.is_silent(poller.post);
    world.send(poller.post, &body[1..]);
    world.answer(poller.post).is(200, "ok");
    // It is here already.
    world.send(poller.post, &post);
    world.answer(poller.post).is(200, "ok");
    world.is_silent(poller.post);
    // It will not be read.
    let expect = format!("{expect}Content-Length: 2000000\r\n");
    let client = world.ask(request("POST", &polling(&poller.sid), &expect));
    world.answer(client).is(413, "");
    let client = world.ask(request("POST", "/", &expect));
    world.answer(client).is(413, "");
    assert_eq!(world.heard(), ["a", "a"]);
}

#[test]
fn a_refused_post_does_not_wait_for_its_body() {
    let mut world = World::new();
    for headers in ["Content-Length: 10\r\n", "Transfer-Encoding: chunked\r\n"] {
        let client = world.ask(request("POST", &polling(NOBODY), headers));
        let answer = world.answer(client);
        answer.is_error(400, UNKNOWN_SID);
        assert_eq!(answer.header("connection"), Some("close"));
        assert!(!world.is_open(client));
        world.send(client, "whatever is still coming");
        assert!(!world.is_gone(client), "a reset would eat the answer");
    }
    // A body that came along costs nothing.
    let client = world.ask(
        [
            post_of(&polling(NOBODY), "4a"),
            get_of("/socket.io/").into(),
        ]
        .concat(),
    );
    let answers = world.answers(client);
    answers[0].is_error(400, UNKNOWN_SID);
    answers[1].is_error(400, UNKNOWN_TRANSPORT);
}

#[test]
fn chunked_bodies_are_put_together() {
    let mut world = World::new().on(echo);
    let poller = world.poller();
    let target = polling(&poller.sid);
    let post = chunked_of(&target, &["4a", "\x1e4", "b", "\x1e4cc"]);
    world.send(
        poller.post,
        [&post[..], get_of(&target).as_bytes()].concat(),
    );
    world.answer(poller.post).is(200, "ok");
    assert_eq!(world.answer(poller.post).text(), "4a\x1e4b\x1e4cc");
    // With extensions and trailers.
    let text = request("POST", &target, "Transfer-Encoding: chunked\r\n");
    world.send(
        poller.post,
        text + "2;a=b\r\n4x\r\n0\r\nX-Trailer: 1\r\n\r\n",
    );
    world.answer(poller.post).is(200, "ok");
    assert_eq!(world.heard(), ["a", "b", "cc", "x"]);
}

#[test]
fn a_broken_chunk_is_a_400_and_ends_the_session() {
    let mut world = World::new();
    let poller = world.poller();
    let target = polling(&poller.sid);
    world.send(
        poller.post,
        request("POST", &target, "Transfer-Encoding: chunked\r\n"),
    );
    world.send(poller.post, "2\r\n4a\r\n");
    world.is_silent(poller.post);
    world.send(poller.post, "zz\r\n");
    world.answer(poller.post).is(400, "");
    assert!(!world.is_open(poller.post));
    assert_eq!(world.reasons(), [Reason::TransportError]);
    // However small or large.
    let big = format!("{:x}\r\n{}\rx", 5_000, "x".repeat(5_000));
    let client = world.ask(request("POST", "/", "Transfer-Encoding: chunked\r\n"));
    world.send(client, big);
    world.answer(client).is(400, "");
    let client = world.ask(request("POST", "/", "Transfer-Encoding: chunked\r\n"));
    world.send(client, "F4241\r\n");
    world.answer(client).is(413, "");
}

#[test]
fn a_broken_chunk_is_the_same_fault_however_it_is_cut() {
    is_the_same_however_cut(World::new, |world| {
        let poller = world.poller();
        let coding = "Transfer-Encoding: chunked\r\n";
        let head = request("POST", &polling(&poller.sid), coding);
        world.send(poller.post, head + "2\r\n4a\r\nzz\r\n");
        world.answer(poller.post).is(400, "");
        world.reasons()
    });
}

#[test]
fn a_percent_encoded_path_is_the_path_that_it_encodes() {
    let mut world = World::new();
    world.engine.serve_raw("/raw");
    let client = world.ask(get_of("/socket%2Eio/?EIO=4&transport=polling"));
    assert!(world.answer(client).text().starts_with("0{"));
    let client = world.ask(upgrade_of("/r%61w"));
    assert_eq!(world.answer(client).status, 101);
}

#[test]
fn a_preflight_for_the_client_is_answered_as_for_the_protocol() {
    let mut world = World::with(Config {
        cors: Some(Cors::any()),
        ..Config::default()
    });
    let client = world.ask(request(
        "OPTIONS",
        "/socket.io/socket.io.js",
        "Origin: http://a\r\n",
    ));
    let answer = world.answer(client);
    answer.is(204, "");
    assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
}

#[test]
fn faulty_heads_are_refused_and_closed() {
    let host = "Host: here\r\n";
    let table = [
        ("GET / HTTP/1.1\r\n\r\n".to_owned(), 400),
        (format!("GET / HTTP/1.1\r\n{host}{host}\r\n"), 400),
        (format!("GET / HTTP/2.0\r\n{host}\r\n"), 505),
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned(), 505),
        (format!("GET / HTTP/1.1\r\n{host}a b: c\r\n\r\n"), 400),
        (format!("GET / HTTP/1.1\n{host}\n\n"), 400),
        (format!("GET nowhere HTTP/1.1\r\n{host}\r\n"), 400),
        (request("POST", "/", "Content-Length: -1\r\n"), 400),
        (
            request("POST", "/", "Content-Length: 1\r\nContent-Length: 2\r\n"),
            400,
        ),
        (
            request(
                "POST",
                "/",
                "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n",
            ),
            400,
        ),
        (
            request("POST", "/", "Transfer-Encoding: gzip, chunked\r\n"),
            501,
        ),
        ("\x16\x03\x01\x02\x00\x01\x00\x01\r\n".to_owned(), 400),
    ];
    let mut world = World::new().on(echo);
    for (ask, status) in table {
        let client = world.ask([get_of("/"), ask.clone(), get_of("/")].concat());
        let answers = world.answers(client);
        assert_eq!(answers.len(), 2, "{ask:?}");
        assert_eq!(answers[1].status, status, "{ask:?}");
        assert_eq!(answers[1].header("connection"), Some("close"));
        assert!(!world.is_open(client), "{ask:?}");
        let client = world.ask(&ask);
        assert_eq!(world.answer(client).status, status, "{ask:?}");
    }
}

#[test]
fn pipelined_requests_are_answered_in_their_order() {
    let mut world = World::new().on(echo);
    let poller = world.poller();
    let target = polling(&poller.sid);
    let all = [
        get_of("/1").into_bytes(),
        post_of(&target, "4a"),
        request("PUT", &target, "").into_bytes(),
        get_of(&target).into_bytes(),
        get_of(&target).into_bytes(),
        get_of("/2").into_bytes(),
    ];
    world.send(poller.get, all.concat());
    let answers = world.answers(poller.get);
    let bodies: Vec<_> = answers.iter().map(|answer| answer.text()).collect();
    assert_eq!(bodies, ["GET /1 HTTP/1.1|", "ok", "", "4a"]);
    world.post(&poller, "4b").is(200, "ok");
    let answers = world.answers(poller.get);
    let bodies: Vec<_> = answers.iter().map(|answer| answer.text()).collect();
    assert_eq!(bodies, ["4b", "GET /2 HTTP/1.1|"]);
}

#[test]
fn a_pipelining_peer_that_ends_its_side_gets_its_answers() {
    let mut world = World::new().on(echo);
    let client = world.connect();
    world.let_write(client, Some(0));
    world.send(client, get_of("/").repeat(3));
    world.end(client);
    assert!(!world.is_gone(client), "answers are owed");
    world.let_write(client, None);
    assert_eq!(world.answers(client).len(), 3);
    assert!(world.is_gone(client));
}

#[test]
fn http_is_the_same_however_it_is_cut() {
    is_the_same_however_cut(
        || {
            let config = Config {
                cors: Some(Cors::origins([HERE])),
                ..Config::default()
            };
            World::with(config).on(echo)
        },
        |world| {
            let target = polling("");
            let all = [
                request("GET", &target, &from(HERE)).into_bytes(),
                post_of("/a", "body"),
                chunked_of("/b", &["one", "two"]),
                request("OPTIONS", &target, &from(HERE)).into_bytes(),
                get_of("/c").into_bytes(),
                b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1x\r\n".into(),
            ];
            let client = world.ask(all.concat());
            (
                world.answers(client),
                world.take_told(),
                world.is_open(client),
            )
        },
    );
}

#[test]
fn what_waits_behind_a_question_is_the_same_however_it_is_cut() {
    is_the_same_however_cut(
        || judging(None),
        |world| {
            let get = get_of(&polling(""));
            let upgrade = upgrade_of(&websocket("")).into_bytes();
            let all = [get.into_bytes(), upgrade, text("4a"), text("4b")];
            let client = world.ask(all.concat());
            for _ in 0..2 {
                let (conn, serial) = world.question();
                world.act(|engine| engine.decide(conn, serial, Ok(())));
            }
            let answers = [world.answer(client), world.answer(client)];
            let frames = world.frames(client);
            assert_eq!(frames[1..], [Frame::text("4a"), Frame::text("4b")]);
            (answers, frames, world.take_told())
        },
    );
}
