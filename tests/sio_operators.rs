//! Operators: whom something is for and how it is sent; broadcasts that are acknowledged; what is
//! asked of many sockets at once.

#[path = "common/sio.rs"]
mod sio;

use std::time::Duration;

use emio::{
    AckError, App, Args, Config, Crank, Io, RemoteSocket, Rooms, Socket, SocketId, Unanswered,
};
use serde_json::{Value, json};
use sio::*;

type Answers = Result<Vec<Value>, Unanswered<Value>>;

fn note(log: &mut Log, answers: Answers) {
    log.note(match answers {
        Ok(answers) => format!("ok {}", Value::from(answers)),
        Err(Unanswered {
            answers,
            missing,
            error,
        }) => format!("{error:?} {} and {missing} missing", Value::from(answers)),
    });
}

fn asking(io: &mut Crank<Log>) {
    io.on("join", |_, socket: Socket<'_, Log>, (room,): (String,)| {
        socket.join(room)
    });
    io.on("ask", |_, socket, (room, millis): (String, u64)| {
        socket
            .io()
            .to(room)
            .timeout(ms(millis))
            .emit_with_ack("ask", "?", |log, _, answers| note(log, answers));
    });
    io.on("ask all", |_, socket, (): ()| {
        socket
            .io()
            .timeout(ms(1_000))
            .emit_with_ack("ask", (), |log, io, answers| {
                note(log, answers);
                io.emit("asked", ());
            });
    });
}

fn in_room(party: &mut Party, via: Via) -> Guest {
    let (guest, _) = party.enter(via);
    party.say(&guest, "2[\"join\",\"a\"]");
    guest
}

#[test]
fn wire_2_7_5_a_broadcast_gathers_the_first_argument_of_each_answer() {
    for via in BOTH {
        let mut party = Party::new(asking);
        let guests = [in_room(&mut party, via), in_room(&mut party, via)];
        let (other, _) = party.enter(via);
        party.say(&other, "2[\"ask\",\"a\",1000]");
        for (guest, answer) in guests.iter().zip(["3", "\"x\",4"]) {
            let heard = party.hear(guest);
            let id = heard[0]
                .strip_prefix("42")
                .and_then(|rest| rest.split_once('['));
            let (id, rest) = id.expect("an event with an id");
            assert_eq!(rest, "\"ask\",\"?\"]");
            party.noted(&[]);
            party.say(guest, &format!("3{id}[{answer}]"));
        }
        party.noted(&["ok [3,\"x\"]"]);
        party.hears(&other, &[]);
        party.advance(2_000);
        party.noted(&[]);
    }
}

#[test]
fn one_id_serves_all_whom_a_broadcast_asks() {
    let mut party = Party::new(asking);
    let (one, _) = party.enter(Via::WebSocket);
    let (two, _) = party.enter(Via::WebSocket);
    party.say(&one, "2[\"ask all\"]");
    party.hears(&one, &["420[\"ask\"]"]);
    party.hears(&two, &["420[\"ask\"]"]);
    // One answers for itself only, and only once.
    party.say(&one, "30[1]");
    party.say(&one, "30[2]");
    party.noted(&[]);
    party.say(&two, "30[3]");
    party.noted(&["ok [1,3]"]);
    party.hears(&two, &["42[\"asked\"]"]);
}

#[test]
fn wire_2_7_6_nobody_to_ask_is_an_empty_list_at_once() {
    let mut party = Party::new(asking);
    let (guest, _) = party.enter(Via::WebSocket);
    party.say(&guest, "2[\"ask\",\"nobody\",1000]");
    party.noted(&["ok []"]);
}

#[test]
fn a_broadcast_that_is_not_answered_in_time_tells_what_came() {
    let mut party = Party::new(asking);
    let guests: Vec<_> = (0..3)
        .map(|_| in_room(&mut party, Via::WebSocket))
        .collect();
    party.say(&guests[0], "2[\"ask\",\"a\",500]");
    party.say(&guests[1], "30[\"late?\"]");
    party.advance(499);
    party.noted(&[]);
    party.advance(1);
    party.noted(&["Timeout [\"late?\"] and 2 missing"]);
    // Late answers mean nothing.
    party.say(&guests[2], "30[1]");
    party.noted(&[]);
}

#[test]
fn wire_2_7_8_one_who_leaves_is_not_waited_for() {
    let mut party = Party::new(asking);
    let guests: Vec<_> = (0..3)
        .map(|_| in_room(&mut party, Via::WebSocket))
        .collect();
    party.say(&guests[0], "2[\"ask\",\"a\",500]");
    party.say(&guests[0], "30[1]");
    party.leave(&guests[1]);
    party.noted(&[]);
    party.say(&guests[2], "30[3]");
    party.noted(&["Disconnected [1,3] and 1 missing"]);
}

#[test]
fn an_answer_of_another_shape_is_missing() {
    let mut party = Party::new(|io| {
        asking(io);
        io.on("numbers", |_, socket: Socket<'_, Log>, (): ()| {
            let io = socket.io().timeout(ms(1_000));
            io.emit_with_ack("ask", (), |log, _, answers: Result<Vec<u32>, _>| {
                log.note(format!("{answers:?}"));
            });
        });
    });
    let (one, _) = party.enter(Via::WebSocket);
    let (two, _) = party.enter(Via::WebSocket);
    party.say(&one, "2[\"numbers\"]");
    party.say(&one, "30[1]");
    party.say(&two, "30[\"x\"]");
    party.noted(&["Err(Unanswered { answers: [1], missing: 1, error: Mismatch })"]);
}

#[test]
fn who_owes_too_much_is_not_asked() {
    let config = Config {
        pending_acks_max: 1,
        ..Config::default()
    };
    let mut party = Party::with(config, asking);
    let guest = in_room(&mut party, Via::WebSocket);
    party.say(&guest, "2[\"ask\",\"a\",1000]");
    party.say(&guest, "2[\"ask\",\"a\",1000]");
    party.noted(&["TooMany [] and 1 missing"]);
    party.hears(&guest, &["420[\"ask\",\"?\"]"]);
    party.advance(1_000);
    party.noted(&["Timeout [] and 1 missing"]);
}

#[test]
fn answers_are_held_up_to_the_bytes_of_all() {
    let config = Config {
        incoming_bytes_max: 2_000,
        ..Config::default()
    };
    let mut party = Party::with(config, |io| {
        asking(io);
        io.on("count", |_, socket: Socket<'_, Log>, (): ()| {
            let io = socket.io().timeout(ms(1_000));
            io.emit_with_ack("ask", (), |log, _, answers: Answers| {
                let all = answers.map_err(|it| (it.answers.len(), it.missing, it.error));
                log.note(format!("{:?}", all.map(|answers| answers.len())));
            });
        });
    });
    let guests: Vec<_> = (0..4).map(|_| party.enter(Via::WebSocket).0).collect();
    party.say(&guests[0], "2[\"count\"]");
    for guest in &guests {
        party.say(guest, &format!("30[\"{}\"]", "x".repeat(600)));
    }
    party.noted(&["Err((3, 1, TooLarge))"]);
    assert_eq!(party.stats().incoming_bytes, 0);
}

#[test]
fn an_event_that_cannot_be_sent_is_not_waited_for() {
    let mut party = Party::new(|io| {
        io.on("bad", |_, socket: Socket<'_, Log>, (): ()| {
            socket
                .io()
                .timeout(ms(1_000))
                .emit_with_ack("connect", (), |log, _, answers| note(log, answers));
        });
        io.on_error(|_, _| {});
    });
    let (guest, _) = party.enter(Via::WebSocket);
    party.say(&guest, "2[\"bad\"]");
    party.noted(&["NotSent [] and 0 missing"]);
}

#[test]
fn one_socket_can_be_given_its_time_as_well() {
    let mut party = Party::new(|io| {
        io.on("go", |_, socket: Socket<'_, Log>, (): ()| {
            let socket = socket.timeout(ms(300));
            socket.emit_with_ack("ask", 1, |log, _, answer: Result<u32, AckError>| {
                log.note(format!("{answer:?}"));
            });
        });
    });
    let (guest, _) = party.enter(Via::WebSocket);
    party.say(&guest, "2[\"go\"]");
    party.hears(&guest, &["420[\"ask\",1]"]);
    party.say(&guest, "30[5]");
    party.noted(&["Ok(5)"]);
    party.say(&guest, "2[\"go\"]");
    party.advance(300);
    party.noted(&["Err(Timeout)"]);
}

#[test]
fn the_event_message_has_a_method_of_its_own() {
    let mut party = Party::new(|io| {
        io.on("go", |_, socket: Socket<'_, Log>, (): ()| {
            socket.send(1);
            socket.io().send((2, 3));
            socket.io().to("nobody").send(4);
            socket.volatile().send(5);
            socket.compress(false).send(6);
        });
    });
    let (guest, _) = party.enter(Via::WebSocket);
    party.say(&guest, "2[\"go\"]");
    let heard = [
        "[\"message\",1]",
        "[\"message\",2,3]",
        "[\"message\",5]",
        "[\"message\",6]",
    ];
    party.hears(
        &guest,
        &heard
            .map(|packet| format!("42{packet}"))
            .each_ref()
            .map(|it| &**it),
    );
}

fn moving(io: &mut Crank<Log>) {
    io.on("join", |_, socket: Socket<'_, Log>, (room,): (String,)| {
        socket.join(room)
    });
    io.on("rooms", |_, socket, (): ()| {
        let mut rooms = socket.rooms();
        rooms.sort();
        socket.reply((rooms,));
    });
    io.on("move", |_, socket, (from, to): (String, String)| {
        socket.io().to(&from).sockets_join([&*to, "both"]);
        socket.io().to(&from).sockets_leave(&from);
    });
    io.on("end", |_, socket, (room, close): (String, bool)| {
        socket.to(room).disconnect_sockets(close);
    });
    io.on("end all", |_, socket, (): ()| {
        socket.io().disconnect_sockets(false)
    });
    reasons(io);
}

#[test]
fn many_sockets_join_and_leave_rooms_at_once() {
    let mut party = Party::new(moving);
    let guests: Vec<_> = (0..3).map(|_| party.enter(Via::WebSocket).0).collect();
    party.say(&guests[0], "2[\"join\",\"a\"]");
    party.say(&guests[1], "2[\"join\",\"a\"]");
    party.say(&guests[2], "2[\"move\",\"a\",\"b\"]");
    for (guest, rooms) in guests
        .iter()
        .zip(["[\"b\",\"both\"]", "[\"b\",\"both\"]", "[]"])
    {
        party.say(guest, "20[\"rooms\"]");
        party.hears(guest, &[&format!("430[{rooms}]")]);
    }
}

#[test]
fn many_sockets_are_disconnected_at_once() {
    let mut party = Party::new(moving);
    let guests: Vec<_> = (0..4).map(|_| party.enter(Via::WebSocket).0).collect();
    for guest in &guests[..2] {
        party.say(guest, "2[\"join\",\"a\"]");
    }
    party.say(&guests[2], "2[\"end\",\"a\",false]");
    party.hears(&guests[0], &["41"]);
    party.hears(&guests[1], &["41"]);
    party.noted(&["server namespace disconnect"; 2]);
    party.join(&guests[0], "/");
    party.say(&guests[0], "2[\"join\",\"a\"]");
    // The sender is not among them; with `close` their connections end as well.
    party.say(&guests[0], "2[\"end\",\"a\",true]");
    party.hears(&guests[0], &[]);
    party.say(&guests[2], "2[\"end\",\"a\",true]");
    party.hears(&guests[0], &["41", "end"]);
    party.lines();
    party.say(&guests[3], "2[\"end all\"]");
    party.hears(&guests[2], &["41"]);
    party.hears(&guests[3], &["41"]);
}

/// An application that shares the names of its sockets.
struct Names;

#[derive(Default)]
struct Name(String);

impl App for Names {
    type Data = Name;

    fn share(data: &Name) -> Value {
        json!({ "name": data.0 })
    }
}

#[test]
fn what_a_socket_shares_of_its_data_is_what_others_see() {
    assert_eq!(Names::share(&Name("x".to_owned())), json!({ "name": "x" }));
    assert_eq!(
        Log::share(&Data::default()),
        Value::Null,
        "nothing by default"
    );
}

#[test]
fn the_sockets_that_are_meant_can_be_asked_for() {
    let mut party = Party::new(|io| {
        moving(io);
        io.on("fetch", |_, socket: Socket<'_, Log>, (): ()| {
            let id = socket.id();
            let told = move |log: &mut Log, io: Io<'_, Log>, all: Vec<RemoteSocket>| {
                let has_me = all.iter().any(|socket| socket.id == id);
                let rooms: Vec<_> = all.iter().map(|socket| socket.rooms.join(",")).collect();
                log.note(format!("{} {has_me} {rooms:?}", all.len()));
                io.to(all[0].id).emit("you", ());
            };
            socket.io().to(["a", "b"]).fetch_sockets(told);
            socket.io().fetch_sockets(told);
            // What it asks for meanwhile is done before it is told.
            socket.join("c");
        });
        io.on("here", |log: &mut Log, socket, (): ()| {
            let count = |rooms: &[&str]| socket.io().to(rooms).local().sockets().len();
            log.note(format!("{} {}", count(&["a"]), count(&["a", "b", "a"])));
            let others = socket.broadcast().sockets();
            log.note(format!(
                "{}",
                others.iter().all(|peer| peer.id() != socket.id())
            ));
        });
    });
    let guests: Vec<_> = (0..3).map(|_| party.enter(Via::WebSocket).0).collect();
    party.say(&guests[0], "2[\"join\",\"a\"]");
    party.say(&guests[0], "2[\"join\",\"b\"]");
    party.say(&guests[1], "2[\"join\",\"b\"]");
    party.say(&guests[2], "2[\"here\"]");
    party.noted(&["1 2", "true"]);
    party.say(&guests[2], "2[\"fetch\"]");
    party.noted(&["2 false [\"a,b\", \"b\"]", "3 true [\"a,b\", \"b\", \"c\"]"]);
    party.hears(&guests[0], &["42[\"you\"]"; 2]);
}

#[test]
fn asking_again_and_again_does_not_hold_the_loop() {
    fn again(log: &mut Log, io: Io<'_, Log>, _: Vec<RemoteSocket>) {
        log.note("told");
        io.fetch_sockets(again);
    }
    let mut party = Party::new(|io| {
        io.on("go", |_, socket: Socket<'_, Log>, (): ()| {
            socket.io().fetch_sockets(again)
        });
    });
    let (guest, _) = party.enter(Via::WebSocket);
    party.say(&guest, "2[\"go\"]");
    party.turn();
    let told = party.lines().len();
    assert!((1..20).contains(&told), "once or twice a turn: {told}");
    party.vanish();
}

#[test]
fn other_nodes_are_told_nothing_as_long_as_there_are_none() {
    let mut party = Party::new(|io| {
        io.on("tell", |_, socket: Socket<'_, Log>, (): ()| {
            socket.io().server_side_emit("hello", 1);
            let then = |log: &mut Log, _: Io<'_, Log>, answers: Answers| note(log, answers);
            socket.io().server_side_emit_with_ack("hello", 1, then);
        });
        io.of("/")
            .on_server_side("hello", |log: &mut Log, io, args: Args<'_>| {
                log.note(format!("{} {}", io.name(), args.raw()));
            });
    });
    let (guest, _) = party.enter(Via::WebSocket);
    party.say(&guest, "2[\"tell\"]");
    party.noted(&["ok []"]);
    // What another node would say.
    party
        .io
        .handle_server_side("/", "[\"hello\",2]", &[], &mut |_| {});
    party
        .io
        .handle_server_side("/", "[\"unknown\"]", &[], &mut |_| {});
    party
        .io
        .handle_server_side("/nowhere", "[\"hello\"]", &[], &mut |_| {});
    party.noted(&["/ 2"]);
}

#[test]
fn a_room_may_be_named_in_many_ways() {
    let mut names = Vec::new();
    let id = SocketId::parse("AAAAAAAAAAAAAAAAAAAA").expect("an id");
    let mut give = |room: &str| names.push(room.to_owned());
    "a".each(&mut give);
    String::from("b").each(&mut give);
    ["c", "d"].each(&mut give);
    vec![id].each(&mut give);
    assert_eq!(names, ["a", "b", "c", "d", "AAAAAAAAAAAAAAAAAAAA"]);
}

fn limited(io: &mut Crank<Log>) {
    io.on(
        "expire",
        |_, socket: Socket<'_, Log>, (seconds,): (u64,)| {
            socket.expires_in(Duration::from_secs(seconds));
        },
    );
    io.on("stay", |_, socket, (): ()| socket.never_expires());
    io.of("/").on_expiring(|_, socket| socket.emit("renew", ()));
    reasons(io);
}

#[test]
fn a_socket_whose_time_is_over_is_warned_and_then_its_connection_ends() {
    let config = Config {
        ping_interval: Duration::from_secs(3_600),
        ..Config::default()
    };
    let mut party = Party::with(config, limited);
    let (guest, _) = party.enter(Via::WebSocket);
    party.say(&guest, "2[\"expire\",100]");
    party.advance(69_999);
    party.hears(&guest, &[]);
    party.advance(1);
    party.hears(&guest, &["42[\"renew\"]"]);
    // Renewed in time, it is warned again later.
    party.say(&guest, "2[\"expire\",100]");
    party.advance(30_001);
    party.hears(&guest, &[]);
    party.advance(40_000);
    party.hears(&guest, &["42[\"renew\"]"]);
    party.advance(30_000);
    // Without a DISCONNECT, so that the client comes back by itself.
    party.hears(&guest, &["end"]);
    party.noted(&["forced close"]);
    let (guest, _) = party.enter(Via::WebSocket);
    party.say(&guest, "2[\"expire\",10]");
    party.advance(1);
    party.hears(&guest, &["42[\"renew\"]"]);
    party.say(&guest, "2[\"stay\"]");
    party.advance(60_000);
    party.hears(&guest, &[]);
}

#[test]
fn a_slow_client_is_told_of_when_all_that_waited_has_left() {
    let mut party = Party::new(|io| {
        io.on("flood", |log: &mut Log, socket: Socket<'_, Log>, (): ()| {
            log.note(format!("before {}", socket.backlog_bytes()));
            socket.emit("flood", "x".repeat(10_000));
        });
        io.on("look", |log: &mut Log, socket, (): ()| {
            log.note(format!("waits {}", socket.backlog_bytes() > 9_000));
        });
        io.of("/")
            .on_drain(|log: &mut Log, socket: Socket<'_, Log>| {
                log.note(format!("drained {}", socket.backlog_bytes()));
            });
    });
    let (guest, _) = party.enter(Via::WebSocket);
    let client = party.client(&guest);
    party.say(&guest, "2[\"flood\"]");
    party.hear(&guest);
    party.noted(&["before 0"]);
    party.let_write(client, Some(100));
    party.say(&guest, "2[\"flood\"]");
    party.say(&guest, "2[\"look\"]");
    party.noted(&["before 0", "waits true"]);
    party.let_write(client, None);
    party.turn();
    party.noted(&["drained 0"]);
}

#[test]
fn an_upgrade_is_told_to_each_socket_of_the_client() {
    let mut party = Party::new(|io| {
        for name in ["/", "/other"] {
            io.of(name)
                .on_upgrade(|log: &mut Log, socket: Socket<'_, Log>| {
                    log.note(format!(
                        "{} {}",
                        socket.namespace(),
                        socket.transport().name()
                    ));
                });
        }
    });
    let (guest, _) = party.enter(Via::Polling);
    party.join(&guest, "/other");
    let Guest::Polling(poller) = &guest else {
        panic!("it polls")
    };
    let ws = party.probe(&poller.sid);
    party.send(ws, text("2probe"));
    party.send(ws, text("5"));
    let mut lines = party.lines();
    lines.sort();
    assert_eq!(lines, ["/ websocket", "/other websocket"]);
}
