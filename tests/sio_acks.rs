//! Acknowledgements, line by line of spec 2.7: answers to clients, and answers of clients.

#[path = "common/sio.rs"]
mod sio;

use std::thread;

use emio::{AckError, Args, Bytes, Config, Crank, Decision, Handshake, Socket};
use sio::*;

/// `ask` sends `question` and notes what came of it; `reply` answers its acknowledgement.
fn asker(io: &mut Crank<Log>) {
    io.on("ask", |_, socket, (timeout_ms,): (u64,)| {
        ask(&socket, timeout_ms)
    });
    reasons(io);
}

fn ask(socket: &Socket<'_, Log>, timeout_ms: u64) {
    let then = |log: &mut Log, socket: Socket<'_, Log>, answer: Result<(String, u8), AckError>| {
        match answer {
            Ok((text, number)) => log.note(format!("{text} {number}")),
            Err(error) => log.note(format!("{error:?}")),
        }
        socket.emit("noted", ());
    };
    socket.emit_with_ack("question", (), ms(timeout_ms), then);
}

#[test]
fn wire_2_7_1_one_event_gets_one_answer() {
    for via in BOTH {
        let mut party = Party::new(|io| {
            for name in ["/", "/a"] {
                io.of(name).on("reply", |_, socket, (): ()| {
                    socket.reply((1, "two"));
                    socket.reply("never");
                    assert!(socket.ack().is_none());
                });
                io.of(name).on("binary", |_, socket, (): ()| {
                    socket.reply(Bytes::from(&b"x"[..]));
                });
                io.of(name)
                    .on("nothing", |_, socket, (): ()| socket.reply(()));
                io.of(name).on("silence", |_, _, (): ()| ());
            }
        });
        let (guest, _) = party.enter(via);
        party.join(&guest, "/a");
        party.say_all(&guest, &[T("20[\"reply\"]"), T("2/a,12[\"reply\"]")]);
        party.hears(&guest, &["430[1,\"two\"]", "43/a,12[1,\"two\"]"]);
        party.say(&guest, "2/a,3[\"binary\"]");
        let placeholder = "{\"_placeholder\":true,\"num\":0}";
        party.hears(&guest, &[&format!("461-/a,3[{placeholder}]"), "beA=="]);
        party.say_all(&guest, &[T("24[\"nothing\"]"), T("25[\"silence\"]")]);
        party.hears(&guest, &["434[]"]);
        // Nobody asked.
        party.say_all(&guest, &[T("2[\"reply\"]"), T("2[\"nothing\"]")]);
        party.hears(&guest, &[]);
    }
}

#[test]
fn an_acknowledgement_of_one_event_is_not_given_to_the_next() {
    let mut party = Party::new(|io| {
        io.on("silence", |_, _, (): ()| ());
        io.on("reply", |_, socket, (): ()| socket.reply(1));
        io.on("bad", |_, _, (_,): (u8,)| ());
        io.on_error(|_, _| ());
    });
    let (guest, _) = party.enter(Via::WebSocket);
    party.say_all(&guest, &[T("21[\"silence\"]"), T("2[\"reply\"]")]);
    party.say_all(&guest, &[T("22[\"bad\",\"x\"]"), T("2[\"reply\"]")]);
    party.say_all(&guest, &[T("23[\"nobody\"]"), T("2[\"reply\"]")]);
    party.hears(&guest, &[]);
}

#[test]
fn wire_2_7_1_an_answer_can_come_later_and_from_elsewhere() {
    for via in BOTH {
        let mut party = Party::new(|io| {
            io.on("later", |log: &mut Log, socket, (): ()| {
                let ack = socket.ack().expect("the client asked");
                assert_eq!(ack.socket(), socket.id());
                socket.reply("not twice");
                log.acks.push(ack);
            });
        });
        let (guest, _) = party.enter(via);
        for id in 0..3 {
            party.say(&guest, &format!("2{id}[\"later\"]"));
        }
        party.hears(&guest, &[]);
        let mut acks = std::mem::take(&mut party.io.app().acks);
        let last = acks.pop().unwrap();
        thread::spawn(move || last.reply(("from a thread", Bytes::from(&b"x"[..]))))
            .join()
            .unwrap()
            .unwrap();
        party.turn();
        let placeholder = "{\"_placeholder\":true,\"num\":0}";
        party.hears(
            &guest,
            &[&format!("461-2[\"from a thread\",{placeholder}]"), "beA=="],
        );
        acks.pop().unwrap().reply(()).unwrap();
        party.turn();
        party.hears(&guest, &["431[]"]);
        // To a client that has left it is no error, and another one does not get it.
        party.say(&guest, "1");
        party.join(&guest, "/");
        acks.pop().unwrap().reply(()).unwrap();
        party.turn();
        party.hears(&guest, &[]);
    }
}

#[test]
fn wire_2_7_2_one_counter_for_all_sockets_of_a_namespace() {
    let mut party = Party::new(|io| {
        asker(io);
        io.of("/a").on("ask", |_, socket, (timeout_ms,): (u64,)| {
            ask(&socket, timeout_ms)
        });
    });
    let (one, _) = party.enter(Via::WebSocket);
    let (two, _) = party.enter(Via::Polling);
    party.join(&two, "/a");
    party.say(&one, "2[\"ask\",1000]");
    party.say(&two, "2[\"ask\",1000]");
    party.say(&two, "2/a,[\"ask\",1000]");
    party.say(&one, "2[\"ask\",1000]");
    party.hears(&one, &["420[\"question\"]", "422[\"question\"]"]);
    party.hears(&two, &["421[\"question\"]", "42/a,0[\"question\"]"]);
    // An id means something together with its socket only.
    party.say(&one, "31[\"not mine\",1]");
    party.say(&two, "3/a,1[\"not mine\",1]");
    party.noted(&[]);
    party.say(&two, "31[\"mine\",1]");
    party.noted(&["mine 1"]);
    party.hears(&two, &["42[\"noted\"]"]);
}

#[test]
fn wire_2_7_3_unknown_and_late_answers_are_ignored() {
    for via in BOTH {
        let mut party = Party::new(asker);
        let (guest, _) = party.enter(via);
        party.say_all(&guest, &[T("30[]"), T("318446744073709551615[]")]);
        party.say(&guest, "2[\"ask\",1000]");
        party.say_all(&guest, &[T("30[\"a\",1]"), T("30[\"b\",2]")]);
        party.noted(&["a 1"]);
        party.say(&guest, "2[\"ask\",1000]");
        party.hears(
            &guest,
            &["420[\"question\"]", "42[\"noted\"]", "421[\"question\"]"],
        );
        party.advance(1_001);
        party.noted(&["Timeout"]);
        party.say(&guest, "31[\"late\",1]");
        party.noted(&[]);
        party.hears(&guest, &["42[\"noted\"]"]);
    }
}

#[test]
fn wire_2_7_4_an_answer_or_a_timeout_but_not_both() {
    let mut party = Party::new(asker);
    let (guest, _) = party.enter(Via::WebSocket);
    party.say_all(
        &guest,
        &[
            T("2[\"ask\",100]"),
            T("2[\"ask\",300]"),
            T("2[\"ask\",200]"),
        ],
    );
    party.advance(99);
    party.noted(&[]);
    party.advance(1);
    party.noted(&["Timeout"]);
    party.say(&guest, "32[\"in time\",2]");
    party.noted(&["in time 2"]);
    party.advance(10_000);
    party.noted(&["Timeout"]);
    assert_eq!(AckError::Timeout.to_string(), "operation has timed out");
}

#[test]
fn an_answer_of_another_shape_is_a_mismatch() {
    let mut party = Party::new(asker);
    let (guest, _) = party.enter(Via::WebSocket);
    for (id, answer) in ["[]", "[1,\"a\"]", "[\"a\"]", "[\"a\",256]"]
        .iter()
        .enumerate()
    {
        party.say(&guest, "2[\"ask\",1000]");
        party.say(&guest, &format!("3{id}{answer}"));
        party.noted(&["Mismatch"]);
    }
    party.say(&guest, "2[\"ask\",1000]");
    party.say(&guest, "34[\"more\",1,2]");
    party.noted(&["more 1"]);
}

#[test]
fn wire_2_7_7_acks_of_a_socket_that_leaves_fail_at_once() {
    for via in BOTH {
        for end in ["1", "{", "leave"] {
            let mut party = Party::new(asker);
            let (guest, _) = party.enter(via);
            party.hear(&guest);
            party.say_all(&guest, &[T("2[\"ask\",60000]"), T("2[\"ask\",60000]")]);
            party.hear(&guest);
            match end {
                "leave" => party.leave(&guest),
                packet => party.say(&guest, packet),
            }
            let reason = match end {
                "1" => "client namespace disconnect",
                "{" => "forced close",
                _ => "transport close",
            };
            party.noted(&["Disconnected", "Disconnected", reason]);
        }
    }
}

#[test]
fn acks_asked_for_while_leaving_fail_too() {
    let mut party = Party::new(|io| {
        reasons(io);
        io.on("go", |_, socket, (): ()| {
            socket.disconnect(false);
            ask(&socket, 1_000);
        });
        io.on_disconnecting(|_, socket: Socket<'_, Log>, _| ask(&socket, 1_000));
        io.on_disconnect(|_, socket: Socket<'_, Log>, _| ask(&socket, 1_000));
    });
    let (guest, _) = party.enter(Via::WebSocket);
    party.say(&guest, "2[\"go\"]");
    let reason = "server namespace disconnect";
    party.noted(&["Disconnected", "Disconnected", reason, "Disconnected"]);
    party.hears(&guest, &["41"]);
}

/// Asks again as long as it is told that nobody answers.
fn insist(socket: &Socket<'_, Log>) {
    let then = |log: &mut Log, socket: Socket<'_, Log>, answer: Result<(), AckError>| {
        log.note(format!("{answer:?}"));
        if answer.is_err() {
            insist(&socket);
        }
    };
    socket.emit_with_ack("question", (), ms(100), then);
}

#[test]
fn asking_again_ends_when_the_socket_does() {
    for via in BOTH {
        let mut party = Party::new(|io| {
            io.on("insist", |_, socket, (): ()| insist(&socket));
        });
        let (guest, _) = party.enter(via);
        party.say(&guest, "2[\"insist\"]");
        party.advance(350);
        party.noted(&["Err(Timeout)"; 3]);
        party.leave(&guest);
        let lines = party.lines();
        assert!((1..=4).contains(&lines.len()), "{lines:?}");
        assert!(lines.iter().all(|line| line == "Err(Disconnected)"));
    }
}

#[test]
fn one_socket_may_owe_only_so_many() {
    let config = Config {
        pending_acks_max: 2,
        ..Config::default()
    };
    let mut party = Party::with(config, asker);
    let (guest, _) = party.enter(Via::WebSocket);
    let (other, _) = party.enter(Via::WebSocket);
    for _ in 0..3 {
        party.say(&guest, "2[\"ask\",1000]");
    }
    party.noted(&["TooMany"]);
    party.hears(
        &guest,
        &["420[\"question\"]", "421[\"question\"]", "42[\"noted\"]"],
    );
    party.say(&other, "2[\"ask\",1000]");
    party.hears(&other, &["422[\"question\"]"]);
    party.say(&guest, "30[\"a\",1]");
    party.say(&guest, "2[\"ask\",1000]");
    party.noted(&["a 1"]);
    party.hears(&guest, &["42[\"noted\"]", "423[\"question\"]"]);
}

#[test]
fn asking_from_middleware() {
    for via in BOTH {
        let mut party = Party::new(|io| {
            io.middleware(|_, socket: Socket<'_, Log>, _| {
                ask(&socket, 1_000);
                Ok(())
            });
            io.middleware_deferred(
                |log: &mut Log, _: Socket<'_, Log>, _: &Handshake<'_>, decision: Decision| {
                    log.decisions.push(decision);
                },
            );
        });
        // Answered while the second thinks: told once the socket has joined.
        let guest = party.guest(via);
        party.say_all(&guest, &[T("0"), T("30[\"early\",1]")]);
        party.hears(&guest, &["420[\"question\"]"]);
        party.noted(&[]);
        party.io.app().decisions.remove(0).allow().unwrap();
        party.turn();
        party.noted(&["early 1"]);
        // Refused, gone, or undecided: nobody will answer.
        let guest = party.guest(via);
        party.say(&guest, "0");
        party
            .io
            .app()
            .decisions
            .remove(0)
            .refuse("no".into())
            .unwrap();
        party.turn();
        party.noted(&["Disconnected"]);
        let guest = party.guest(via);
        party.say(&guest, "0");
        party.leave(&guest);
        party.noted(&["Disconnected"]);
        let guest = party.guest(via);
        party.say(&guest, "0");
        party.advance(5_000);
        party.noted(&["Timeout"]);
        party.io.app().decisions.clear();
    }
}

#[test]
fn an_answer_may_be_read_raw_and_carry_attachments() {
    let mut party = Party::new(|io| {
        io.on("ask", |_, socket, (): ()| {
            let then = |log: &mut Log, _: Socket<'_, Log>, answer: Result<emio::OwnedArgs, _>| {
                let args = answer.expect("an answer");
                log.note(args.as_args().raw());
                log.note(format!("{:?}", args.as_args().attachments()));
            };
            socket.emit_with_ack("question", Bytes::from(&b"q"[..]), ms(1_000), then);
        });
        io.on_raw("relay", |_, socket: Socket<'_, Log>, args: Args<'_>| {
            socket.emit_with_ack("relayed", args, ms(1_000), |_, _, _: Result<(), _>| ());
        });
    });
    let (guest, _) = party.enter(Via::WebSocket);
    party.say(&guest, "2[\"ask\"]");
    let placeholder = "{\"_placeholder\":true,\"num\":0}";
    party.hears(
        &guest,
        &[&format!("451-0[\"question\",{placeholder}]"), "bcQ=="],
    );
    party.say_all(&guest, &[T(&format!("61-0[1.0,{placeholder}]")), B(b"a")]);
    party.noted(&[&format!("1.0,{placeholder}"), "[Bytes(1: 61)]"]);
    party.say(&guest, "2[\"relay\", 1.0 ]");
    party.hears(&guest, &["421[\"relayed\",1.0]"]);
}

#[test]
fn a_very_long_timeout_is_no_problem() {
    let mut party = Party::new(|io| {
        io.on("ask", |_, socket, (): ()| {
            let then = |log: &mut Log, _: Socket<'_, Log>, answer: Result<(), AckError>| {
                log.note(format!("{answer:?}"));
            };
            socket.emit_with_ack("question", (), std::time::Duration::MAX, then);
        });
    });
    let (guest, _) = party.enter(Via::WebSocket);
    party.say(&guest, "2[\"ask\"]");
    party.say(&guest, "30[]");
    party.noted(&["Ok(())"]);
}

#[test]
fn an_event_that_cannot_be_sent_fails_its_acknowledgement() {
    let mut party = Party::new(|io| {
        io.on("go", |_, socket, (): ()| {
            let unwritable = std::collections::BTreeMap::from([((1, 2), 3)]);
            socket.emit_with_ack("a", unwritable, ms(1_000), told);
            socket.emit_with_ack("connect", (), ms(1_000), told);
        });
    });
    let (guest, _) = party.enter(Via::WebSocket);
    party.say(&guest, "2[\"go\"]");
    party.noted(&["NotSent", "NotSent"]);
}

fn told(log: &mut Log, _: Socket<'_, Log>, answer: Result<(), AckError>) {
    log.note(format!("{:?}", answer.expect_err("there is none")));
}
