//! Dynamic namespaces, what is heard of every packet, rooms that tell, and parsers of one's own.

#[path = "common/sio.rs"]
mod sio;

use emio::{
    Args, BadPacket, Bytes, Cause, Config, Crank, Handshake, Io, OwnedPacket, Packet, PacketKind,
    Parser, Problem, Refusal, RoomEvent, Socket, SocketId,
};
use sio::*;

const INVALID: &str = "{\"message\":\"Invalid namespace\"}";

fn rooms(io: &mut Crank<Log>) {
    io.of_pattern("/room-#")
        .on_connect(|log: &mut Log, socket: Socket<'_, Log>| {
            log.note(format!("joined {}", socket.namespace()));
        })
        .on("say", |_, socket, (what,): (String,)| {
            socket.io().emit("said", what);
        });
}

#[test]
fn a_namespace_comes_to_be_when_a_client_asks_for_it() {
    for via in BOTH {
        let mut party = Party::new(|io| {
            rooms(io);
            io.on_new_namespace(|log: &mut Log, io: Io<'_, Log>| {
                log.note(format!("made {}", io.name()));
            });
        });
        let (guest, _) = party.enter(via);
        let (other, _) = party.enter(via);
        party.join(&guest, "/room-1");
        party.join(&other, "/room-1");
        party.join(&other, "/room-2");
        party.noted(&[
            "made /room-1",
            "joined /room-1",
            "joined /room-1",
            "made /room-2",
            "joined /room-2",
        ]);
        party.say(&other, "2/room-1,[\"say\",\"x\"]");
        party.hears(&guest, &["42/room-1,[\"said\",\"x\"]"]);
        party.say(&other, "2/room-2,[\"say\",\"y\"]");
        party.hears(&guest, &[]);
        party.hears(
            &other,
            &["42/room-1,[\"said\",\"x\"]", "42/room-2,[\"said\",\"y\"]"],
        );
        party.say(&guest, "0/room-x,");
        party.hears(&guest, &[&format!("44/room-x,{INVALID}")]);
    }
}

#[test]
fn a_parent_knows_its_namespaces_by_name_and_request() {
    let mut party = Party::new(|io| {
        io.of_dynamic(|_, name, hello: &Handshake<'_>| {
            name.starts_with("/team-") && hello.auth["token"] == "secret"
        })
        .middleware(|_, _, hello| match hello.auth["name"].as_str() {
            Some("eve") => Err(Refusal::new("not you")),
            _ => Ok(()),
        });
        rooms(io);
    });
    let (guest, _) = party.enter(Via::WebSocket);
    party.say(&guest, "0/team-a,{\"token\":\"guess\"}");
    party.hears(&guest, &[&format!("44/team-a,{INVALID}")]);
    party.say(&guest, "0/team-a,{\"token\":\"secret\",\"name\":\"eve\"}");
    party.hears(&guest, &["44/team-a,{\"message\":\"not you\"}"]);
    party.say(&guest, "0/team-a,{\"token\":\"secret\"}");
    assert!(party.hear(&guest)[0].starts_with("40/team-a,{\"sid\":"));
    party.join(&guest, "/room-7");
}

#[test]
fn packets_behind_a_connect_wait_for_the_namespace_to_be_made() {
    let mut party = Party::new(rooms);
    let (guest, _) = party.enter(Via::WebSocket);
    party.say_all(&guest, &[T("0/room-1,"), T("2/room-1,[\"say\",\"x\"]")]);
    let heard = party.hear(&guest);
    assert!(heard[0].starts_with("40/room-1,"), "{heard:?}");
    assert_eq!(heard[1], "42/room-1,[\"said\",\"x\"]");
}

#[test]
fn a_dynamic_namespace_that_everyone_has_left_is_forgotten() {
    for cleans in [true, false] {
        let config = Config {
            cleanup_empty_namespaces: cleans,
            dynamic_namespaces_max: 2,
            ..Config::default()
        };
        let mut party = Party::with(config, rooms);
        let (guest, _) = party.enter(Via::WebSocket);
        party.join(&guest, "/room-1");
        party.join(&guest, "/room-2");
        party.say(&guest, "0/room-3,");
        party.hears(&guest, &["44/room-3,{\"message\":\"Too many namespaces\"}"]);
        party.say(&guest, "1/room-1,");
        party.turn();
        party.say(&guest, "0/room-3,");
        let heard = party.hear(&guest);
        assert_eq!(heard[0].starts_with("40/room-3,"), cleans, "{heard:?}");
    }
}

#[test]
fn a_timer_of_a_namespace_that_is_gone_does_not_run_in_another() {
    let mut party = Party::new(|io| {
        io.of_pattern("/room-#").on("later", |_, socket, (): ()| {
            socket.io().set_timeout(ms(100), |log, io| {
                log.note(format!("in {}", io.name()));
                io.emit("late", ());
            });
        });
    });
    let (guest, _) = party.enter(Via::WebSocket);
    party.join(&guest, "/room-1");
    party.say(&guest, "2/room-1,[\"later\"]");
    party.say(&guest, "1/room-1,");
    party.turn();
    party.join(&guest, "/room-2");
    party.advance(200);
    party.noted(&[]);
    party.say(&guest, "2/room-2,[\"later\"]");
    party.advance(200);
    party.noted(&["in /room-2"]);
    party.hears(&guest, &["42/room-2,[\"late\"]"]);
}

#[test]
fn everyone_below_a_parent_can_be_reached() {
    let mut party = Party::new(|io| {
        let parent = io.of_pattern("/room-#").parent_id();
        io.on("all", move |_, socket, (): ()| {
            socket
                .io()
                .children(parent)
                .for_each(|child| child.emit("hello", ()));
        });
    });
    let (guest, _) = party.enter(Via::WebSocket);
    party.join(&guest, "/room-1");
    party.join(&guest, "/room-2");
    party.say(&guest, "2[\"all\"]");
    let mut heard = party.hear(&guest);
    heard.sort();
    assert_eq!(heard, ["42/room-1,[\"hello\"]", "42/room-2,[\"hello\"]"]);
}

fn guarded(io: &mut Crank<Log>) {
    io.of("/")
        .on_any(|log: &mut Log, _, name, args: Args<'_>| {
            log.note(format!("any {name} {}", args.raw()));
        })
        .event_middleware(|log: &mut Log, socket, name, args: Args<'_>| {
            log.note(format!("first {name} {}", args.len()));
            socket.emit("seen", name);
            match name {
                "blocked" => Err(Refusal::new("event blocked")),
                _ => Ok(()),
            }
        })
        .event_middleware(|log: &mut Log, _, name, _| {
            log.note(format!("second {name}"));
            Ok(())
        })
        .on("open", |log: &mut Log, socket, (): ()| {
            log.note("handled");
            socket.reply("yes");
        })
        .on("blocked", |log: &mut Log, _, (): ()| log.note("never"));
}

#[test]
fn event_middleware_is_asked_about_each_packet_and_may_drop_it() {
    let mut party = Party::new(|io| {
        guarded(io);
        io.of("/")
            .on_error(|_, socket, problem: &Problem| match &problem.cause {
                Cause::Refused(refusal) => socket.emit("mw-error", refusal.message()),
                other => panic!("{other:?}"),
            });
    });
    let (guest, _) = party.enter(Via::WebSocket);
    party.say(&guest, "27[\"open\"]");
    party.noted(&["any open ", "first open 0", "second open", "handled"]);
    party.hears(&guest, &["42[\"seen\",\"open\"]", "437[\"yes\"]"]);
    party.say(&guest, "28[\"blocked\",1]");
    party.noted(&["any blocked 1", "first blocked 1"]);
    // What it asked for before it refused is not done, and nobody answers.
    party.hears(&guest, &["42[\"mw-error\",\"event blocked\"]"]);
    // Also for events that nobody handles.
    party.say(&guest, "2[\"unknown\"]");
    party.noted(&["any unknown ", "first unknown 0", "second unknown"]);
    party.hears(&guest, &["42[\"seen\",\"unknown\"]"]);
}

#[test]
fn who_hears_everything_may_answer_or_end_the_socket_before_its_handler() {
    let mut party = Party::new(|io| {
        io.of("/")
            .on_any(|_, socket, name, _| match name {
                "bye" => socket.disconnect(false),
                _ => socket.reply("from any"),
            })
            .on("ask", |_, socket, (): ()| socket.reply("from the handler"))
            .on("bye", |log: &mut Log, _, (): ()| log.note("never"));
    });
    let (guest, _) = party.enter(Via::WebSocket);
    party.say(&guest, "21[\"ask\"]");
    party.hears(&guest, &["431[\"from any\"]"]);
    party.say(&guest, "2[\"bye\"]");
    party.hears(&guest, &["41"]);
    party.noted(&[]);
}

#[test]
fn an_error_hook_of_a_namespace_is_told_before_that_of_the_server() {
    let mut party = Party::new(|io| {
        io.on_error(|log: &mut Log, _| log.note("server"));
        io.on("bad", |_, _, (_,): (u32,)| {});
        io.of("/own").on("bad", |_, _, (_,): (u32,)| {}).on_error(
            |log: &mut Log, socket, problem: &Problem| {
                log.note(format!("own {:?}", problem.event));
                // Its own error is not told to it again.
                socket.emit("connect", ());
            },
        );
    });
    let (guest, _) = party.enter(Via::WebSocket);
    party.join(&guest, "/own");
    party.say(&guest, "2[\"bad\",\"x\"]");
    party.noted(&["server"]);
    party.say(&guest, "2/own,[\"bad\",\"x\"]");
    party.noted(&["own Some(\"bad\")", "server"]);
}

#[test]
fn everything_that_is_sent_can_be_heard() {
    let mut party = Party::new(|io| {
        io.of("/")
            .on_any_outgoing(|log: &mut Log, _: SocketId, name, args: Args<'_>| {
                log.note(format!("{name} {}", args.raw()));
            })
            .on("one", |_, socket, (): ()| socket.emit("uno", (1, "x")))
            .on("all", |_, socket, (): ()| socket.io().emit("tutti", ()))
            .on("others", |_, socket, (): ()| {
                socket.broadcast().emit("altri", ())
            })
            .on("reply", |_, socket, (): ()| socket.reply(1));
    });
    let (guest, _) = party.enter(Via::WebSocket);
    let (_other, _) = party.enter(Via::Polling);
    party.say(&guest, "2[\"one\"]");
    party.noted(&["uno 1,\"x\""]);
    party.say(&guest, "2[\"all\"]");
    party.noted(&["tutti ", "tutti "]);
    party.say(&guest, "2[\"others\"]");
    party.noted(&["altri "]);
    party.say(&guest, "21[\"reply\"]");
    party.noted(&[]);
}

#[test]
fn rooms_tell_when_they_are_created_joined_left_and_deleted() {
    let mut party = Party::new(|io| {
        io.of("/")
            .on_room(|log: &mut Log, _: Io<'_, Log>, room, what| {
                log.note(match what {
                    RoomEvent::Created => format!("{room} created"),
                    RoomEvent::Deleted => format!("{room} deleted"),
                    RoomEvent::Joined(_) => format!("{room} joined"),
                    RoomEvent::Left(_) => format!("{room} left"),
                });
            })
            .on("join", |_, socket, (room,): (String,)| socket.join(room))
            .on("leave", |_, socket, (room,): (String,)| socket.leave(room))
            .on_disconnecting(|log: &mut Log, _, _| log.note("disconnecting"))
            .on_disconnect(|log: &mut Log, _, _| log.note("disconnect"));
    });
    let (guest, _) = party.enter(Via::WebSocket);
    let (other, _) = party.enter(Via::WebSocket);
    party.say(&guest, "2[\"join\",\"a\"]");
    party.say(&guest, "2[\"join\",\"a\"]");
    party.say(&other, "2[\"join\",\"a\"]");
    party.say(&guest, "2[\"leave\",\"a\"]");
    party.noted(&["a created", "a joined", "a joined", "a left"]);
    // Spec 2.6.16: its rooms are left between the two.
    party.say(&other, "1");
    party.noted(&["disconnecting", "a left", "a deleted", "disconnect"]);
}

/// Packets as lines: kind, namespace, id, JSON, and attachments in hexadecimal.
struct Lines;

impl Parser for Lines {
    fn encode(&mut self, packet: &Packet<'_>, send: &mut dyn FnMut(bool, &[u8])) {
        let id = packet.id.map_or(String::new(), |id| id.to_string());
        let mut lines = format!(
            "{:?}\n{}\n{id}\n{}",
            packet.kind, packet.namespace, packet.json
        );
        for attachment in packet.attachments {
            lines.push('\n');
            lines.extend(attachment.iter().map(|byte| format!("{byte:02x}")));
        }
        send(true, lines.as_bytes());
    }

    fn decode(&mut self, message: &[u8], is_binary: bool) -> Result<OwnedPacket, BadPacket> {
        let text = std::str::from_utf8(message).map_err(|_| BadPacket)?;
        let mut lines = text.split('\n');
        let mut line = || lines.next().ok_or(BadPacket);
        let kind = match (is_binary, line()?) {
            (true, "Connect") => PacketKind::Connect,
            (true, "Disconnect") => PacketKind::Disconnect,
            (true, "Event") => PacketKind::Event,
            (true, "Ack") => PacketKind::Ack,
            _ => return Err(BadPacket),
        };
        let (namespace, id, json) = (line()?.to_owned(), line()?, line()?.to_owned());
        let bytes = |hex: &str| {
            let pairs = hex.as_bytes().chunks(2);
            let byte = |pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
            Bytes::from(pairs.map(byte).collect::<Vec<_>>())
        };
        Ok(OwnedPacket {
            kind,
            namespace,
            id: id.parse().ok(),
            json,
            attachments: lines.map(bytes).collect(),
        })
    }
}

/// What a guest of a server with that parser hears, line ends as bars.
fn lines(party: &mut Party, guest: &Guest) -> Vec<String> {
    let client = party.client(guest);
    let frames = party.frames(client);
    let text = |frame: Frame| String::from_utf8(frame.payload).unwrap().replace('\n', "|");
    frames.into_iter().map(text).collect()
}

fn say_line(party: &mut Party, guest: &Guest, line: &str) {
    party.say_binary(guest, line.replace('|', "\n").as_bytes());
}

#[test]
fn packets_may_be_written_otherwise() {
    let mut party = Party::new(|io| {
        io.set_parser(Lines);
        io.on_raw("echo", |_, socket, args: Args<'_>| {
            socket.emit("echo", args);
            socket.io().emit("all", args);
            socket.reply(args);
        });
        io.on("ask", |log: &mut Log, socket, (): ()| {
            let _ = log;
            socket.emit_with_ack("ask", (), ms(1_000), |log, _, answer: Result<u32, _>| {
                log.note(format!("{answer:?}"));
            });
        });
        io.of("/no").middleware(|_, _, _| Err(Refusal::new("no")));
    });
    let guest = party.guest(Via::WebSocket);
    say_line(&mut party, &guest, "Connect|/||");
    let heard = lines(&mut party, &guest);
    assert!(heard[0].starts_with("Connect|/||{\"sid\":"), "{heard:?}");
    let binary = "[\"echo\",{\"_placeholder\":true,\"num\":0}]|0102ff";
    say_line(&mut party, &guest, &format!("Event|/|5|{binary}"));
    let all = binary.replace("echo", "all");
    let ack = binary.replace("\"echo\",", "");
    assert_eq!(
        lines(&mut party, &guest),
        [
            format!("Event|/||{binary}"),
            format!("Event|/||{all}"),
            format!("Ack|/|5|{ack}"),
        ]
    );
    say_line(&mut party, &guest, "Event|/||[\"ask\"]");
    assert_eq!(lines(&mut party, &guest), ["Event|/|0|[\"ask\"]"]);
    say_line(&mut party, &guest, "Ack|/|0|[7]");
    party.noted(&["Ok(7)"]);
    say_line(&mut party, &guest, "Connect|/no||");
    say_line(&mut party, &guest, "Connect|/nowhere||");
    assert_eq!(
        lines(&mut party, &guest),
        [
            "ConnectError|/no||{\"message\":\"no\"}".to_owned(),
            format!("ConnectError|/nowhere||{INVALID}"),
        ]
    );
}

#[test]
fn what_a_parser_returns_is_checked_like_what_a_client_writes() {
    for bad in [
        "Event|/||[]",
        "Event|/||{}",
        "Event|/||[\"connect\"]",
        "Event|/||[\"a\",{\"_placeholder\":true,\"num\":1}]|00",
        "Event|/||[\"a\"",
        "Event|nowhere||[\"a\"]",
        "Event|/nowhere||[\"a\"]",
        "Ack|/||[1]",
        "Ack|/|1|1",
        "Connect|/||[]",
        "Connect|/||",
        "Disconnect|/||{}",
        "Nonsense|/||",
    ] {
        let mut party = Party::new(|io| {
            io.set_parser(Lines);
            reasons(io);
        });
        let guest = party.guest(Via::WebSocket);
        say_line(&mut party, &guest, "Connect|/||");
        lines(&mut party, &guest);
        say_line(&mut party, &guest, bad);
        party.noted(&["forced close"]);
    }
}
