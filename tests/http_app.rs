//! What applications do besides sockets: judging handshakes, answering requests, serving files, and
//! WebSockets of their own.

#[path = "common/sio.rs"]
mod sio;

use std::thread;

use emio::{Config, Crank, Files, Message, Refusal, Request, Response, WebSocket};
use sio::*;

#[test]
fn allow_request_judges_every_handshake() {
    let mut party = Party::new(|io| {
        io.allow_request(|log: &mut Log, hello| {
            log.note(format!("{} {}", hello.path(), hello.auth));
            match hello.query("token").as_deref() {
                Some("secret") => Ok(()),
                Some(_) => Err(Refusal::new("wrong \"token\"")),
                None => Err("no token".into()),
            }
        });
    });
    let refused = party.ask(get_of(&polling("")));
    party
        .answer(refused)
        .is_error(403, r#"{"code":4,"message":"no token"}"#);
    let refused = party.ask(get_of(&format!("{}&token=x", polling(""))));
    party
        .answer(refused)
        .is_error(403, r#"{"code":4,"message":"wrong \"token\""}"#);
    let refused = party.ask(upgrade_of(&websocket("")));
    party.answer(refused).is(403, "no token");
    assert!(!party.is_open(refused));
    assert_eq!(party.stats().sessions, 0);
    party.noted(&["/socket.io/ null"; 3]);

    let get = party.ask(get_of(&format!("{}&token=secret", polling(""))));
    let answer = party.answer(get);
    assert_eq!(answer.status, 200);
    let sid = sid_of(answer.text());
    party.noted(&["/socket.io/ null"]);
    // Only handshakes are judged, not what follows.
    let post = party.connect();
    party.post(&Poller { sid, get, post }, "40");
    party.noted(&[]);
    let ws = party.ask(upgrade_of(&format!("{}&token=secret", websocket(""))));
    assert_eq!(party.answer(ws).status, 101);
    assert_eq!(party.texts(ws).len(), 1);
}

fn ask_later(io: &mut Crank<Log>) {
    io.allow_request_deferred(|log: &mut Log, io, hello, decision| {
        log.note(format!("{} {}", hello.path(), io.stats().connections));
        io.emit("somebody", ());
        log.decisions.push(decision);
    });
}

#[test]
fn allow_request_may_think() {
    let mut party = Party::new(ask_later);
    let get = party.ask(get_of(&polling("")));
    party.is_silent(get);
    party.noted(&["/socket.io/ 1"]);
    let decision = party.io.app().decisions.remove(0);
    thread::spawn(move || decision.allow())
        .join()
        .unwrap()
        .unwrap();
    party.turn();
    let answer = party.answer(get);
    let sid = sid_of(answer.text());
    let post = party.connect();
    let guest = Guest::Polling(Poller { sid, get, post });
    party.join(&guest, "/");
    // A WebSocket, whose first frames came with its request.
    let request = [upgrade_of(&websocket("")).into_bytes(), text("40")].concat();
    let ws = party.ask(request);
    party.is_silent(ws);
    party.hears(&guest, &["42[\"somebody\"]"]);
    party.io.app().decisions.remove(0).allow().unwrap();
    party.turn();
    assert_eq!(party.answer(ws).status, 101);
    // What came with the request has a turn of its own.
    party.turn();
    let texts = party.texts(ws);
    assert!(
        texts[0].starts_with("0{") && texts[1].starts_with("40{"),
        "{texts:?}"
    );

    let refused = party.ask(get_of(&polling("")));
    party
        .io
        .app()
        .decisions
        .remove(0)
        .refuse("no".into())
        .unwrap();
    party.turn();
    party
        .answer(refused)
        .is_error(403, r#"{"code":4,"message":"no"}"#);
    let forgotten = party.ask(upgrade_of(&websocket("")));
    party.io.app().decisions.clear();
    party.turn();
    party.answer(forgotten).is(403, "No decision was made");
    party.lines();
}

#[test]
fn a_judgement_that_comes_too_late_or_for_nobody_changes_nothing() {
    let mut party = Party::new(ask_later);
    let late = party.ask(get_of(&polling("")));
    party.advance(20_100);
    assert_eq!(party.answer(late).status, 503);
    party.io.app().decisions.remove(0).allow().unwrap();
    party.turn();
    let gone = party.ask(get_of(&polling("")));
    party.reset(gone);
    // The slot belongs to somebody else now.
    let other = party.ask(get_of(&polling("")));
    party.io.app().decisions.remove(0).allow().unwrap();
    party.turn();
    party.is_silent(other);
    assert_eq!(party.stats().sessions, 0);
    party.io.app().decisions.remove(0).allow().unwrap();
    party.turn();
    assert_eq!(party.answer(other).status, 200);
    party.lines();
}

fn answers(io: &mut Crank<Log>) {
    io.on_request(|log: &mut Log, io, request: Request<'_>| {
        log.note(format!("{} {}", request.method, request.path));
        io.emit("request", request.path);
        match request.path {
            "/echo" => Response::bytes("text/x", request.body.to_vec()).header("X-A", "b"),
            "/hello" => Response::text(format!(
                "{} {:?} {:?} {}",
                request.query_value("name").unwrap_or_default(),
                request.header("host"),
                request.decoded_path(),
                request.address(),
            )),
            _ => Response::not_found(),
        }
    });
}

#[test]
fn on_request_answers_what_is_not_the_protocols() {
    let mut party = Party::new(answers);
    let (guest, _) = party.enter(Via::WebSocket);
    let client = party.ask(request("GET", "/hello?name=a+b%21", ""));
    party
        .answer(client)
        .is(200, "a b! Some(\"here\") Some(\"/hello\") 127.0.0.1");
    party.send(client, post_of("/echo", "body"));
    let answer = party.answer(client);
    answer.is(200, "body");
    assert_eq!(answer.header("x-a"), Some("b"));
    assert_eq!(answer.header("content-type"), Some("text/x"));
    party.send(client, request("HEAD", "/hello", ""));
    let answer = party.answer_to_head(client);
    assert_eq!(answer.status, 200);
    assert_ne!(answer.header("content-length"), Some("0"));
    party.send(client, get_of("/nowhere"));
    party.answer(client).is(404, "Not Found\n");
    party.noted(&["GET /hello", "POST /echo", "HEAD /hello", "GET /nowhere"]);
    let told = ["/hello", "/echo", "/hello", "/nowhere"];
    let told = told.map(|path| format!("42[\"request\",\"{path}\"]"));
    assert_eq!(party.hear(&guest), told);
}

#[test]
fn without_on_request_there_is_nothing() {
    let mut party = Party::new(|_| {});
    let client = party.ask(get_of("/"));
    party.answer(client).is(404, "");
    party.send(client, upgrade_of("/"));
    party.answer(client).is(404, "");
}

#[test]
fn on_request_may_think_while_pipelined_requests_wait() {
    let mut party = Party::new(|io| {
        io.on_request_deferred(|log: &mut Log, _, request: Request<'_>, responder| {
            log.note(request.path);
            log.responders.push(responder);
        });
    });
    let three = [get_of("/1"), get_of("/2"), get_of("/3")].concat();
    let client = party.ask(three);
    let other = party.ask(get_of("/other"));
    party.noted(&["/1", "/other"]);
    party.is_silent(client);
    let responder = party.io.app().responders.remove(0);
    let answer = move || responder.respond(Response::text("one"));
    thread::spawn(answer).join().unwrap().unwrap();
    party.turn();
    party.answer(client).is(200, "one");
    // The next request has a turn of its own.
    party.turn();
    party.noted(&["/2"]);
    party
        .io
        .app()
        .responders
        .remove(0)
        .respond(Response::text("other"))
        .unwrap();
    party.turn();
    party.answer(other).is(200, "other");
    // Forgotten.
    party.io.app().responders.clear();
    party.turn();
    party.answer(client).is(503, "");
    party.turn();
    party.noted(&["/3"]);
    // In no time, and too late.
    party.advance(20_100);
    assert_eq!(party.answer(client).status, 503);
    assert!(!party.is_open(client));
    party
        .io
        .app()
        .responders
        .remove(0)
        .respond(Response::text("late"))
        .unwrap();
    party.turn();
    party.is_silent(client);
}

#[test]
fn files_come_before_on_request() {
    let mut party = Party::new(|io| {
        answers(io);
        let mut files = Files::new();
        files.insert("/index.html", "text/html", &b"<p>home"[..]);
        files.insert("/grüße.txt", "text/plain", &b"hi"[..]);
        io.serve_files("/site", files);
    });
    let client = party.ask(get_of("/site/"));
    party.answer(client).is(200, "<p>home");
    party.send(client, get_of("/site"));
    let answer = party.answer(client);
    assert_eq!(
        (answer.status, answer.header("location")),
        (308, Some("/site/"))
    );
    party.send(client, get_of("/site/gr%C3%BC%C3%9Fe.txt"));
    party.answer(client).is(200, "hi");
    party.send(client, get_of("/site/../site/index.html"));
    assert_eq!(party.answer(client).status, 404);
    party.send(client, get_of("/site/%FF"));
    assert_eq!(party.answer(client).status, 404);
    party.noted(&["GET /site/../site/index.html", "GET /site/%FF"]);
}

/// Echoes messages of its own WebSockets, and notes what happens to them.
fn raw(io: &mut Crank<Log>) {
    io.websocket("/raw")
        .on_open(
            |log: &mut Log, ws: WebSocket<'_, Log>, request: Request<'_>| {
                log.note(format!("open {} {}", request.path, request.query));
                log.websockets.push(ws.id());
                ws.send_text("welcome");
            },
        )
        .on_message(
            |log: &mut Log, ws: WebSocket<'_, Log>, message: Message<'_>| {
                assert!(ws.is_open());
                match message {
                    Message::Text("close") => {
                        ws.send_text("bye");
                        ws.close(4_000);
                        ws.send_text("lost");
                    }
                    Message::Text(text) => ws.send_text(text),
                    Message::Binary(data) => ws.send_binary(data),
                }
                log.note(format!("{message:?}"));
            },
        )
        .on_close(|log: &mut Log, id, code| {
            assert!(log.websockets.contains(&id));
            log.note(format!("close {code:?}"));
        });
}

#[test]
fn websockets_of_the_application() {
    let mut party = Party::new(raw);
    let ws = party.ask(upgrade_of("/raw?a=b"));
    assert_eq!(party.answer(ws).status, 101);
    assert_eq!(party.texts(ws), ["welcome"]);
    party.noted(&["open /raw a=b"]);
    party.send(ws, [text("one"), binary(b"\xFFtwo"), text("")].concat());
    let frames = [
        Frame::text("one"),
        Frame::binary(b"\xFFtwo"),
        Frame::text(""),
    ];
    assert_eq!(party.frames(ws), frames);
    party.noted(&[
        "Text(\"one\")",
        "Binary([255, 116, 119, 111])",
        "Text(\"\")",
    ]);
    // From elsewhere.
    let id = party.io.app().websockets[0];
    party
        .io
        .handle()
        .run(move |_, io| io.websocket(id).send_text("news"))
        .unwrap();
    party.turn();
    assert_eq!(party.texts(ws), ["news"]);
    party.send(ws, text("close"));
    assert_eq!(
        party.frames(ws),
        [Frame::text("bye"), Frame::close(Some(4_000))]
    );
    party.send(ws, close(Some(4_000)));
    party.noted(&["Text(\"close\")", "close Some(4000)"]);
    party
        .io
        .handle()
        .run(move |log, io| {
            let ws = io.websocket(id);
            log.note(format!("{}", ws.is_open()));
            ws.send_text("to nobody");
            ws.close(1_000);
        })
        .unwrap();
    party.turn();
    party.noted(&["false"]);
    party.is_silent(ws);
}

#[test]
fn websockets_of_the_application_end_in_several_ways() {
    for (how, expected) in [
        ("close", "close Some(1001)"),
        ("empty close", "close None"),
        ("eof", "close None"),
        ("reset", "close None"),
        ("silence", "close None"),
        ("shutdown", "close Some(1001)"),
    ] {
        let mut party = Party::new(raw);
        let ws = party.ask(upgrade_of("/raw"));
        party.lines();
        match how {
            "close" => party.send(ws, close(Some(1_001))),
            "empty close" => party.send(ws, close(None)),
            "eof" => party.end(ws),
            "reset" => party.reset(ws),
            "silence" => party.advance(46_000),
            _ => {
                party.io.close();
                party.turn();
            }
        }
        party.noted(&[expected]);
    }
}

#[test]
fn handlers_of_one_path_are_collected_and_a_star_takes_the_rest() {
    let mut party = Party::new(|io| {
        io.websocket("*")
            .on_open(|log: &mut Log, _, request| log.note(request.path));
        io.websocket("/two")
            .on_open(|log: &mut Log, _, _| log.note("two"));
        io.websocket("/two")
            .on_message(|log: &mut Log, _, _| log.note("message"));
        answers(io);
    });
    let ws = party.ask([upgrade_of("/two").into_bytes(), text("x")].concat());
    assert_eq!(party.answer(ws).status, 101);
    party.noted(&["two", "message"]);
    let ws = party.ask([upgrade_of("/three").into_bytes(), text("x")].concat());
    assert_eq!(party.answer(ws).status, 101);
    party.noted(&["/three"]);
    // Without an upgrade these paths are plain.
    let get = party.ask(get_of("/two"));
    assert_eq!(party.answer(get).status, 404);
    party.noted(&["GET /two"]);
}

#[test]
fn hooks_of_the_engine_reach_the_application() {
    let mut party = Party::new(|io| {
        io.initial_headers(|log: &mut Log, hello, headers| {
            log.note(format!("headers {}", hello.path()));
            headers.append("X-Here", "yes").expect("it is a line");
        });
        io.generate_id(|_, hello| hello.query("none").is_none().then_some([9; 11]));
        io.on_connection_error(|log, error| {
            log.note(format!(
                "{} {} {}",
                error.code(),
                error.message(),
                error.request().url()
            ));
        });
    });
    let client = party.ask(get_of(&polling("")));
    let answer = party.answer(client);
    assert_eq!(answer.header("x-here"), Some("yes"));
    assert!(sid_of(answer.text()).starts_with("CQkJCQkJCQkJCQ"));
    let client = party.ask(get_of(&format!("{}&none=1", polling(""))));
    assert_eq!(party.answer(client).status, 400);
    let client = party.ask(get_of("/socket.io/?EIO=4"));
    assert_eq!(party.answer(client).status, 400);
    party.noted(&[
        "headers /socket.io/",
        &format!("3 Bad request {}&none=1", polling("")),
        "0 Transport unknown /socket.io/?EIO=4",
    ]);
}

#[test]
fn hooks_of_the_engine_wait_for_a_judgement() {
    let mut party = Party::new(|io| {
        ask_later(io);
        io.initial_headers(|log: &mut Log, _, headers| {
            log.note("headers");
            headers.append("X-Here", "yes").expect("it is a line");
        });
    });
    let ws = party.ask(upgrade_of(&websocket("")));
    party.noted(&["/socket.io/ 1"]);
    let decision = party.io.app().decisions.remove(0);
    decision.allow().expect("the mailbox has room");
    party.turn();
    party.noted(&["headers"]);
    assert_eq!(party.answer(ws).header("x-here"), Some("yes"));
}

#[test]
fn a_watcher_hears_of_engine_sessions() {
    let mut party = Party::new(|io| {
        io.on_session_event(|log: &mut Log, info, event| {
            log.note(format!("{} {event:?}", info.transport.name()));
        });
    });
    let guest = party.guest(Via::WebSocket);
    party.noted(&["websocket Opened", "websocket PacketCreate(Open)"]);
    party.join(&guest, "/");
    party.noted(&[
        "websocket Packet(Message)",
        "websocket PacketCreate(Message)",
    ]);
    assert_eq!(party.io.census().sessions_websocket, 1);
}

#[test]
fn a_preflight_may_be_answered_by_on_request() {
    let config = Config {
        cors: Some(emio::Cors::any().preflight_continue(true)),
        ..Config::default()
    };
    let mut party = Party::with(config, |io| {
        io.on_request(|log: &mut Log, _, request| {
            log.note(format!("{} {}", request.method, request.path));
            Response::new(200)
        });
    });
    let client = party.ask(request("OPTIONS", &polling(""), ""));
    let answer = party.answer(client);
    answer.is(200, "");
    assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
    assert!(answer.header("access-control-allow-methods").is_some());
    party.noted(&["OPTIONS /socket.io/"]);
}
