//! Socket.IO packets, line by line of spec 2.6: what is taken, what closes the connection, and what
//! the server writes.

#[path = "common/sio.rs"]
mod sio;

use emio::{Args, Bytes, Config, Crank, Decision, Handshake, Refusal, Socket};
use serde_json::{Value, json};
use sio::*;

/// Sends every event back as it came, answers every acknowledgement with its arguments, notes all.
fn echo(io: &mut Crank<Log>) {
    io.on_raw(
        "echo",
        |log: &mut Log, socket: Socket<'_, Log>, args: Args<'_>| {
            log.note(args.raw());
            socket.emit("echo", args);
            socket.reply(args);
        },
    );
    reasons(io);
}

#[test]
fn wire_2_6_1_the_layout_of_a_packet() {
    for via in BOTH {
        let mut party = Party::new(|io| {
            echo(io);
            for name in ["/random", "/a b/c", "/?x=1"] {
                io.of(name).on_raw("echo", |_, socket, args| {
                    socket.emit(socket.namespace(), args);
                });
            }
        });
        let (guest, _) = party.enter(via);
        party.say(&guest, r#"2["echo",1,"2"]"#);
        party.hears(&guest, &[r#"42["echo",1,"2"]"#]);
        party.say(&guest, r#"2/,["echo"]"#);
        party.hears(&guest, &[r#"42["echo"]"#]);
        // The name is all up to the comma; a CONNECT may leave the comma out.
        party.say_all(&guest, &[T("0/random"), T("0/a b/c,"), T("0/?x=1,{}")]);
        let heard = party.hear(&guest);
        let joined = [
            "40/random,{\"sid\":\"",
            "40/a b/c,{\"sid\":\"",
            "40/?x=1,{\"sid\":\"",
        ];
        assert_eq!(heard.len(), 3);
        for (packet, start) in heard.iter().zip(joined) {
            assert!(packet.starts_with(start), "{packet}");
        }
        party.say_all(
            &guest,
            &[T(r#"2/random,["echo",1]"#), T(r#"2/?x=1,["echo"]"#)],
        );
        party.hears(
            &guest,
            &[r#"42/random,["/random",1]"#, r#"42/?x=1,["/?x=1"]"#],
        );
        // White space around the payload is JSON's.
        party.say(&guest, "2 [ \"echo\" , 1 ]\n");
        party.hears(&guest, &[r#"42["echo",1]"#]);
    }
}

/// Each of these packets ends the session of a client in `/`, at once and alone.
#[track_caller]
fn closes(packets: &[&[Say<'_>]]) {
    for packet in packets {
        for via in BOTH {
            let mut party = Party::new(echo);
            let (other, _) = party.enter(Via::WebSocket);
            let (guest, _) = party.enter(via);
            party.hear(&guest);
            party.say_all(&guest, packet);
            party.hears(&guest, &["end"]);
            party.noted(&["forced close"]);
            party.say(&other, r#"2["echo"]"#);
            party.hears(&other, &[r#"42["echo"]"#]);
        }
    }
}

#[test]
fn wire_2_6_2_unknown_types_and_illegal_attachments_close() {
    closes(&[
        &[T("7")],
        &[T("9[\"echo\"]")],
        &[T("abc")],
        &[T("")],
        &[T("5[\"echo\"]")],
        &[T("5-[\"echo\"]")],
        &[T("5x-[\"echo\"]")],
        &[T("51[\"echo\"]")],
        &[T("5-1-[\"echo\"]")],
        &[T("511-[\"echo\"]")],
        &[T("511-"), B(b"x")],
        &[T("64294967297-[]")],
    ]);
}

#[test]
fn wire_2_6_2_as_many_attachments_as_the_limit() {
    for via in BOTH {
        let config = Config {
            attachments_max: 2,
            ..Config::default()
        };
        let mut party = Party::with(config, echo);
        let (guest, _) = party.enter(via);
        let head = r#"52-["echo",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]"#;
        party.say_all(&guest, &[T(head), B(b"a"), B(b"b")]);
        let heard = party.hear(&guest);
        assert_eq!(heard, [&format!("4{head}"), "bYQ==", "bYg=="]);
        party.say(&guest, r#"53-["echo"]"#);
        party.hears(&guest, &["end"]);
    }
}

#[test]
fn wire_2_6_3_ids_beyond_two_to_the_53_are_exact() {
    for via in BOTH {
        let mut party = Party::new(echo);
        let (guest, _) = party.enter(via);
        for id in ["0", "7", "9007199254740993", "18446744073709551615"] {
            party.say(&guest, &format!("2{id}[\"echo\",1]"));
            party.hears(&guest, &["42[\"echo\",1]", &format!("43{id}[1]")]);
        }
        party.say(&guest, "2018446744073709551615[\"echo\"]");
        party.hears(&guest, &["42[\"echo\"]", "4318446744073709551615[]"]);
    }
    // A number that 64 bits do not hold cannot be given back.
    closes(&[&[T("218446744073709551616[\"echo\"]")]]);
}

#[test]
fn wire_2_6_3_payloads_of_another_shape_close() {
    closes(&[
        // Not JSON.
        &[T("2[\"echo\"")],
        &[T("2[\"echo\",]")],
        &[T("2[\"echo\"]]")],
        &[T("2[\"echo\",01]")],
        &[T("2[\"echo\",\"\u{1}\"]")],
        &[T("2[\"echo\",NaN]")],
        // DISCONNECT has none.
        &[T("1{}")],
        &[T("1/,null")],
        // An EVENT is a list with a name.
        &[T("2{}")],
        &[T("2abc[\"echo\"]")],
        &[T("2[]")],
        &[T("2")],
        &[T("2null")],
        &[T("2\"echo\"")],
        &[T("2[null]")],
        &[T("2[true]")],
        &[T("2[{}]")],
        &[T("2[[\"echo\"]]")],
        &[T("50-[]")],
        // An ACK is a list, and says of what.
        &[T("30{}")],
        &[T("30")],
        &[T("3[]")],
    ]);
}

#[test]
fn wire_2_6_3_a_connect_payload_is_an_object() {
    for payload in ["null", "[]", "\"a\"", "-1", "true", "{", "{}{}", "{\"a\":}"] {
        for via in BOTH {
            let mut party = Party::new(echo);
            let guest = party.guest(via);
            party.hear(&guest);
            party.say(&guest, &format!("0{payload}"));
            party.hears(&guest, &["end"]);
        }
    }
}

#[test]
fn wire_2_6_3_reserved_and_numeric_event_names() {
    for name in [
        "connect",
        "connect_error",
        "disconnect",
        "disconnecting",
        "newListener",
        "removeListener",
        "\\u0063onnect",
    ] {
        closes(&[&[T(&format!("2[\"{name}\"]"))]]);
    }
    let mut party = Party::new(|io| {
        for name in ["7", "-1.5e3", "", "Connect", "a\"b"] {
            io.on(name, move |log: &mut Log, _, (): ()| log.note(name));
        }
    });
    let (guest, _) = party.enter(Via::WebSocket);
    let packets = [
        "2[7]",
        "2[-1.5e3]",
        "2[\"\"]",
        "2[\"Connect\"]",
        "2[\"a\\u0022b\"]",
    ];
    party.say_all(&guest, &packets.map(T));
    party.noted(&["7", "-1.5e3", "", "Connect", "a\"b"]);
    // Nobody listens: nothing happens.
    party.say(&guest, "2[\"nobody\",1]");
    party.hears(&guest, &[]);
}

#[test]
fn wire_2_6_3_long_names_close() {
    let long = "n".repeat(257);
    closes(&[
        &[T(&format!("2[\"{long}\"]"))],
        &[T(&format!("2[{}]", "7".repeat(257)))],
        &[T(&format!("0/{long},"))],
    ]);
    let mut party = Party::new(|io| {
        io.on("n".repeat(256).as_str(), |log: &mut Log, _, (): ()| {
            log.note("heard")
        });
    });
    let (guest, _) = party.enter(Via::WebSocket);
    party.say(&guest, &format!("2[\"{}\"]", "n".repeat(256)));
    party.noted(&["heard"]);
}

#[test]
fn json_that_is_too_deep_closes_and_nothing_else_happens() {
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    let event = |depth: usize| format!("2[\"echo\",{}]", nested(depth - 1));
    let mut party = Party::new(echo);
    let (guest, _) = party.enter(Via::WebSocket);
    party.say(&guest, &event(100));
    party.hears(&guest, &[&format!("42[\"echo\",{}]", nested(99))]);
    party.lines();
    for depth in [101, 100_000] {
        closes(&[&[T(&event(depth))]]);
    }
    let ack = format!("30{}", nested(101));
    let connect = format!("0/,{{\"a\":{}}}", nested(100));
    closes(&[&[T(&ack)], &[T(&connect)]]);
}

const PLACEHOLDER: &str = r#"{"_placeholder":true,"num":0}"#;

#[test]
fn wire_2_6_4_binary_events_and_answers_come_whole() {
    for via in BOTH {
        let mut party = Party::new(|io| {
            echo(io);
            io.on("ask", |_, socket, (): ()| {
                let then = |log: &mut Log, _: Socket<'_, Log>, answer: Result<(Bytes, u8), _>| {
                    let (bytes, number) = answer.expect("an answer");
                    log.note(format!("{:?} {number}", &bytes[..]));
                };
                socket.emit_with_ack("question", (), ms(1_000), then);
            });
        });
        let (guest, _) = party.enter(via);
        let head = format!("51-7[\"echo\",{{\"deep\":[{PLACEHOLDER}]}},\"and\"]");
        // Also one by one.
        party.say(&guest, &head);
        party.hears(&guest, &[]);
        party.say_binary(&guest, &[1, 2, 255]);
        party.hears(
            &guest,
            &[
                &format!("451-[\"echo\",{{\"deep\":[{PLACEHOLDER}]}},\"and\"]"),
                "bAQL/",
                &format!("461-7[{{\"deep\":[{PLACEHOLDER}]}},\"and\"]"),
                "bAQL/",
            ],
        );
        party.lines();
        party.say(&guest, "2[\"ask\"]");
        party.hears(&guest, &["420[\"question\"]"]);
        party.say_all(&guest, &[T(&format!("61-0[{PLACEHOLDER},5]")), B(b"")]);
        party.noted(&["[] 5"]);
    }
}

#[test]
fn wire_2_6_4_a_placeholder_that_names_nothing_closes() {
    closes(&[
        &[T(r#"51-["echo",{"_placeholder":true,"num":1}]"#), B(b"x")],
        &[T(r#"51-["echo",{"_placeholder":true,"num":-1}]"#), B(b"x")],
        &[T(r#"51-["echo",{"_placeholder":true,"num":0.5}]"#), B(b"x")],
        &[T(r#"51-["echo",{"_placeholder":true,"num":"0"}]"#), B(b"x")],
        &[T(r#"51-["echo",{"_placeholder":true}]"#), B(b"x")],
    ]);
}

#[test]
fn wire_2_6_4_text_between_attachments_and_binary_without_a_header_close() {
    let head = format!("51-[\"echo\",{PLACEHOLDER}]");
    let two = format!("52-[\"echo\",{PLACEHOLDER},{PLACEHOLDER}]");
    closes(&[
        &[T(&head), T("2[\"echo\"]")],
        &[T(&head), T(&head)],
        &[T(&two), B(b"x"), T("1")],
        &[B(b"x")],
    ]);
    let mut party = Party::new(echo);
    let (guest, _) = party.enter(Via::WebSocket);
    party.say_all(&guest, &[T(&head), B(b"x"), B(b"y")]);
    party.hears(&guest, &[&format!("4{head}"), "beA==", "end"]);
}

#[test]
fn wire_2_6_5_a_binary_packet_without_attachments_is_complete() {
    for via in BOTH {
        let mut party = Party::new(|io| {
            echo(io);
            io.on("ask", |_, socket, (): ()| {
                let then = |log: &mut Log, _: Socket<'_, Log>, answer: Result<u8, _>| {
                    log.note(format!("{answer:?}"));
                };
                socket.emit_with_ack("question", (), ms(1_000), then);
            });
        });
        let (guest, _) = party.enter(via);
        party.say_all(
            &guest,
            &[T("50-[\"echo\",1]"), T("2[\"echo\",2]"), T("2[\"ask\"]")],
        );
        party.hears(
            &guest,
            &["42[\"echo\",1]", "42[\"echo\",2]", "420[\"question\"]"],
        );
        party.lines();
        party.say_all(&guest, &[T("60-0[3]"), T("2[\"echo\",4]")]);
        party.noted(&["Ok(3)", "4"]);
    }
}

#[test]
fn wire_2_6_6_the_bytes_of_attachments_have_a_limit() {
    for via in BOTH {
        let config = || Config {
            attachment_bytes_max: 10,
            ..Config::default()
        };
        let head = r#"52-["echo",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]"#;
        let mut party = Party::with(config(), echo);
        let (guest, _) = party.enter(via);
        party.say_all(&guest, &[T(head), B(&[0; 6]), B(&[0; 4])]);
        party.hears(&guest, &[&format!("4{head}"), "bAAAAAAAA", "bAAAAAA=="]);
        party.lines();
        party.say_all(&guest, &[T(head), B(&[0; 6]), B(&[0; 5])]);
        party.hears(&guest, &["end"]);
        party.noted(&["forced close"]);

        let config = Config {
            incoming_bytes_max: 2_000,
            ..Config::default()
        };
        let mut party = Party::with(config, echo);
        let (guest, _) = party.enter(via);
        party.hear(&guest);
        party.say_all(&guest, &[T(head), B(&[0; 1_000])]);
        party.hears(&guest, &[]);
        party.say_binary(&guest, &[0; 1_000]);
        party.hears(&guest, &["end"]);
    }
}

#[test]
fn half_a_binary_packet_is_given_back_with_its_client() {
    for via in BOTH {
        let mut party = Party::new(echo);
        let (guest, _) = party.enter(via);
        party.hear(&guest);
        let before = party.stats().incoming_bytes;
        let head = r#"52-["echo",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]"#;
        party.say_all(&guest, &[T(head), B(&[0; 1_000])]);
        assert!(party.stats().incoming_bytes >= before + 1_000);
        party.leave(&guest);
        assert_eq!(party.stats().incoming_bytes, 0);
        party.noted(&["transport close"]);
    }
}

#[test]
fn wire_2_6_7_a_packet_is_binary_iff_bytes_are_inside() {
    let mut party = Party::new(|io| {
        io.on("go", |_, socket, (): ()| {
            let bytes = Bytes::from(&b"\x00\xff"[..]);
            let deep = std::collections::BTreeMap::from([("k", vec![Some(&bytes), None])]);
            socket.emit("a", "text");
            socket.emit("b", &bytes);
            let other = Bytes::from(&b"\x01"[..]);
            socket.emit("c", (1, &deep, [[&other, &bytes]]));
            socket.emit("d", (vec![0u8, 255], json!({"_placeholder": true})));
        });
    });
    let (guest, _) = party.enter(Via::WebSocket);
    party.say(&guest, "2[\"go\"]");
    let second = r#"{"_placeholder":true,"num":1}"#;
    party.hears(
        &guest,
        &[
            r#"42["a","text"]"#,
            &format!("451-[\"b\",{PLACEHOLDER}]"),
            "bAP8=",
            // The same bytes travel once.
            &format!("452-[\"c\",1,{{\"k\":[{PLACEHOLDER},null]}},[[{second},{PLACEHOLDER}]]]"),
            "bAP8=",
            "bAQ==",
            r#"42["d",[0,255],{"_placeholder":true}]"#,
        ],
    );
}

#[test]
fn wire_2_6_8_a_decode_error_ends_every_socket_of_the_client() {
    for via in BOTH {
        let mut party = Party::new(|io| {
            reasons(io);
            io.of("/a")
                .on_disconnect(|log: &mut Log, _, reason| log.note(format!("/a {reason}")));
        });
        let (guest, _) = party.enter(via);
        party.join(&guest, "/a");
        party.hear(&guest);
        party.say(&guest, "2/a,[");
        party.hears(&guest, &["end"]);
        let mut lines = party.lines();
        lines.sort();
        assert_eq!(lines, ["/a forced close", "forced close"]);
    }
}

#[test]
fn wire_2_6_8_the_packets_before_a_bad_one_are_handled_and_answered() {
    for via in BOTH {
        let mut party = Party::new(echo);
        let (guest, _) = party.enter(via);
        party.hear(&guest);
        party.say_all(&guest, &[T("2[\"echo\",1]"), T("2{}"), T("2[\"echo\",2]")]);
        party.hears(&guest, &["42[\"echo\",1]", "end"]);
        // Over polling the answer before it has a response of its own, so the end has to wait.
        let reason = match via {
            Via::Polling => "forced server close",
            Via::WebSocket => "forced close",
        };
        party.noted(&["1", reason]);
    }
}

#[test]
fn wire_2_6_9_a_packet_and_its_attachments_are_contiguous() {
    let mut party = Party::new(|io| {
        io.on("go", |_, socket, (): ()| {
            let (a, b) = (Bytes::from(&b"a"[..]), Bytes::from(&b"b"[..]));
            socket.emit("one", (&a, &b));
            socket.io().emit("two", &b);
            socket.volatile().emit("three", &a);
            socket.emit("four", ());
        });
    });
    let (guest, _) = party.enter(Via::WebSocket);
    let (polling, _) = party.enter(Via::Polling);
    party.hear(&polling);
    party.say(&guest, "2[\"go\"]");
    let second = r#"{"_placeholder":true,"num":1}"#;
    let two = format!("451-[\"two\",{PLACEHOLDER}]");
    party.hears(
        &guest,
        &[
            &format!("452-[\"one\",{PLACEHOLDER},{second}]"),
            "bYQ==",
            "bYg==",
            &two,
            "bYg==",
            &format!("451-[\"three\",{PLACEHOLDER}]"),
            "bYQ==",
            "42[\"four\"]",
        ],
    );
    party.hears(&polling, &[&two, "bYg=="]);
}

#[test]
fn wire_2_6_9_volatile_drops_a_packet_with_its_attachments() {
    let mut party = Party::new(|io| {
        io.on("go", |_, socket, (): ()| {
            let bytes = Bytes::from(&b"a"[..]);
            socket.io().volatile().emit("all", (&bytes, &bytes));
            socket.io().emit("sure", &bytes);
        });
    });
    let (guest, _) = party.enter(Via::WebSocket);
    let poller = party.poller();
    party.post(&poller, "40");
    party.poll(&poller);
    party.polled(&poller);
    let (slow, _) = party.enter(Via::WebSocket);
    let client = party.client(&slow);
    party.let_write(client, Some(0));
    party.io.handle().emit("first", ()).unwrap();
    party.turn();
    party.say(&guest, "2[\"go\"]");
    party.let_write(client, None);
    let sure = format!("451-[\"sure\",{PLACEHOLDER}]");
    party.hears(&slow, &["42[\"first\"]", &sure, "bYQ=="]);
    party.poll(&poller);
    let heard = party.polled(&poller);
    assert_eq!(heard, format!("42[\"first\"]\x1e{sure}\x1ebYQ=="));
    assert_eq!(party.stats().volatile_dropped, 2);
    // The two attachments are the same bytes, which travel once.
    assert_eq!(party.hear(&guest).len(), 5);
}

#[test]
fn wire_2_6_10_packets_that_do_not_fit_the_state_close() {
    for packet in ["2[\"echo\"]", "30[]", "1", "4{}", "2/a,[\"echo\"]"] {
        for via in BOTH {
            let mut party = Party::new(|io| {
                echo(io);
                io.of("/a");
            });
            let guest = party.guest(via);
            party.hear(&guest);
            party.say(&guest, packet);
            party.hears(&guest, &["end"]);
            party.noted(&[]);
        }
    }
    closes(&[
        &[T("0")],
        &[T("0{}")],
        &[T("4{\"message\":\"no\"}")],
        &[T("4\"no\"")],
        &[T("2/a,[\"echo\"]")],
        &[T("1/a,")],
    ]);
    for after in ["2[\"echo\"]", "1"] {
        let mut party = Party::new(echo);
        let (guest, _) = party.enter(Via::WebSocket);
        party.say_all(&guest, &[T("1"), T(after)]);
        party.hears(&guest, &["end"]);
        party.noted(&["client namespace disconnect"]);
    }
}

#[test]
fn wire_2_6_11_connect_and_event_in_one_payload_are_taken() {
    for via in BOTH {
        let mut party = Party::new(|io| {
            echo(io);
            io.on_connect(|log: &mut Log, _| log.note("connect"));
        });
        let guest = party.guest(via);
        party.hear(&guest);
        let head = format!("51-[\"echo\",{PLACEHOLDER}]");
        let packets = [
            T("0"),
            T("2[\"echo\",1]"),
            T(&head),
            B(b"x"),
            T("2[\"echo\",2]"),
            T("1"),
        ];
        party.say_all(&guest, &packets);
        let heard = party.hear(&guest);
        assert!(heard[0].starts_with("40{\"sid\":"));
        let rest = [
            "42[\"echo\",1]",
            &format!("4{head}"),
            "beA==",
            "42[\"echo\",2]",
        ];
        assert_eq!(heard[1..], rest);
        let end = "client namespace disconnect";
        party.noted(&["connect", "1", PLACEHOLDER, "2", end]);
    }
}

fn thinks(io: &mut Crank<Log>) {
    io.middleware_deferred(
        |log: &mut Log, _: Socket<'_, Log>, _: &Handshake<'_>, decision: Decision| {
            log.decisions.push(decision);
        },
    );
    witness(io);
    io.on_raw(
        "echo",
        |log: &mut Log, socket: Socket<'_, Log>, args: Args<'_>| {
            log.note(args.raw());
            socket.emit("echo", args);
        },
    );
}

#[test]
fn wire_2_6_11_a_second_connect_while_the_first_is_judged_is_refused() {
    for via in BOTH {
        let mut party = Party::new(thinks);
        let guest = party.guest(via);
        party.hear(&guest);
        party.say_all(&guest, &[T("0"), T("0")]);
        party.hears(&guest, &["end"]);
        assert_eq!(party.stats().sockets, 0);
        let decision = party.io.app().decisions.pop().expect("one was asked for");
        decision.allow().unwrap();
        party.turn();
        assert!(party.io.app().decisions.is_empty());
        party.noted(&[]);
    }
}

#[test]
fn packets_are_held_while_the_socket_is_judged() {
    for via in BOTH {
        let mut party = Party::new(thinks);
        let guest = party.guest(via);
        party.hear(&guest);
        let head = format!("51-[\"echo\",{PLACEHOLDER}]");
        party.say_all(
            &guest,
            &[T("0{\"a\":1}"), T("2[\"echo\",1]"), T(&head), B(b"x")],
        );
        party.say(&guest, "2[\"echo\",2]");
        party.hears(&guest, &[]);
        party.noted(&[]);
        assert!(party.stats().incoming_bytes > 0);
        party.io.app().decisions.remove(0).allow().unwrap();
        party.turn();
        let heard = party.hear(&guest);
        assert!(heard[0].starts_with("40{\"sid\":"));
        assert_eq!(
            heard[1..],
            [
                "42[\"echo\",1]",
                &format!("4{head}"),
                "beA==",
                "42[\"echo\",2]"
            ]
        );
        party.noted(&["connect", "1", PLACEHOLDER, "2"]);
        assert_eq!(party.stats().incoming_bytes, 0);
    }
}

#[test]
fn packets_held_while_joining_have_a_limit() {
    for (config, packets) in [
        (
            Config {
                joining_packets_max: 3,
                ..Config::default()
            },
            3,
        ),
        (
            Config {
                max_payload: 40,
                ..Config::default()
            },
            3,
        ),
    ] {
        for via in BOTH {
            let mut party = Party::with(config.clone(), thinks);
            let guest = party.guest(via);
            party.hear(&guest);
            party.say(&guest, "0");
            for _ in 0..packets {
                party.say(&guest, "2[\"echo\",12]");
            }
            party.hears(&guest, &[]);
            party.say(&guest, "2[\"echo\",12]");
            party.hears(&guest, &["end"]);
            party.noted(&[]);
            assert_eq!(party.stats().incoming_bytes, 0);
            assert_eq!(living_data(), 0);
        }
    }
}

#[test]
fn wire_2_6_12_the_answers_to_connect() {
    for via in BOTH {
        let mut party = Party::new(|io| {
            io.of("/plain")
                .middleware(|_, _, _| Err(Refusal::new("no \"entry\"\n")));
            io.of("/data").middleware(|_, _, _| {
                let data = json!({"code": 403, "details": ["no", {"token": "please"}]});
                Err(Refusal::new("not authorized").with_data(data))
            });
            io.of("/null")
                .middleware(|_, _, _| Err(Refusal::new("").with_data(Value::Null)));
            io.middleware(|_, _, hello| match hello.query("fail") {
                Some(_) => Err(Refusal::new("Auth failed (main namespace)")),
                None if hello.auth["fail"] == true => Err("auth".into()),
                None => Ok(()),
            });
        });
        let guest = party.guest(via);
        party.hear(&guest);
        let table = [
            (
                "0/unknown,",
                r#"44/unknown,{"message":"Invalid namespace"}"#,
            ),
            (
                "0/unknown,{\"a\":1}",
                r#"44/unknown,{"message":"Invalid namespace"}"#,
            ),
            ("0/plain,", r#"44/plain,{"message":"no \"entry\"\n"}"#),
            (
                "0/data,",
                concat!(
                    r#"44/data,{"message":"not authorized","data":"#,
                    r#"{"code":403,"details":["no",{"token":"please"}]}}"#
                ),
            ),
            ("0/null,", r#"44/null,{"message":"","data":null}"#),
            (r#"0{"fail":true}"#, r#"44{"message":"auth"}"#),
        ];
        for (connect, answer) in table {
            party.say(&guest, connect);
            party.hears(&guest, &[answer]);
        }
        // The session is open; another try may succeed.
        party.join(&guest, "/");
    }
}

#[test]
fn wire_2_6_12_an_unknown_namespace_is_not_made_by_asking() {
    let mut party = Party::new(|io| {
        io.of("known");
    });
    let (guest, _) = party.enter(Via::WebSocket);
    party.join(&guest, "/known");
    for name in ["/unknown", "/known/", "/Known", "/"] {
        let mut other = Party::new(|_| {});
        let guest = other.guest(Via::WebSocket);
        other.say(&guest, &format!("0{name},"));
        let heard = other.hear(&guest);
        assert_eq!(heard[0].starts_with("40"), name == "/", "{heard:?}");
    }
}

#[test]
fn wire_2_6_12_one_client_has_a_limit_of_namespaces() {
    let config = Config {
        namespaces_per_client_max: 2,
        ..Config::default()
    };
    let mut party = Party::with(config, |io| {
        for name in ["/a", "/b"] {
            io.of(name);
        }
    });
    let (guest, _) = party.enter(Via::WebSocket);
    party.join(&guest, "/a");
    party.say(&guest, "0/b,");
    party.hears(&guest, &[r#"44/b,{"message":"Too many namespaces"}"#]);
    party.say(&guest, "1/a,");
    party.join(&guest, "/b");
}

#[test]
fn wire_2_6_12_the_connect_timeout_runs_on_after_a_refusal() {
    for via in BOTH {
        let mut party = Party::new(|io| {
            io.middleware(|_, _, _| Err("no".into()));
        });
        let guest = party.guest(via);
        party.hear(&guest);
        for _ in 0..4 {
            party.advance(10_000);
            party.say_all(&guest, &[T("0"), T("0/unknown,")]);
            pong(&mut party, &guest);
            party.hear(&guest);
        }
        party.advance(4_900);
        party.hears(&guest, &[]);
        party.advance(200);
        party.hears(&guest, &["end"]);
        assert_eq!(party.stats().timeouts, 1);
    }
}

fn pong(party: &mut Party, guest: &Guest) {
    match guest {
        Guest::Polling(poller) => {
            party.post(poller, "3");
        }
        Guest::WebSocket(client, _) => party.send(*client, text("3")),
    }
}

#[test]
fn wire_2_6_13_connect_is_written_before_the_handler_emits() {
    for via in BOTH {
        let mut party = Party::new(|io| {
            io.middleware(|_, socket: Socket<'_, Log>, _| {
                socket.emit("before", 1);
                socket.join("room");
                Ok(())
            });
            io.middleware(|_, socket: Socket<'_, Log>, _| {
                assert_eq!(socket.rooms(), ["room"]);
                socket.emit("before", 2);
                Ok(())
            });
            io.on_connect(|_, socket: Socket<'_, Log>| socket.emit("after", socket.rooms()));
        });
        let guest = party.guest(via);
        party.hear(&guest);
        party.say(&guest, "0");
        let heard = party.hear(&guest);
        assert_eq!(heard[..2], ["42[\"before\",1]", "42[\"before\",2]"]);
        assert!(heard[2].starts_with("40{\"sid\":"));
        assert_eq!(heard[3..], ["42[\"after\",[\"room\"]]"]);
    }
}

#[test]
fn wire_2_6_14_events_come_in_order_and_not_after_the_end() {
    for via in BOTH {
        let mut party = Party::new(|io| {
            io.on("n", |log: &mut Log, socket, (n,): (u32,)| {
                log.note(n.to_string());
                if n == 3 {
                    socket.disconnect(true);
                }
            });
            reasons(io);
        });
        let (guest, _) = party.enter(via);
        party.hear(&guest);
        let packets: Vec<_> = (1..6).map(|n| format!("2[\"n\",{n}]")).collect();
        let packets: Vec<_> = packets.iter().map(|packet| T(packet)).collect();
        party.say_all(&guest, &packets);
        party.noted(&["1", "2", "3", "server namespace disconnect"]);
        party.hears(&guest, &["41", "end"]);
    }
}

#[test]
fn wire_2_6_15_a_client_disconnect_gets_no_reply_and_the_timeout_runs_again() {
    for via in BOTH {
        let mut party = Party::new(witness);
        let (guest, _) = party.enter(via);
        party.say(&guest, "1");
        party.hears(&guest, &[]);
        party.noted(&[
            "connect",
            "disconnecting client namespace disconnect []",
            "disconnect client namespace disconnect []",
        ]);
        assert_eq!((party.stats().sessions, party.stats().sockets), (1, 0));
        party.advance(24_000);
        // It may come back,
        party.join(&guest, "/");
        for _ in 0..6 {
            party.advance(10_000);
            pong(&mut party, &guest);
            party.hear(&guest);
        }
        assert_eq!(party.stats().sessions, 1);
        // or has to go.
        party.say(&guest, "1");
        for _ in 0..5 {
            party.advance(8_900);
            pong(&mut party, &guest);
            party.hear(&guest);
        }
        assert_eq!(party.stats().sessions, 1);
        party.advance(600);
        assert_eq!(party.hear(&guest).last().unwrap(), "end");
        assert_eq!(party.stats().sessions, 0);
    }
}

#[test]
fn wire_2_6_16_first_disconnecting_with_rooms_then_disconnect_without() {
    for via in BOTH {
        let mut party = Party::new(|io| {
            witness(io);
            io.on_connect(|_, socket: Socket<'_, Log>| {
                socket.join("a");
                socket.join("b");
            });
            io.on_disconnecting(|_, socket: Socket<'_, Log>, _| {
                socket.to("a").emit("leaving", ());
                socket.join("late");
            });
            io.on_disconnect(|_, socket: Socket<'_, Log>, _| {
                socket.join("too late");
                socket.emit("nobody hears", ());
                assert!(!socket.is_connected());
            });
        });
        let (other, _) = party.enter(Via::WebSocket);
        let (guest, _) = party.enter(via);
        party.hear(&guest);
        party.lines();
        party.leave(&guest);
        party.noted(&[
            "disconnecting transport close [\"a\", \"b\"]",
            "disconnect transport close []",
        ]);
        party.hears(&other, &["42[\"leaving\"]"]);
        assert_eq!(party.stats().rooms, 2);
    }
}

#[test]
fn wire_2_6_17_lone_surrogates_become_the_replacement_character() {
    let mut party = Party::new(|io| {
        echo(io);
        io.on("\u{FFFD}", |log: &mut Log, _, ()| log.note("a name"));
        io.on("typed", |_, socket, (text,): (String,)| {
            socket.emit("typed", text)
        });
    });
    let (guest, _) = party.enter(Via::WebSocket);
    party.say(&guest, r#"2["\ud800",1]"#);
    party.say(&guest, r#"2["typed","a\ud800b\ud83d\ude00"]"#);
    party.noted(&["a name"]);
    party.hears(&guest, &["42[\"typed\",\"a\u{FFFD}b😀\"]"]);
    // Sent on, the text is as it came.
    party.say(&guest, r#"2["echo","\ud800"]"#);
    party.hears(&guest, &[r#"42["echo","\ud800"]"#]);
}

#[test]
fn json_deeper_than_the_limit_ends_the_session() {
    let config = Config {
        json_depth_max: 5,
        ..Config::default()
    };
    let mut party = Party::with(config, echo);
    let (guest, _) = party.enter(Via::WebSocket);
    // The packet's own array is the first level.
    party.say(&guest, r#"2["echo",[[[[]]]]]"#);
    party.hears(&guest, &[r#"42["echo",[[[[]]]]]"#]);
    party.say(&guest, r#"2["echo",[[[[[]]]]]]"#);
    party.hears(&guest, &["end"]);
    party.noted(&["[[[[]]]]", "forced close"]);
}

#[test]
fn wire_2_6_18_nothing_is_null() {
    let mut party = Party::new(|io| {
        io.on("go", |_, socket, (): ()| {
            socket.emit("a", (None::<u8>, 1, ()));
            socket.emit("b", ());
            socket.emit("c", ((),));
            socket.emit("d", vec![1, 2]);
            socket.emit("e", [1, 2]);
        });
    });
    let (guest, _) = party.enter(Via::WebSocket);
    party.say(&guest, "2[\"go\"]");
    party.hears(
        &guest,
        &[
            "42[\"a\",null,1,null]",
            "42[\"b\"]",
            "42[\"c\",null]",
            "42[\"d\",[1,2]]",
            "42[\"e\",1,2]",
        ],
    );
}

#[test]
fn an_attachment_reaches_nobody_but_the_socket_it_was_sent_to() {
    let mut party = Party::new(|io| {
        io.on_raw("echo", |_, socket: Socket<'_, Log>, args: Args<'_>| {
            socket.emit("echo", args);
        });
        io.of("/other");
    });
    let (attacker, id) = party.enter(Via::WebSocket);
    party.join(&attacker, "/other");
    party.say(&attacker, &format!("51-[\"echo\",{PLACEHOLDER}]"));
    let kick = party.io.handle().run(move |_, io| {
        io.socket(id).expect("it is there").disconnect(false);
    });
    kick.unwrap();
    party.turn();
    // Its slot is free now, and taken by the next.
    let (victim, _) = party.enter(Via::WebSocket);
    party.say_binary(&attacker, b"x");
    party.hears(&victim, &[]);
    party.hears(&attacker, &["41"]);
}

#[test]
fn attachments_that_do_not_come_have_a_deadline() {
    // However lively the client is otherwise.
    let config = Config {
        ping_interval: ms(3_600_000),
        ..Config::default()
    };
    let mut party = Party::with(config, reasons);
    let (guest, _) = party.enter(Via::WebSocket);
    party.say(&guest, &format!("51-[\"a\",{PLACEHOLDER}]"));
    party.advance(59_900);
    party.noted(&[]);
    party.advance(200);
    party.noted(&["forced close"]);
}

#[test]
fn an_object_that_looks_like_a_placeholder_does_not_travel_with_binary() {
    let mut party = Party::new(|io| {
        io.on("relay", |_, socket, (value,): (serde_json::Value,)| {
            socket.emit("relay", (&value, Bytes::from(&b"a"[..])));
            socket.emit("alone", value);
        });
    });
    let (guest, _) = party.enter(Via::WebSocket);
    let forged = r#"{"_placeholder":true,"num":7}"#;
    party.say(&guest, &format!("2[\"relay\",{forged}]"));
    party.hears(&guest, &[&format!("42[\"alone\",{forged}]")]);
}
