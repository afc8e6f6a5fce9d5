//! Handlers: what they take and return, what becomes of errors, and when their wishes are done.

#[path = "common/sio.rs"]
mod sio;

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    thread,
};

use emio::{
    Args, ArgsError, Bytes, Cause, Config, Crank, Decision, Handshake, Io, OwnedArgs, Problem,
    Refusal, Socket,
};
use serde::{Deserialize, Serialize, Serializer};
use serde_json::{Value, json};
use sio::*;

/// Notes every problem.
fn problems(io: &mut Crank<Log>) {
    io.on_error(|log: &mut Log, problem: &Problem| {
        let cause = match &problem.cause {
            Cause::Arguments(_) => "Arguments".to_owned(),
            Cause::Handler(error) => format!("Handler({error})"),
            Cause::Encode(_) => "Encode".to_owned(),
            other => format!("{other:?}"),
        };
        let event = problem.event.as_deref().unwrap_or("-");
        let whose = if problem.socket.is_some() { "its" } else { "-" };
        log.note(format!("{cause} {event} {whose}"));
        assert!(!problem.to_string().is_empty());
    });
}

#[derive(Debug, Deserialize)]
#[allow(dead_code)] // Its fields are read by `Debug`.
struct Point {
    x: i8,
    name: Option<String>,
}

#[test]
fn arguments_are_taken_by_type() {
    let mut party = Party::new(|io| {
        problems(io);
        io.on("two", |log: &mut Log, _, args: (String, u32)| {
            log.note(format!("{args:?}"))
        });
        io.on("maybe", |log: &mut Log, _, args: (u8, Option<u8>)| {
            log.note(format!("{args:?}"))
        });
        io.on("all", |log: &mut Log, _, args: Vec<Value>| {
            log.note(json!(args).to_string())
        });
        io.on("any", |log: &mut Log, _, (): ()| log.note("called"));
        io.on("first", |log: &mut Log, _, text: String| log.note(text));
        io.on("point", |log: &mut Log, _, (point,): (Point,)| {
            log.note(format!("{point:?}"))
        });
        io.on("owned", |log: &mut Log, _, args: OwnedArgs| {
            log.note(args.as_args().raw())
        });
        io.on("bytes", |log: &mut Log, _, (n, bytes): (u8, Bytes)| {
            log.note(format!("{n} {:?}", &bytes[..]));
        });
        io.on(
            "deep",
            |log: &mut Log, _, (rows,): (Vec<(u8, Option<Bytes>)>,)| {
                log.note(format!("{rows:?}"));
            },
        );
    });
    let (guest, _) = party.enter(Via::WebSocket);
    let table = [
        ("\"two\",\"a\",7", "(\"a\", 7)"),
        ("\"two\",\"a\",7,\"more\",[]", "(\"a\", 7)"),
        ("\"two\",\"a\"", "Arguments two its"),
        ("\"two\",\"a\",null", "Arguments two its"),
        ("\"two\",7,\"a\"", "Arguments two its"),
        ("\"two\",\"a\",-1", "Arguments two its"),
        ("\"two\",\"a\",4294967296", "Arguments two its"),
        ("\"maybe\",1", "(1, None)"),
        ("\"maybe\",1,null", "(1, None)"),
        ("\"maybe\",1,2", "(1, Some(2))"),
        ("\"maybe\"", "Arguments maybe its"),
        ("\"maybe\",1,\"a\"", "Arguments maybe its"),
        ("\"all\"", "[]"),
        (
            "\"all\",1,null,{\"a\":[]},\"é\"",
            "[1,null,{\"a\":[]},\"é\"]",
        ),
        ("\"any\",1,2", "called"),
        ("\"any\"", "called"),
        ("\"first\",\"only\",2", "only"),
        ("\"first\"", "Arguments first its"),
        (
            "\"point\",{\"x\":-128,\"y\":1}",
            "Point { x: -128, name: None }",
        ),
        (
            "\"point\",{\"x\":1,\"name\":\"n\"}",
            "Point { x: 1, name: Some(\"n\") }",
        ),
        ("\"point\",{\"name\":\"n\"}", "Arguments point its"),
        ("\"point\",{\"x\":128}", "Arguments point its"),
        ("\"owned\", 1.0 , \"\\u0041\"", "1.0 , \"\\u0041\""),
        ("\"bytes\",1,\"text\"", "Arguments bytes its"),
    ];
    for (packet, expected) in table {
        party.say(&guest, &format!("2[{packet}]"));
        party.noted(&[expected]);
    }
    let head = r#"52-["bytes",7,{"_placeholder":true,"num":1}]"#;
    party.say_all(&guest, &[T(head), B(b"a"), B(b"b")]);
    party.noted(&["7 [98]"]);
    let head = r#"51-["deep",[[1,{"num":0,"_placeholder":true}],[2,null]]]"#;
    party.say_all(&guest, &[T(head), B(b"abc")]);
    party.noted(&["[(1, Some(Bytes(3: 61 62 63))), (2, None)]"]);
    // The connection lives.
    party.hears(&guest, &[]);
    assert_eq!(party.stats().sockets, 1);
}

#[test]
fn a_raw_handler_sends_on_what_came() {
    let mut party = Party::new(|io| {
        io.on_raw("echo", |_, socket: Socket<'_, Log>, args: Args<'_>| {
            socket.emit("echo", args)
        });
        io.on_raw("tail", |_, socket: Socket<'_, Log>, args: Args<'_>| {
            socket.emit("tail", args.skip(1));
            socket.emit("len", (args.len(), args.get::<Option<String>>(0).ok()));
            socket.emit("nested", ("in", args));
        });
    });
    for via in BOTH {
        let (guest, _) = party.enter(via);
        for args in [
            "",
            ",1.0",
            ",1e999,-0",
            ",\"\\u0041\\ud800\"",
            ",{\"z\":1,\"a\":2,\"z\":3}",
            ", [ ] ,null",
            ",99999999999999999999999999",
        ] {
            party.say(&guest, &format!("2[\"echo\"{args}]"));
            let args = args.replacen(", ", ",", 1);
            party.hears(&guest, &[&format!("42[\"echo\"{args}]")]);
        }
        let one = "{\"_placeholder\":true,\"num\":1}";
        let zero = "{ \"num\":0, \"_placeholder\":true }";
        let head = format!("52-[\"echo\",{one},[{zero}]]");
        party.say_all(&guest, &[T(&head), B(b"a"), B(b"")]);
        party.hears(&guest, &[&format!("4{head}"), "bYQ==", "b"]);
        party.say(&guest, "2[\"tail\",\"a\",2]");
        party.hears(
            &guest,
            &[
                "42[\"tail\",2]",
                "42[\"len\",2,\"a\"]",
                "42[\"nested\",\"in\",[\"a\",2]]",
            ],
        );
    }
}

#[derive(Debug)]
struct Oops;

impl std::fmt::Display for Oops {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("oops")
    }
}

impl std::error::Error for Oops {}

/// What cannot be written.
struct Unwritable;

impl Serialize for Unwritable {
    fn serialize<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        Err(serde::ser::Error::custom("never"))
    }
}

#[test]
fn errors_go_to_the_hook_and_the_connection_lives() {
    for via in BOTH {
        let mut party = Party::new(|io| {
            problems(io);
            io.on("err", |_, socket, (): ()| {
                socket.emit("done", "all the same");
                Err(Oops)
            });
            io.on("text", |_, _, (): ()| Err::<(), _>("a text"));
            io.on("fine", |_, _, (): ()| Ok::<(), Oops>(()));
            io.on("encode", |_, socket, (): ()| {
                socket.emit("a", 1);
                socket.emit("b", ("x", Unwritable));
                socket.reply(Unwritable);
                socket.broadcast().emit("c", Unwritable);
                socket.emit("d", 4);
            });
            io.on("reserved", |_, socket, (): ()| {
                for name in ["connect", "disconnect", "newListener"] {
                    socket.emit(name, ());
                }
                socket.io().emit("connect_error", ());
                socket.emit("Connect", ());
            });
            io.on_connect(|_, _: Socket<'_, Log>| Err(Oops));
            io.on_disconnecting(|_, _: Socket<'_, Log>, _| Err("1"));
            io.on_disconnect(|_, _: Socket<'_, Log>, _| Err("2"));
        });
        let (guest, _) = party.enter(via);
        party.noted(&["Handler(oops) - its"]);
        party.say(&guest, "2[\"err\"]");
        party.noted(&["Handler(oops) err its"]);
        party.hears(&guest, &["42[\"done\",\"all the same\"]"]);
        party.say_all(&guest, &[T("2[\"text\"]"), T("2[\"fine\"]")]);
        party.noted(&["Handler(a text) text its"]);
        party.say(&guest, "23[\"encode\"]");
        party.hears(&guest, &["42[\"a\",1]", "42[\"d\",4]"]);
        party.noted(&["Encode b its", "Encode - its", "Encode c -"]);
        party.say(&guest, "2[\"reserved\"]");
        party.hears(&guest, &["42[\"Connect\"]"]);
        let reserved = [
            "connect its",
            "disconnect its",
            "newListener its",
            "connect_error -",
        ];
        let reserved = reserved.map(|line| format!("ReservedEvent {line}"));
        assert_eq!(party.lines(), reserved);
        party.leave(&guest);
        party.noted(&["Handler(1) - its", "Handler(2) - its"]);
    }
}

#[test]
fn without_a_hook_errors_are_only_logged() {
    let mut party = Party::new(|io| {
        io.on("err", |_, _, (): ()| Err::<(), _>("a text"));
    });
    let (guest, _) = party.enter(Via::WebSocket);
    party.say(&guest, "2[\"err\"]");
    party.say(&guest, "2[\"err\"]");
    assert_eq!(party.stats().sockets, 1);
}

#[test]
fn wishes_are_done_in_order_and_before_the_next_packet() {
    for via in BOTH {
        let mut party = Party::new(|io| {
            io.on("go", |log: &mut Log, socket, (n,): (u32,)| {
                log.note(format!("{n} {:?}", socket.rooms()));
                socket.emit("a", n);
                socket.join(format!("room {n}"));
                socket.io().to(format!("room {n}")).emit("b", n);
                socket.leave(format!("room {}", n - 1));
                socket.io().to(format!("room {}", n - 1)).emit("c", n);
                socket.reply(n);
                socket.emit("d", n);
            });
        });
        let (guest, _) = party.enter(via);
        party.say_all(&guest, &[T("21[\"go\",1]"), T("22[\"go\",2]")]);
        party.noted(&["1 []", "2 [\"room 1\"]"]);
        party.hears(
            &guest,
            &[
                "42[\"a\",1]",
                "42[\"b\",1]",
                "431[1]",
                "42[\"d\",1]",
                "42[\"a\",2]",
                "42[\"b\",2]",
                "432[2]",
                "42[\"d\",2]",
            ],
        );
    }
}

#[test]
fn a_serializer_that_emits_while_it_is_asked_disturbs_nothing() {
    struct Nosy<'a, 'b>(&'a Socket<'b, Log>);
    impl Serialize for Nosy<'_, '_> {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            self.0.emit("inner", (1, Bytes::from(&b"x"[..])));
            self.0.join("inner");
            serializer.serialize_str("outer")
        }
    }
    let mut party = Party::new(|io| {
        io.on("go", |_, socket, (): ()| {
            socket.emit("outer", ("before", Nosy(&socket)))
        });
    });
    let (guest, _) = party.enter(Via::WebSocket);
    party.say(&guest, "2[\"go\"]");
    party.hears(
        &guest,
        &[
            "451-[\"inner\",1,{\"_placeholder\":true,\"num\":0}]",
            "beA==",
            "42[\"outer\",\"before\",\"outer\"]",
        ],
    );
    assert_eq!(party.stats().rooms, 1);
}

#[test]
fn a_refused_socket_leaves_no_trace() {
    for via in BOTH {
        let mut party = Party::new(|io| {
            problems(io);
            witness(io);
            io.on("hi", |log: &mut Log, _, (): ()| log.note("hi"));
            io.middleware(|log: &mut Log, socket: Socket<'_, Log>, hello| {
                if hello.auth["in"] == true {
                    return Ok(());
                }
                socket.emit("never", ());
                socket.broadcast().emit("never", ());
                socket.emit("never", Unwritable);
                socket.join("room");
                socket.emit_with_ack("never", (), ms(10), |log: &mut Log, _, _: Result<(), _>| {
                    log.note("never");
                });
                socket.io().set_timeout(ms(10), |log, _| log.note("never"));
                log.note("refused");
                Err(Refusal::new("no"))
            });
        });
        let other = party.guest(Via::WebSocket);
        party.say(&other, "0{\"in\":true}");
        party.hear(&other);
        party.noted(&["connect"]);
        let guest = party.guest(via);
        party.hear(&guest);
        party.say_all(&guest, &[T("0")]);
        party.hears(&guest, &["44{\"message\":\"no\"}"]);
        party.noted(&["refused"]);
        assert_eq!(
            (party.stats().sockets, party.stats().rooms, living_data()),
            (1, 0, 1)
        );
        party.advance(1_000);
        party.hears(&other, &[]);
        party.noted(&[]);
        // An event for the namespace that was refused ends the session, as officially.
        party.say(&guest, "2[\"hi\"]");
        party.hears(&guest, &["end"]);
        party.noted(&[]);
    }
}

fn thinks(log: &mut Log, socket: Socket<'_, Log>, hello: &Handshake<'_>, decision: Decision) {
    log.note(format!("asked {}", hello.auth));
    socket.emit("thinking", ());
    log.decisions.push(decision);
}

#[test]
fn middleware_is_a_chain_of_quick_and_slow() {
    for via in BOTH {
        let mut party = Party::new(|io| {
            witness(io);
            io.middleware(|log: &mut Log, _, _| {
                log.note("first");
                Ok(())
            });
            io.middleware_deferred(thinks);
            io.middleware(|log: &mut Log, socket: Socket<'_, Log>, hello| {
                log.note(format!("third {}", hello.auth));
                socket.data.name = "third".to_owned();
                if hello.auth["bad"] == true {
                    Err("third".into())
                } else {
                    Ok(())
                }
            });
            io.middleware_deferred(thinks);
        });
        let guest = party.guest(via);
        party.hear(&guest);
        party.say(&guest, "0{\"a\":1}");
        party.noted(&["first", "asked {\"a\":1}"]);
        party.hears(&guest, &["42[\"thinking\"]"]);
        let decision = party.io.app().decisions.remove(0);
        thread::spawn(move || decision.allow())
            .join()
            .unwrap()
            .unwrap();
        party.turn();
        party.noted(&["third {\"a\":1}", "asked {\"a\":1}"]);
        party.hears(&guest, &["42[\"thinking\"]"]);
        party.io.app().decisions.remove(0).allow().unwrap();
        party.turn();
        party.noted(&["connect"]);
        assert!(party.hear(&guest)[0].starts_with("40{\"sid\":"));

        let guest = party.guest(via);
        party.hear(&guest);
        party.say(&guest, "0{\"bad\":true}");
        party.hear(&guest);
        party.io.app().decisions.remove(0).allow().unwrap();
        party.turn();
        party.hears(&guest, &["44{\"message\":\"third\"}"]);
        party.say(&guest, "0");
        party.hear(&guest);
        let refusal = Refusal::new("later").with_data(json!([1]));
        party.io.app().decisions.remove(0).refuse(refusal).unwrap();
        party.turn();
        party.hears(&guest, &["44{\"message\":\"later\",\"data\":[1]}"]);
        assert_eq!((party.stats().sockets, living_data()), (1, 1));
    }
}

#[test]
fn a_decision_may_be_given_at_once_forgotten_or_come_too_late() {
    for via in BOTH {
        let mut party = Party::new(|io| {
            witness(io);
            io.middleware_deferred(|log: &mut Log, _, hello, decision| {
                match hello.auth["how"].as_str() {
                    Some("yes") => decision.allow().unwrap(),
                    Some("no") => decision.refuse("no".into()).unwrap(),
                    Some("drop") => drop(decision),
                    _ => log.decisions.push(decision),
                }
            });
        });
        for how in ["no", "drop", "late"] {
            let guest = party.guest(via);
            party.hear(&guest);
            party.say(&guest, &format!("0{{\"how\":\"{how}\"}}"));
            let message = match how {
                "no" => "no",
                "drop" => "No decision was made",
                _ => {
                    party.advance(19_999);
                    party.hears(&guest, &[]);
                    party.advance(2);
                    "No decision in time"
                }
            };
            party.hears(&guest, &[&format!("44{{\"message\":\"{message}\"}}")]);
            assert_eq!((party.stats().sockets, living_data()), (0, 0));
            // The session is open for another try, which an old decision does not touch.
            party.say(&guest, "0{\"how\":\"\"}");
            if how == "late" {
                party.io.app().decisions.remove(0).allow().unwrap();
                party.turn();
                party.hears(&guest, &[]);
            }
            party.io.app().decisions.remove(0).allow().unwrap();
            party.turn();
            assert!(party.hear(&guest)[0].starts_with("40{"));
            party.noted(&["connect"]);
            party.leave(&guest);
            party.lines();
        }
        let guest = party.guest(via);
        party.hear(&guest);
        party.say(&guest, "0{\"how\":\"yes\"}");
        assert!(party.hear(&guest)[0].starts_with("40{"));
    }
}

#[test]
fn while_one_is_judged_others_are_served() {
    let mut party = Party::new(|io| {
        io.of("/slow").middleware_deferred(thinks);
        io.on("hi", |_, socket, (): ()| socket.emit("hi", ()));
    });
    let (guest, _) = party.enter(Via::WebSocket);
    let (other, _) = party.enter(Via::Polling);
    party.say(&guest, "0/slow,");
    party.hears(&guest, &["42/slow,[\"thinking\"]"]);
    party.say(&guest, "2[\"hi\"]");
    party.hears(&guest, &["42[\"hi\"]"]);
    party.say(&other, "2[\"hi\"]");
    party.hears(&other, &["42[\"hi\"]"]);
    // It may change its mind.
    party.say(&guest, "1/slow,");
    assert_eq!(living_data(), 2);
    party.io.app().decisions.remove(0).allow().unwrap();
    party.turn();
    party.hears(&guest, &[]);
    assert_eq!(party.stats().sockets, 2);
}

#[test]
fn middleware_may_end_the_client_that_it_judges() {
    for via in BOTH {
        let mut party = Party::new(|io| {
            reasons(io);
            io.of("/a")
                .middleware(|log: &mut Log, socket: Socket<'_, Log>, hello| {
                    let id = hello.auth["id"].as_str().expect("an id");
                    let root = socket.io().of("/").expect("it is always there");
                    root.socket(id.parse().expect("an id"))
                        .expect("it is there")
                        .disconnect(true);
                    log.note("judged");
                    Ok(())
                });
            io.of("/a").middleware(|log: &mut Log, _, _| {
                log.note("judged again");
                Ok(())
            });
            io.of("/a").on_connect(|log: &mut Log, _| log.note("never"));
        });
        let (guest, id) = party.enter(via);
        party.hear(&guest);
        party.say(&guest, &format!("0/a,{{\"id\":\"{id}\"}}"));
        party.hears(&guest, &["41", "end"]);
        party.noted(&["judged", "judged again", "server namespace disconnect"]);
        assert_eq!((party.stats().sockets, living_data()), (0, 0));
    }
}

#[test]
fn a_socket_can_be_asked_between_turns() {
    let mut party = Party::new(|_| ());
    let (guest, id) = party.enter(Via::WebSocket);
    party.io.with_socket(id, |data, peer| {
        data.name = "new".to_owned();
        peer.join("room");
        peer.emit("hi", &data.name);
    });
    party.turn();
    party.hears(&guest, &["42[\"hi\",\"new\"]"]);
    let rooms = party.io.with_socket(id, |_, peer| peer.rooms());
    assert_eq!(rooms, Some(vec!["room".to_owned()]));
}

#[test]
fn several_handlers_of_one_kind_run_in_their_order() {
    let mut party = Party::new(|io| {
        for n in 1..4 {
            io.on_connect(move |log: &mut Log, socket: Socket<'_, Log>| {
                log.note(format!("connect {n} {:?}", socket.rooms()));
                socket.join(n.to_string());
                socket.emit("n", n);
            });
            io.on_disconnect(move |log: &mut Log, _: Socket<'_, Log>, _| log.note(n.to_string()));
        }
        // Of an event's handlers the last registered counts.
        io.on("x", |log: &mut Log, _, (): ()| log.note("first"));
        io.on("x", |log: &mut Log, _, (): ()| log.note("second"));
    });
    let guest = party.guest(Via::WebSocket);
    party.say_all(&guest, &[T("0"), T("2[\"x\"]"), T("1")]);
    party.noted(&[
        "connect 1 []",
        "connect 2 [\"1\"]",
        "connect 3 [\"1\", \"2\"]",
        "second",
        "1",
        "2",
        "3",
    ]);
    assert_eq!(
        party.hear(&guest)[1..],
        ["42[\"n\",1]", "42[\"n\",2]", "42[\"n\",3]"]
    );
}

#[test]
fn a_socket_may_be_disconnected_by_its_connect_handler() {
    for close in [false, true] {
        for via in BOTH {
            let mut party = Party::new(|io| {
                witness(io);
                io.on_connect(move |_, socket: Socket<'_, Log>| {
                    socket.emit("sorry", ());
                    socket.disconnect(close);
                });
                io.on_connect(|log: &mut Log, socket: Socket<'_, Log>| {
                    log.note(format!("second {}", socket.is_connected()));
                });
            });
            let guest = party.guest(via);
            party.hear(&guest);
            party.say(&guest, "0{\"a\":1}");
            let heard = party.hear(&guest);
            assert!(heard[0].starts_with("40{"));
            let rest = ["42[\"sorry\"]", "41", "end"];
            assert_eq!(heard[1..], rest[..2 + usize::from(close)]);
            party.noted(&[
                "connect",
                "second false",
                "disconnecting server namespace disconnect []",
                "disconnect server namespace disconnect []",
            ]);
            assert_eq!(party.stats().incoming_bytes, 0);
        }
    }
}

#[test]
fn handlers_of_one_socket_may_end_another() {
    let mut party = Party::new(|io| {
        reasons(io);
        io.on("end", |_, socket, (id,): (String,)| {
            let id = id.parse().expect("an id");
            let peer = socket.io().socket(id).expect("it is there");
            peer.emit("bye", ());
            peer.disconnect(false);
            socket
                .io()
                .socket(id)
                .expect("until the handler returns")
                .disconnect(false);
        });
    });
    let (one, _) = party.enter(Via::WebSocket);
    let (two, id) = party.enter(Via::Polling);
    party.say(&one, &format!("2[\"end\",\"{id}\"]"));
    party.hears(&two, &["42[\"bye\"]", "41"]);
    party.noted(&["server namespace disconnect"]);
    assert_eq!(party.stats().sockets, 1);
}

#[test]
fn a_large_handler_does_not_keep_its_memory_and_loses_nothing() {
    let mut party = Party::new(|io| {
        io.on("go", |_, socket, (): ()| {
            for n in 0..3_000 {
                socket.emit("n", (n, "x".repeat(100)));
            }
        });
    });
    for via in BOTH {
        let (guest, _) = party.enter(via);
        party.hear(&guest);
        party.say(&guest, "2[\"go\"]");
        let heard = party.hear(&guest);
        assert_eq!(heard.len(), 3_000);
        for (n, packet) in heard.iter().enumerate() {
            assert!(packet.starts_with(&format!("42[\"n\",{n},\"x")), "{packet}");
        }
    }
}

// Timers.

#[test]
fn a_timeout_fires_once_and_an_interval_until_it_is_cleared() {
    let mut party = Party::new(|io| {
        io.set_timeout(ms(100), |log, io: Io<'_, Log>| {
            log.note("once");
            io.emit("once", io.stats().sockets);
        });
        let timer = io.set_interval(ms(30), |log, io| {
            log.note("tick");
            if log.lines.iter().filter(|line| *line == "tick").count() == 3 {
                io.clear_timer(log.timer.take().expect("it was kept"));
            }
        });
        io.app().timer = Some(timer);
        let never = io.set_timeout(ms(10), |log, _| log.note("never"));
        io.clear_timer(never);
        io.clear_timer(never);
    });
    let (guest, _) = party.enter(Via::WebSocket);
    party.advance(29);
    party.noted(&[]);
    party.advance(1_000);
    party.noted(&["tick", "tick", "tick", "once"]);
    party.hears(&guest, &["42[\"once\",1]"]);
}

#[test]
fn timers_are_set_and_cleared_by_handlers_and_timers() {
    let mut party = Party::new(|io| {
        io.on("start", |log: &mut Log, socket, (): ()| {
            let id = socket.id();
            log.timer = Some(socket.io().set_interval(
                ms(50),
                move |log, io| match io.socket(id) {
                    Some(peer) => peer.emit("tick", ()),
                    None => io.clear_timer(log.timer.take().expect("it is kept")),
                },
            ));
        });
        io.on("stop", |log: &mut Log, socket, (): ()| {
            socket.io().clear_timer(log.timer.take().expect("it runs"));
        });
        io.on("chain", |_, socket, (): ()| {
            socket.io().set_timeout(ms(0), |log, io| {
                log.note("one");
                io.set_timeout(ms(0), |log, io| {
                    log.note("two");
                    io.set_timeout(ms(5), |log, _| log.note("three"));
                });
            });
        });
        io.on("both", |log: &mut Log, socket, (): ()| {
            let io = socket.io();
            io.set_timeout(ms(10), |log, io| {
                log.note("first clears the second");
                io.clear_timer(log.timer.take().expect("it is set"));
            });
            log.timer = Some(io.set_timeout(ms(10), |log, _| log.note("never")));
        });
    });
    let (guest, _) = party.enter(Via::WebSocket);
    party.say(&guest, "2[\"start\"]");
    party.advance(160);
    party.hears(&guest, &["42[\"tick\"]"; 3]);
    party.say(&guest, "2[\"stop\"]");
    party.advance(100);
    party.hears(&guest, &[]);
    party.say(&guest, "2[\"chain\"]");
    party.advance(3);
    party.noted(&["one", "two"]);
    party.advance(3);
    party.noted(&["three"]);
    party.say(&guest, "2[\"both\"]");
    party.advance(100);
    party.noted(&["first clears the second"]);
    // One that notices that its socket is gone ends itself.
    party.say(&guest, "2[\"start\"]");
    party.leave(&guest);
    party.advance(100);
    assert!(party.io.app().timer.is_none());
}

#[test]
fn a_timer_sees_the_namespace_in_which_it_was_set() {
    let mut party = Party::new(|io| {
        io.of("/slow").on("start", |_, socket, (): ()| {
            socket.io().set_timeout(ms(20), |_, io| {
                io.emit("once", ());
                io.set_timeout(ms(20), |_, io| io.emit("again", ()));
            });
        });
    });
    let (guest, _) = party.enter(Via::WebSocket);
    party.join(&guest, "/slow");
    party.say(&guest, "2/slow,[\"start\"]");
    party.advance(50);
    party.hears(&guest, &["42/slow,[\"once\"]", "42/slow,[\"again\"]"]);
}

#[test]
fn an_argument_can_be_put_in_front_of_a_list() {
    let mut party = Party::new(|io| {
        io.on_raw("tell", |_, socket, args: Args<'_>| {
            let owned = args.after("ok")?;
            socket.emit("told", owned);
            let refused = args.after(&Bytes::from(&[1][..]));
            assert!(refused.is_err(), "its placeholder would be another's");
            Ok::<(), ArgsError>(())
        });
    });
    let (guest, _) = party.enter(Via::WebSocket);
    party.say(&guest, "2[\"tell\",1, {\"a\":2}]");
    party.say(&guest, "2[\"tell\"]");
    party.hears(
        &guest,
        &["42[\"told\",\"ok\",1, {\"a\":2}]", "42[\"told\",\"ok\"]"],
    );
}

#[test]
fn a_slept_over_interval_ticks_once() {
    let mut party = Party::new(|io| {
        let timer = io.set_interval(ms(10), |log, _| log.note("tick"));
        io.app().timer = Some(timer);
        let timer = io.set_interval(ms(0), |log, _| log.note("never"));
        io.clear_timer(timer);
    });
    // The process was stopped.
    party.sleep(1_000);
    party.noted(&["tick"]);
    party.advance(25);
    party.noted(&["tick", "tick"]);
    let timer = party.io.app().timer.take().expect("it was kept");
    party.io.clear_timer(timer);
    party.advance(25);
    party.noted(&[]);
}

// Panics.

fn bug() {
    panic!("a bug of the application");
}

#[test]
fn a_panic_of_a_handler_unwinds() {
    let mut party = Party::new(|io| {
        io.on("panic", |_, socket, (): ()| {
            socket.emit("half", ());
            bug();
        });
        io.on("fine", |log: &mut Log, socket, (): ()| {
            log.note("fine");
            socket.reply(());
        });
    });
    let (guest, _) = party.enter(Via::WebSocket);
    let result = catch_unwind(AssertUnwindSafe(|| party.say(&guest, "27[\"panic\"]")));
    let panic = result.expect_err("it unwinds");
    assert_eq!(panic.downcast_ref(), Some(&"a bug of the application"));
    // Who catches it may go on; what the handler had asked for is not done.
    party.turn();
    party.say(&guest, "2[\"fine\"]");
    party.noted(&["fine"]);
    party.hears(&guest, &[]);
}

#[test]
fn a_panic_of_a_serializer_unwinds() {
    struct Panics;
    impl Serialize for Panics {
        fn serialize<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
            panic!("a bug of the application");
        }
    }
    let mut party = Party::with(Config::default(), |io| {
        io.on("panic", |_, socket, (): ()| {
            socket.emit("x", (Bytes::from(&b"x"[..]), Panics))
        });
        io.on("fine", |_, socket, (): ()| {
            socket.emit("fine", Bytes::from(&b"y"[..]))
        });
    });
    let (guest, _) = party.enter(Via::WebSocket);
    let result = catch_unwind(AssertUnwindSafe(|| party.say(&guest, "2[\"panic\"]")));
    assert!(result.is_err());
    party.turn();
    party.say(&guest, "2[\"fine\"]");
    let placeholder = "{\"_placeholder\":true,\"num\":0}";
    party.hears(&guest, &[&format!("451-[\"fine\",{placeholder}]"), "beQ=="]);
}

#[test]
fn a_handler_that_could_never_be_called_is_refused_at_once() {
    for name in ["connection", "connect", "disconnect", "disconnecting"] {
        Party::with(Config::default(), |io| {
            let hear = AssertUnwindSafe(|| {
                io.on(name, |_, _, (): ()| {});
            });
            catch_unwind(hear).expect_err("it is no event");
        });
    }
}

#[test]
fn what_a_namespace_can_hear_the_root_can_without_naming_it() {
    let mut party = Party::new(|io| {
        io.on_any(|log: &mut Log, _, name, _| log.note(format!("any {name}")));
        io.on_any_outgoing(|log: &mut Log, _, name, _| log.note(format!("out {name}")));
        io.event_middleware(|_, _, name, _| match name {
            "no" => Err(Refusal::new("no")),
            _ => Ok(()),
        });
        io.on_room(|log: &mut Log, _, room, event| log.note(format!("{room} {event:?}")));
        io.on("go", |_, socket: Socket<'_, Log>, (): ()| {
            socket.emit("a", ());
            socket.join("room");
        });
    });
    let (guest, _) = party.enter(Via::WebSocket);
    party.say(&guest, "2[\"go\"]");
    party.say(&guest, "2[\"no\"]");
    let lines = party.lines();
    assert_eq!(lines[..3], ["any go", "out a", "room Created"], "{lines:?}");
    assert!(lines.contains(&"any no".to_owned()), "{lines:?}");
}
