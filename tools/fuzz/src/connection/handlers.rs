//! Handlers that do what clients ask for, with everything that emio offers. They count the
//! promises that are still to be kept.

use std::{collections::BTreeSet, time::Duration};

use emio::{
    Args, Bytes, Crank, Io, Namespace, Peer, Reason, Refusal, Response, RoomEvent, SessionEvent,
    Socket,
    stream::{Flow, Next, Read, Stream},
};

use super::parser::Trusting;
use crate::app::Guide;

/// Registers the handlers; `options` are those that not every server has.
pub fn prepare(crank: &mut Crank<Guide>, options: u8) {
    let is = |bit: u8| options & 1 << bit != 0;
    handle(&mut crank.of("/"), is(0));
    let mut a = crank.of("/a");
    a.middleware(|_, socket, hello| match hello.auth["no"].is_null() {
        true => {
            socket.join("s");
            Ok(())
        }
        false => Err(Refusal::new("no")),
    });
    a.middleware_deferred(|app: &mut Guide, _, hello, decision| {
        if hello.auth["later"].is_null() {
            drop(decision.allow());
        } else if !app.is_over {
            app.decisions.push(decision);
        }
    });
    handle(&mut a, is(0));
    handle(&mut crank.of_pattern("/d-#"), is(0));
    live(crank);
    crank.on_error(|_, problem| assert!(!problem.to_string().is_empty()));
    if is(1) {
        crank.on_request_deferred(|app: &mut Guide, _, _, responder| {
            if !app.is_over {
                app.responders.push(responder);
            }
        });
    } else {
        crank.on_request(|_, _, request| {
            Response::bytes("text/plain", [b"=", request.body].concat())
        });
    }
    if is(2) {
        crank.allow_request_deferred(|app: &mut Guide, _, _, decision| {
            if !app.is_over {
                app.decisions.push(decision);
            }
        });
    } else if is(3) {
        crank.allow_request(|_, hello| match hello.query("no") {
            None => Ok(()),
            Some(why) => Err(Refusal::new(why)),
        });
    }
    if is(4) {
        watch(crank);
    }
    if is(5) {
        crank.set_parser(Trusting);
    }
}

fn watch(crank: &mut Crank<Guide>) {
    crank.on_session_event(|app, _, event| match event {
        SessionEvent::Opened => app.sessions += 1,
        SessionEvent::Closed(_) => app.sessions -= 1,
        _ => {}
    });
    // Unguessable they need not be here.
    let mut ids = 0_u64;
    crank.generate_id(move |_, hello| {
        ids += 1;
        let [a, b, c, d, e, f, g, h] = ids.to_be_bytes();
        hello
            .query("id")
            .is_none()
            .then_some([1, 2, 3, a, b, c, d, e, f, g, h])
    });
    crank.on_connection_error(|_, error| assert!(!format!("{error:?}").is_empty()));
    crank.initial_headers(|_, hello, headers| {
        if let Some(value) = hello.query("t") {
            let _ = headers.append("X-T", &value);
        }
    });
}

/// WebSockets of the application's own, which say what they hear.
fn live(crank: &mut Crank<Guide>) {
    let mut live = crank.websocket("/live");
    live.on_open(|app, websocket, _| {
        app.websockets.push(websocket.id());
        websocket.send_text("welcome");
    });
    live.on_message(|_, websocket, message| match message {
        emio::Message::Text("close") => websocket.close(1000),
        emio::Message::Text(text) => websocket.send_text(text),
        emio::Message::Binary(data) => websocket.send_binary(data),
    });
    live.on_close(|app, id, _| {
        let before = app.websockets.len();
        app.websockets.retain(|other| *other != id);
        assert_eq!(app.websockets.len() + 1, before, "closed twice");
    });
}

fn handle(namespace: &mut Namespace<'_, Guide>, has_rooms_told: bool) {
    namespace
        .on_connect(|app: &mut Guide, socket: Socket<'_, Guide>| {
            assert!(app.connected.insert(socket.id()), "connected twice");
            assert!(socket.is_connected());
            socket.emit("welcome", socket.id());
        })
        .on_disconnecting(|_: &mut Guide, socket: Socket<'_, Guide>, _: Reason| {
            socket.to("r").emit("leaving", socket.rooms());
        })
        .on_disconnect(|app: &mut Guide, socket: Socket<'_, Guide>, _: Reason| {
            assert!(app.connected.remove(&socket.id()), "gone twice");
            assert!(!socket.is_connected());
            socket.emit("gone", ());
        });
    if has_rooms_told {
        tell_rooms(namespace);
    }
    talk(namespace);
    send(namespace);
    end(namespace);
    stream(namespace);
}

fn tell_rooms(namespace: &mut Namespace<'_, Guide>) {
    namespace.on_room(|app: &mut Guide, io: Io<'_, Guide>, room, event| {
        let place = (io.name().to_owned(), room.to_owned());
        match event {
            RoomEvent::Created => {
                assert!(
                    app.rooms.insert(place, BTreeSet::new()).is_none(),
                    "created twice"
                );
            }
            RoomEvent::Deleted => {
                assert_eq!(app.rooms.remove(&place), Some(BTreeSet::new()), "deleted");
            }
            RoomEvent::Joined(id) => {
                let members = app.rooms.get_mut(&place).expect("it was created");
                assert!(members.insert(id), "joined twice");
            }
            RoomEvent::Left(id) => {
                let members = app.rooms.get_mut(&place).expect("it was created");
                assert!(members.remove(&id), "left twice");
            }
        }
    });
    namespace.event_middleware(|_, _, event, args| match args.len() > 6 {
        false => Ok(()),
        true => Err(Refusal::new(event)),
    });
    namespace.on_any(|app: &mut Guide, socket, _, args| {
        assert!(
            app.connected.contains(&socket.id()),
            "heard before it came or after it went"
        );
        assert_eq!(args.values().len(), args.len());
        socket.data.heard += 1;
    });
    namespace.on_any_outgoing(|_, _, event, _| assert!(!event.is_empty()));
}

/// What is answered.
fn talk(namespace: &mut Namespace<'_, Guide>) {
    namespace
        .on_raw(
            "echo",
            |_: &mut Guide, socket: Socket<'_, Guide>, args: Args<'_>| {
                socket.emit("echo", args);
                socket.reply(("nested", args));
            },
        )
        .on_raw(
            "ack",
            |_: &mut Guide, socket: Socket<'_, Guide>, args: Args<'_>| {
                socket.reply(args);
            },
        )
        .on(
            "later",
            |app: &mut Guide, socket: Socket<'_, Guide>, _: ()| {
                let ack = socket.ack().filter(|_| !app.is_over);
                app.acks.extend(ack);
            },
        )
        .on(
            "typed",
            |_: &mut Guide, socket: Socket<'_, Guide>, args: (String, u32, Option<Bytes>)| {
                let (text, number, bytes) = args;
                socket.emit("typed", (number, &text, &bytes));
                socket.broadcast().emit("typed", (bytes, text));
            },
        )
        .on(
            "ask",
            |app: &mut Guide, socket: Socket<'_, Guide>, _: ()| {
                app.awaited += 1;
                let second = Duration::from_secs(1);
                socket.emit_with_ack(
                    "question",
                    1,
                    second,
                    |app, _, _: Result<emio::OwnedArgs, _>| {
                        app.awaited -= 1;
                    },
                );
            },
        )
        .on(
            "ask all",
            |app: &mut Guide, socket: Socket<'_, Guide>, _: ()| {
                app.awaited += 1;
                let everyone = socket.io().timeout(Duration::from_secs(1));
                everyone.emit_with_ack("question", 2, |app, _, _: Result<Vec<u32>, _>| {
                    app.awaited -= 1;
                });
            },
        )
        .on(
            "fetch",
            |app: &mut Guide, socket: Socket<'_, Guide>, _: ()| {
                app.awaited += 1;
                socket.io().fetch_sockets(|app, io, sockets| {
                    app.awaited -= 1;
                    io.emit("count", sockets.len());
                });
            },
        )
        .on("fail", |_: &mut Guide, _: Socket<'_, Guide>, _: ()| {
            Err("failed")
        });
}

/// What is sent to others.
fn send(namespace: &mut Namespace<'_, Guide>) {
    namespace
        .on(
            "join",
            |_: &mut Guide, socket: Socket<'_, Guide>, (room,): (String,)| {
                socket.join(room);
            },
        )
        .on(
            "leave",
            |_: &mut Guide, socket: Socket<'_, Guide>, (room,): (String,)| {
                socket.leave(room);
            },
        )
        .on_raw(
            "to",
            |_: &mut Guide, socket: Socket<'_, Guide>, args: Args<'_>| {
                let room: String = args.get(0)?;
                socket.to(&room).except("t").emit("to", args.skip(1));
                Ok::<(), emio::ArgsError>(())
            },
        )
        .on_raw(
            "all",
            |_: &mut Guide, socket: Socket<'_, Guide>, args: Args<'_>| {
                socket.io().emit("all", args);
            },
        )
        .on_raw(
            "volatile",
            |_: &mut Guide, socket: Socket<'_, Guide>, args: Args<'_>| {
                socket.io().volatile().emit("volatile", args);
            },
        )
        .on(
            "burst",
            |_: &mut Guide, socket: Socket<'_, Guide>, (count,): (u8,)| {
                for n in 0..count.min(50) {
                    socket.io().emit("burst", (n, "some bytes"));
                }
            },
        )
        .on(
            "timer",
            |_: &mut Guide, socket: Socket<'_, Guide>, (ms,): (u16,)| {
                let after = Duration::from_millis(ms.into());
                socket.io().set_timeout(after, |_, io| io.emit("timer", ()));
            },
        )
        .on(
            "expire",
            |_: &mut Guide, socket: Socket<'_, Guide>, (ms,): (u16,)| {
                socket.expires_in(Duration::from_millis(ms.into()));
            },
        )
        .on_upgrade(|_: &mut Guide, socket: Socket<'_, Guide>| socket.emit("upgraded", ()))
        .on_drain(|_: &mut Guide, socket: Socket<'_, Guide>| {
            assert!(socket.is_connected());
        })
        .on_expiring(|_: &mut Guide, socket: Socket<'_, Guide>| socket.emit("expiring", ()));
}

fn end(namespace: &mut Namespace<'_, Guide>) {
    namespace
        .on("out", |_: &mut Guide, socket: Socket<'_, Guide>, _: ()| {
            socket.disconnect(false);
            socket.emit("late", ());
        })
        .on(
            "close",
            |_: &mut Guide, socket: Socket<'_, Guide>, _: ()| {
                socket.emit("last", ());
                socket.disconnect(true);
            },
        )
        .on("cut", |_: &mut Guide, socket: Socket<'_, Guide>, _: ()| {
            socket.close_connection();
        });
}

/// Streams of clients, and one of the server's own.
fn stream(namespace: &mut Namespace<'_, Guide>) {
    namespace.stream_limits(emio::stream::Limits {
        idle_timeout: Duration::from_secs(2),
        streams_per_socket_max: 3,
        streams_max: 5,
        chunk_bytes_max: 100,
    });
    namespace.on_stream(
        "up",
        |app: &mut Guide, socket: Socket<'_, Guide>, (stream, is_slow): (Stream, Option<bool>)| {
            read(app, &socket, &stream, is_slow.is_some());
            socket.data.streams.push(stream);
        },
    );
    namespace.on_stream(
        "down",
        |app: &mut Guide, socket: Socket<'_, Guide>, (stream, end): (Stream, Option<u8>)| {
            write(app, &socket, &stream, end.unwrap_or(3));
            socket.data.streams.push(stream);
        },
    );
    namespace
        .on(
            "offer",
            |app: &mut Guide, socket: Socket<'_, Guide>, _: ()| {
                let stream = Stream::half_open(&socket);
                write(app, &socket, &stream, 2);
                emio::stream::emit(&socket, "files", (1, &stream));
                app.awaited += 1;
                let (name, second) = ("answer", Duration::from_secs(1));
                emio::stream::emit_with_ack(&socket, name, stream, second, answered);
            },
        )
        .on(
            "resume",
            |_: &mut Guide, socket: Socket<'_, Guide>, _: ()| {
                for stream in &socket.data.streams {
                    stream.resume(&socket);
                    stream.ready(&socket);
                }
            },
        )
        .on(
            "stop",
            |_: &mut Guide, socket: Socket<'_, Guide>, (why,): (Option<String>,)| {
                for stream in &socket.data.streams {
                    match &why {
                        Some(why) => stream.fail(&socket, why),
                        None => stream.end(&socket),
                    }
                }
            },
        );
}

fn answered(app: &mut Guide, socket: Socket<'_, Guide>, answer: Result<(Stream,), emio::AckError>) {
    app.awaited -= 1;
    if let Ok((stream,)) = answer {
        read(app, &socket, &stream, false);
    }
}

/// Every reader is told the end once.
fn read(app: &mut Guide, socket: &Peer<'_, Guide>, stream: &Stream, is_slow: bool) {
    app.streaming += 1;
    stream.read(socket, move |app: &mut Guide, socket, read| {
        match read {
            Read::Chunk(chunk) => {
                assert!(!chunk.is_empty());
                socket.emit("chunk", chunk.len());
            }
            Read::End | Read::Failed(_) => app.streaming -= 1,
        }
        if is_slow { Flow::Hold } else { Flow::Next }
    });
}

/// So is every writer. It has something to send at every second time.
fn write(app: &mut Guide, socket: &Peer<'_, Guide>, stream: &Stream, chunks: u8) {
    app.streaming += 1;
    let mut turns = 0;
    let next = move |_: &mut Guide, _: Socket<'_, Guide>| {
        turns += 1;
        match turns {
            255 => Next::Fail("too long".to_owned()),
            turn if turn > chunks => Next::End,
            turn if turn % 2 == 0 => Next::Later,
            turn => Next::Chunk(Bytes::from([turn; 10])),
        }
    };
    stream.write(socket, next, |app: &mut Guide, _, _| app.streaming -= 1);
}
