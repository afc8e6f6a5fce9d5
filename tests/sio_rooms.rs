//! Rooms, broadcasts and volatile events, line by line of spec 2.8.

#[path = "common/sio.rs"]
mod sio;

use emio::{Cause, Config, Crank, Problem, Socket, SocketId};
use sio::*;

/// `join`, `leave`, `rooms`; `to` sends `hi` to rooms from the socket, `io` from the server.
fn rooms(io: &mut Crank<Log>) {
    io.on("join", |_, socket, rooms: Vec<String>| {
        rooms.iter().for_each(|room| socket.join(room))
    });
    io.on("leave", |_, socket, (room,): (String,)| socket.leave(room));
    io.on("rooms", |log: &mut Log, socket, (): ()| {
        log.note(format!("{:?}", socket.rooms()))
    });
    io.on("to", |_, socket, rooms: Vec<String>| {
        socket.to(rooms).emit("hi", ())
    });
    io.on("io", |_, socket, rooms: Vec<String>| {
        socket.io().to(rooms).emit("hi", ())
    });
}

/// So many sockets, in turn over polling and WebSocket, of which each has joined its rooms.
fn crowd(party: &mut Party, rooms: &[&[&str]]) -> Vec<(Guest, SocketId)> {
    let enter = |(n, rooms): (usize, &&[&str])| {
        let (guest, id) = party.enter(BOTH[n % 2]);
        let names = rooms.iter().map(|room| format!(",\"{room}\""));
        party.say(&guest, &format!("2[\"join\"{}]", names.collect::<String>()));
        party.hear(&guest);
        (guest, id)
    };
    rooms.iter().enumerate().map(enter).collect()
}

/// Who has heard `hi`, and how often; nobody has heard anything else.
#[track_caller]
fn heard(party: &mut Party, crowd: &[(Guest, SocketId)]) -> Vec<usize> {
    let mut counts = Vec::new();
    for (guest, _) in crowd {
        let packets = party.hear(guest);
        assert!(
            packets.iter().all(|packet| packet == "42[\"hi\"]"),
            "{packets:?}"
        );
        counts.push(packets.len());
    }
    counts
}

#[test]
fn wire_2_8_1_every_socket_is_in_the_room_of_its_id() {
    let mut party = Party::new(rooms);
    let crowd = crowd(&mut party, &[&[], &[], &["x"]]);
    let id = crowd[1].1;
    party.say(&crowd[0].0, &format!("2[\"to\",\"{id}\"]"));
    assert_eq!(heard(&mut party, &crowd), [0, 1, 0]);
    party.say(&crowd[0].0, &format!("2[\"io\",\"{id}\",\"x\"]"));
    assert_eq!(heard(&mut party, &crowd), [0, 1, 1]);
    // Others may join that room, and the socket stays in it whatever it does.
    party.say(&crowd[2].0, &format!("2[\"join\",\"{id}\"]"));
    party.say(&crowd[1].0, &format!("2[\"leave\",\"{id}\"]"));
    party.say(&crowd[0].0, &format!("2[\"io\",\"{id}\"]"));
    assert_eq!(heard(&mut party, &crowd), [0, 1, 1]);
    party.leave(&crowd[1].0);
    party.say(&crowd[0].0, &format!("2[\"io\",\"{id}\"]"));
    party.hears(&crowd[2].0, &["42[\"hi\"]"]);
    // It is not listed: joining it changes nothing.
    party.say(&crowd[0].0, &format!("2[\"join\",\"{}\"]", crowd[0].1));
    party.say(&crowd[0].0, "2[\"rooms\"]");
    party.noted(&["[]"]);
    assert_eq!(party.stats().rooms, 2);
}

#[test]
fn a_room_named_like_an_id_of_another_namespace_reaches_nobody_there() {
    let mut party = Party::new(|io| {
        rooms(io);
        io.of("/a").on("to", |_, socket, rooms: Vec<String>| {
            socket.to(rooms).emit("hi", ())
        });
    });
    let (guest, id) = party.enter(Via::WebSocket);
    let (other, _) = party.enter(Via::WebSocket);
    party.join(&other, "/a");
    party.say(&other, &format!("2/a,[\"to\",\"{id}\"]"));
    party.hears(&guest, &[]);
}

#[test]
fn wire_2_8_2_whom_operators_mean() {
    let mut party = Party::new(|io| {
        rooms(io);
        io.on("broadcast", |_, socket, (): ()| {
            socket.broadcast().emit("hi", ())
        });
        io.on("all", |_, socket, (): ()| socket.io().emit("hi", ()));
        io.on("except", |_, socket, names: Vec<String>| {
            socket.except(names).emit("hi", ())
        });
        io.on("io except", |_, socket, names: Vec<String>| {
            socket.io().except(names).emit("hi", ());
        });
        io.on("a not b", |_, socket, (): ()| {
            socket.io().to("a").except("b").emit("hi", ())
        });
        io.on("chain", |_, socket, (): ()| {
            socket.to("a").within("b").to(["c"]).emit("hi", ())
        });
    });
    let crowd = crowd(&mut party, &[&["a"], &["a", "b"], &["b", "c"], &["c"], &[]]);
    let ids: Vec<_> = crowd.iter().map(|(_, id)| format!("\"{id}\"")).collect();
    let (one, four) = (&ids[1], &ids[4]);
    for (packet, expected) in [
        ("\"broadcast\"".to_owned(), [0, 1, 1, 1, 1]),
        ("\"all\"".to_owned(), [1, 1, 1, 1, 1]),
        ("\"to\",\"a\"".to_owned(), [0, 1, 0, 0, 0]),
        ("\"io\",\"a\"".to_owned(), [1, 1, 0, 0, 0]),
        // In several rooms, once.
        ("\"io\",\"a\",\"b\",\"a\"".to_owned(), [1, 1, 1, 0, 0]),
        (format!("\"io\",\"a\",{one},{one}"), [1, 1, 0, 0, 0]),
        ("\"io\",\"nobody\"".to_owned(), [0; 5]),
        // No room at all is everyone.
        ("\"io\"".to_owned(), [1; 5]),
        ("\"to\"".to_owned(), [0, 1, 1, 1, 1]),
        ("\"except\",\"b\"".to_owned(), [0, 0, 0, 1, 1]),
        (format!("\"except\",\"nobody\",{four}"), [0, 1, 1, 1, 0]),
        ("\"io except\",\"a\",\"c\"".to_owned(), [0, 0, 0, 0, 1]),
        (format!("\"io except\",{}", ids.join(",")), [0; 5]),
        ("\"a not b\"".to_owned(), [1, 0, 0, 0, 0]),
        ("\"chain\"".to_owned(), [0, 1, 1, 1, 0]),
    ] {
        party.say(&crowd[0].0, &format!("2[{packet}]"));
        assert_eq!(heard(&mut party, &crowd), expected, "{packet}");
    }
}

#[test]
fn a_handler_sees_its_own_joins() {
    for via in BOTH {
        let mut party = Party::new(|io| {
            io.on("go", |log: &mut Log, socket, (): ()| {
                let mut seen = |socket: &Socket<'_, Log>| log.note(format!("{:?}", socket.rooms()));
                socket.join("a");
                socket.join(String::from("b"));
                socket.join("a");
                seen(&socket);
                socket.leave("a");
                socket.leave("nowhere");
                socket.join(socket.id().to_string());
                seen(&socket);
                socket.leave("b");
                socket.join("b");
                socket.join("c");
                seen(&socket);
            });
            rooms(io);
        });
        let (guest, _) = party.enter(via);
        party.say_all(&guest, &[T("2[\"go\"]"), T("2[\"rooms\"]")]);
        party.noted(&[
            "[\"a\", \"b\"]",
            "[\"b\"]",
            "[\"b\", \"c\"]",
            "[\"b\", \"c\"]",
        ]);
        assert_eq!(party.stats().rooms, 2);
    }
}

#[test]
fn a_room_lasts_from_its_first_member_to_its_last() {
    let mut party = Party::new(rooms);
    let crowd = crowd(&mut party, &[&["a", "b"], &["b"], &["b"]]);
    assert_eq!(party.stats().rooms, 2);
    party.say(&crowd[0].0, "2[\"leave\",\"b\"]");
    party.say(&crowd[1].0, "1");
    party.say(&crowd[0].0, "2[\"io\",\"b\"]");
    party.hears(&crowd[2].0, &["42[\"hi\"]"]);
    party.leave(&crowd[2].0);
    assert_eq!(party.stats().rooms, 1);
    party.say(&crowd[0].0, "2[\"leave\",\"a\"]");
    assert_eq!(party.stats().rooms, 0);
}

#[test]
fn rooms_of_one_socket_and_their_names_have_limits() {
    let config = Config {
        rooms_per_socket_max: 2,
        name_bytes_max: 24,
        ..Config::default()
    };
    let mut party = Party::with(config, |io| {
        rooms(io);
        io.on_error(|log: &mut Log, problem: &Problem| log.note(problem.cause_name()));
    });
    let (guest, id) = party.enter(Via::WebSocket);
    party.say(
        &guest,
        "2[\"join\",\"a\",\"12345678-12345678-123456\",\"a\",\"c\"]",
    );
    party.say(&guest, "2[\"rooms\"]");
    party.noted(&["RoomsFull", "[\"a\", \"12345678-12345678-123456\"]"]);
    party.say(&guest, &format!("2[\"join\",\"{id}\"]"));
    party.say(&guest, "2[\"leave\",\"a\"]");
    party.say(&guest, "2[\"join\",\"12345678-12345678-1234567\",\"d\"]");
    party.say(&guest, "2[\"rooms\"]");
    party.noted(&["RoomName", "[\"12345678-12345678-123456\", \"d\"]"]);
}

trait Name {
    fn cause_name(&self) -> String;
}

impl Name for Problem {
    fn cause_name(&self) -> String {
        match &self.cause {
            Cause::Arguments(_) => "Arguments".to_owned(),
            Cause::Handler(error) => format!("Handler {error}"),
            Cause::Encode(_) => "Encode".to_owned(),
            other => format!("{other:?}"),
        }
    }
}

#[test]
fn wire_2_8_3_broadcasts_arrive_in_the_order_of_their_emission() {
    let mut party = Party::new(|io| {
        rooms(io);
        io.on("go", |_, socket, (): ()| {
            socket.emit("a", 1);
            socket.io().emit("a", 2);
            socket.emit("a", "3".repeat(10_000));
            socket.io().emit("a", "4".repeat(10_000));
            socket.emit("a", "5".repeat(70_000));
            socket.io().emit("a", 6);
            socket.emit("a", 7);
        });
    });
    for via in BOTH {
        let (guest, _) = party.enter(via);
        party.hear(&guest);
        party.say(&guest, "2[\"go\"]");
        let heard = party.hear(&guest);
        // What follows the name: the number itself, or the first digit of the long text.
        let first = |packet: &String| packet[7..].trim_start_matches('"').chars().next();
        let order: String = heard.iter().filter_map(first).collect();
        assert_eq!(order, "1234567");
    }
}

#[test]
fn wire_2_8_4_volatile_is_lost_for_a_client_that_polls_without_a_get() {
    let mut party = Party::new(|io| {
        io.on("go", |_, socket, (n,): (u32,)| {
            socket.io().volatile().emit("lost?", n);
            socket.to([""; 0]).volatile().emit("lost?", n);
        });
        io.on("me", |_, socket, (n,): (u32,)| {
            socket.volatile().emit("mine", n)
        });
    });
    let (guest, _) = party.enter(Via::WebSocket);
    // The answer to CONNECT has taken its GET.
    let poller = party.poller();
    party.poll(&poller);
    party.post(&poller, "40");
    assert!(party.polled(&poller).starts_with("40{"));
    party.say(&guest, "2[\"go\",1]");
    party.post(&poller, "42[\"me\",1]");
    assert_eq!(party.stats().volatile_dropped, 3);
    party.poll(&poller);
    party.is_silent(poller.get);
    party.say(&guest, "2[\"go\",2]");
    assert_eq!(party.polled(&poller), "42[\"lost?\",2]\x1e42[\"lost?\",2]");
    party.poll(&poller);
    party.post(&poller, "42[\"me\",2]");
    assert_eq!(party.polled(&poller), "42[\"mine\",2]");
    assert_eq!(party.stats().volatile_dropped, 3);
    party.hears(&guest, &["42[\"lost?\",1]", "42[\"lost?\",2]"]);
}

#[test]
fn wire_2_8_4_volatile_is_lost_for_a_websocket_with_a_backlog() {
    let mut party = Party::new(|io| {
        io.on("go", |_, socket, (n,): (u32,)| {
            socket.broadcast().volatile().emit("lost?", n);
            socket.broadcast().emit("sure", n);
        });
        io.on("me", |_, socket, (n,): (u32,)| {
            socket.volatile().emit("mine", n)
        });
    });
    let (guest, _) = party.enter(Via::WebSocket);
    let (slow, _) = party.enter(Via::WebSocket);
    party.say(&slow, "2[\"me\",0]");
    party.hears(&slow, &["42[\"mine\",0]"]);
    let client = party.client(&slow);
    party.let_write(client, Some(5));
    party.say(&guest, "2[\"go\",1]");
    party.say(&guest, "2[\"go\",2]");
    party.say(&slow, "2[\"me\",1]");
    assert!(party.stats().backlog_bytes > 0);
    party.let_write(client, None);
    party.say(&guest, "2[\"go\",3]");
    let sure = |n: u32| format!("42[\"sure\",{n}]");
    party.hears(
        &slow,
        &[
            "42[\"lost?\",1]",
            &sure(1),
            &sure(2),
            "42[\"lost?\",3]",
            &sure(3),
        ],
    );
    assert_eq!(party.stats().volatile_dropped, 2);
}

#[test]
fn wire_2_8_5_a_queue_has_a_limit() {
    for via in BOTH {
        let config = Config {
            backlog_bytes_max: 10_000,
            ..Config::default()
        };
        let mut party = Party::with(config, |io| {
            reasons(io);
            io.on("go", |_, socket, (): ()| {
                socket.broadcast().emit("a", "x".repeat(1_000))
            });
        });
        let (guest, _) = party.enter(Via::WebSocket);
        let (slow, _) = party.enter(via);
        let client = party.client(&slow);
        party.let_write(client, Some(0));
        for _ in 0..9 {
            party.say(&guest, "2[\"go\"]");
        }
        party.noted(&[]);
        for _ in 0..4 {
            party.say(&guest, "2[\"go\"]");
        }
        party.noted(&["transport error"]);
        assert_eq!(party.stats().sockets, 1);
        // What is left is an answer on its way.
        assert!(party.stats().backlog_bytes < 1_600);
    }
}

#[test]
fn a_broadcast_goes_on_when_a_receiver_breaks_on_the_way() {
    let mut party = Party::new(|io| {
        rooms(io);
        reasons(io);
    });
    let (sender, _) = party.enter(Via::WebSocket);
    // More than two batches.
    let crowd: Vec<_> = (0..300).map(|n| party.enter(BOTH[n % 2])).collect();
    for (guest, _) in &crowd {
        party.hear(guest);
    }
    for n in [3, 5, 127, 129, 255, 299] {
        let client = party.client(&crowd[n].0);
        party.break_writes(client);
    }
    party.say(&sender, "2[\"to\"]");
    assert_eq!(party.lines(), ["transport close"; 6]);
    assert_eq!(party.stats().sockets, 295);
    party.say(&sender, "2[\"to\"]");
    for (n, (guest, _)) in crowd.iter().enumerate() {
        let expected = if [3, 5, 127, 129, 255, 299].contains(&n) {
            0
        } else {
            2
        };
        assert_eq!(party.hear(guest).len(), expected, "{n}");
    }
    party.lines();
}

#[test]
fn a_broadcast_to_a_room_of_more_than_a_batch_with_some_excepted() {
    let mut party = Party::new(|io| {
        rooms(io);
        io.on("go", |_, socket, (): ()| {
            socket.to(["a", "b"]).except(["c", "d"]).emit("hi", ());
        });
    });
    let names: [&[&str]; 4] = [&["a"], &["a", "b"], &["b", "c"], &["d"]];
    let many: Vec<_> = (0..400).map(|n| names[n % 4]).collect();
    let crowd = crowd(&mut party, &many);
    party.say(&crowd[0].0, "2[\"go\"]");
    let expected: Vec<_> = (0..400).map(|n| usize::from(n > 0 && n % 4 < 2)).collect();
    assert_eq!(heard(&mut party, &crowd), expected);
}

#[test]
fn io_knows_its_sockets_and_other_namespaces() {
    let mut party = Party::new(|io| {
        io.of("/a");
        io.on("look", |log: &mut Log, socket, (other,): (String,)| {
            let io = socket.io();
            let mut ids: Vec<_> = io.sockets().map(|id| id.to_string()).collect();
            ids.sort();
            log.note(ids.join(" "));
            let id: SocketId = other.parse().expect("an id");
            match io.socket(id) {
                Some(peer) => peer.emit("seen", peer.namespace()),
                None => log.note("nobody"),
            }
            log.note(format!("{:?}", io.of("/a").map(|a| a.sockets().count())));
            log.note(format!("{:?}", io.of("a").map(|a| a.sockets().count())));
            log.note(format!("{:?}", io.of("/b").is_none()));
            if let Some(a) = io.of("/a") {
                a.emit("hi", 1);
                assert!(a.socket(id).is_none() || a.socket(id).unwrap().namespace() == "/a");
            }
        });
    });
    let (guest, one) = party.enter(Via::WebSocket);
    let (other, two) = party.enter(Via::Polling);
    let elsewhere = party.join(&other, "/a");
    let mut both = [one.to_string(), two.to_string()];
    both.sort();
    party.say(&guest, &format!("2[\"look\",\"{two}\"]"));
    party.noted(&[&both.join(" "), "Some(1)", "Some(1)", "true"]);
    party.hears(&other, &["42[\"seen\",\"/\"]", "42/a,[\"hi\",1]"]);
    party.say(&guest, &format!("2[\"look\",\"{elsewhere}\"]"));
    party.noted(&[&both.join(" "), "nobody", "Some(1)", "Some(1)", "true"]);
    party.leave(&other);
    party.say(&guest, &format!("2[\"look\",\"{two}\"]"));
    party.noted(&[&one.to_string(), "nobody", "Some(0)", "Some(0)", "true"]);
}

#[test]
fn io_lists_all_namespaces_and_the_rooms_of_each() {
    let mut party = Party::new(|io| {
        rooms(io);
        io.of("/empty");
        let mut a = io.of("/a");
        a.on("join", |_, socket, (room,): (String,)| socket.join(room));
        io.on("look", |log: &mut Log, socket, (): ()| {
            let mut lines: Vec<String> = Vec::new();
            for io in socket.io().namespaces() {
                let mut rooms: Vec<_> = io.rooms().collect();
                rooms.sort_unstable();
                lines.push(format!("{} {rooms:?}", io.name()));
            }
            lines.sort();
            log.note(lines.join(", "));
        });
    });
    let (guest, _) = party.enter(Via::WebSocket);
    party.join(&guest, "/a");
    party.say(&guest, "2[\"join\",\"y\",\"x\"]");
    party.say(&guest, "2/a,[\"join\",\"x\"]");
    party.say(&guest, "2[\"look\"]");
    party.noted(&["/ [\"x\", \"y\"], /a [\"x\"], /empty []"]);
    party.say(&guest, "2[\"leave\",\"x\"]");
    party.say(&guest, "2[\"look\"]");
    party.noted(&["/ [\"y\"], /a [\"x\"], /empty []"]);
}
