//! How sockets end: every reason of spec 1.6 with what triggers it, the order of closing,
//! deadlines, and that nothing is left.

#[path = "common/sio.rs"]
mod sio;

use emio::{App, Bytes, Config, Crank, Handle, KeepHeaders, Server, Socket};
use sio::*;

/// Both namespaces note why their sockets end, rooms before and after.
fn told(io: &mut Crank<Log>) {
    witness(io);
    io.on_connect(|_, socket: Socket<'_, Log>| socket.join("room"));
    io.of("/a").on_disconnect(|log: &mut Log, socket, reason| {
        log.note(format!("/a {reason} {:?}", socket.rooms()));
    });
    io.of("/a")
        .on_connect(|_, socket: Socket<'_, Log>| socket.join("room"));
    for name in ["/", "/a"] {
        io.of(name).on(
            "disconnect me",
            |log: &mut Log, socket, (close,): (bool,)| {
                socket.emit("before", ());
                socket.disconnect(close);
                socket.emit("after", ());
                log.note("asked");
            },
        );
        io.of(name).on("close connection", |_, socket, (): ()| {
            socket.close_connection()
        });
    }
}

/// A client in both namespaces, whose socket in `/` ends for `reason`; if everything ends, so does
/// that in `/a`.
#[track_caller]
fn ends(
    via: Via,
    config: Config,
    reason: &str,
    all: bool,
    heard: &[&str],
    how: impl Fn(&mut Party, &Guest),
) {
    let mut party = Party::with(config, told);
    let (guest, _) = party.enter(via);
    party.join(&guest, "/a");
    party.hear(&guest);
    party.noted(&["connect"]);
    how(&mut party, &guest);
    let mut lines = party.lines();
    lines.retain(|line| line != "asked");
    let mut expected = vec![
        format!("disconnecting {reason} [\"room\"]"),
        format!("disconnect {reason} []"),
    ];
    if all {
        expected.push(format!("/a {reason} []"));
        // The order of namespaces is nobody's business; that of the steps is.
        lines.sort_by_key(|line| line.starts_with("/a"));
    }
    assert_eq!(lines, expected, "{via:?}");
    party.hears(&guest, heard);
    let left = u64::from(!all);
    let stats = party.stats();
    assert_eq!((stats.sockets, stats.rooms), (left, left));
}

fn default() -> Config {
    Config::default()
}

fn raw(party: &mut Party, guest: &Guest, packet: &str) {
    match guest {
        Guest::Polling(poller) => {
            party.post(poller, packet);
        }
        Guest::WebSocket(client, _) => party.send(*client, text(packet)),
    }
}

#[test]
fn transport_close_when_the_client_goes() {
    ends(
        Via::WebSocket,
        default(),
        "transport close",
        true,
        &[],
        |party, guest| {
            party.end(party.client(guest));
        },
    );
    ends(
        Via::WebSocket,
        default(),
        "transport close",
        true,
        &["end"],
        |party, guest| {
            party.send(party.client(guest), close(Some(1001)));
        },
    );
    ends(
        Via::WebSocket,
        default(),
        "transport close",
        true,
        &[],
        |party, guest| {
            party.reset(party.client(guest));
        },
    );
    // The engine's close packet; the parked GET gets a noop.
    ends(
        Via::Polling,
        default(),
        "transport close",
        true,
        &["6", "400"],
        |party, guest| {
            raw(party, guest, "1");
        },
    );
    ends(
        Via::WebSocket,
        default(),
        "transport close",
        true,
        &["end"],
        |party, guest| {
            raw(party, guest, "1");
        },
    );
}

#[test]
fn transport_error_when_the_client_breaks_the_transport() {
    for via in BOTH {
        // A ping, which only servers send in Engine.IO 4.
        ends(
            via,
            default(),
            "transport error",
            true,
            &["end"],
            |party, guest| {
                raw(party, guest, "2");
            },
        );
    }
    ends(
        Via::Polling,
        default(),
        "transport error",
        true,
        &["end"],
        |party, guest| {
            let Guest::Polling(poller) = guest else {
                unreachable!()
            };
            let second = party.ask(get_of(&polling(&poller.sid)));
            assert_eq!(party.answer(second).status, 400);
        },
    );
    // An aborted poll.
    ends(
        Via::Polling,
        default(),
        "transport error",
        true,
        &[],
        |party, guest| {
            party.reset(party.client(guest));
        },
    );
    ends(
        Via::Polling,
        default(),
        "transport error",
        true,
        &["end"],
        |party, guest| {
            let Guest::Polling(poller) = guest else {
                unreachable!()
            };
            let headers = "Content-Type: application/octet-stream\r\n";
            party.ask(post_with(&polling(&poller.sid), headers, "4"));
        },
    );
    ends(
        Via::WebSocket,
        default(),
        "transport error",
        true,
        &["end"],
        |party, guest| {
            // Not masked.
            party.send(party.client(guest), [0x81, 0x01, b'4']);
        },
    );
}

#[test]
fn parse_error_when_an_engine_packet_is_none() {
    for packet in ["", "7", "x"] {
        for via in BOTH {
            ends(
                via,
                default(),
                "parse error",
                true,
                &["end"],
                |party, guest| {
                    raw(party, guest, packet);
                },
            );
        }
    }
}

#[test]
fn ping_timeout_when_the_client_is_silent() {
    for via in BOTH {
        let config = Config {
            ping_interval: ms(300),
            ping_timeout: ms(200),
            ..default()
        };
        ends(
            via,
            config,
            "ping timeout",
            true,
            &["end"],
            |party, guest| {
                party.advance(320);
                party.hears(guest, &["2"]);
                party.noted(&[]);
                // Messages are no pongs.
                party.say(guest, "2[\"nobody\"]");
                party.advance(220);
            },
        );
    }
}

#[test]
fn forced_close_when_the_server_can_close_at_once() {
    for via in BOTH {
        ends(
            via,
            default(),
            "forced close",
            true,
            &["end"],
            |party, guest| {
                party.say(guest, "2{}");
            },
        );
        // Without a word to the namespaces.
        ends(
            via,
            default(),
            "forced close",
            true,
            &["end"],
            |party, guest| {
                party.say(guest, "2[\"close connection\"]");
            },
        );
    }
}

#[test]
fn forced_server_close_when_the_transport_has_to_wait() {
    for packet in ["2{}", "2[\"close connection\"]"] {
        // Its GET was answered and there is no other: the next one is told.
        let heard = ["42[\"x\"]", "end"];
        ends(
            Via::Polling,
            default(),
            "forced server close",
            true,
            &heard,
            |party, guest| {
                party.io.handle().emit("x", ()).unwrap();
                party.turn();
                party.say(guest, packet);
            },
        );
        ends(
            Via::WebSocket,
            default(),
            "forced server close",
            true,
            &heard,
            |party, guest| {
                party.let_write(party.client(guest), Some(1));
                party.io.handle().emit("x", ()).unwrap();
                party.turn();
                party.say(guest, packet);
                party.let_write(party.client(guest), None);
            },
        );
    }
}

#[test]
fn the_namespace_is_left_by_the_client() {
    for via in BOTH {
        ends(
            via,
            default(),
            "client namespace disconnect",
            false,
            &[],
            |party, guest| {
                party.say(guest, "1");
            },
        );
    }
}

#[test]
fn the_namespace_is_ended_by_the_server() {
    let reason = "server namespace disconnect";
    for via in BOTH {
        // What was emitted before is sent before; the connection stays, for other namespaces.
        let heard = ["42[\"before\"]", "41"];
        ends(via, default(), reason, false, &heard, |party, guest| {
            party.say(guest, "2[\"disconnect me\",false]");
        });
        let mut party = Party::new(told);
        let (guest, _) = party.enter(via);
        party.say(&guest, "2[\"disconnect me\",false]");
        party.join(&guest, "/");
    }
}

#[test]
fn with_close_every_namespace_is_ended_and_the_connection() {
    for via in BOTH {
        let mut party = Party::new(told);
        let (guest, _) = party.enter(via);
        party.join(&guest, "/a");
        party.hear(&guest);
        party.lines();
        party.say(&guest, "2/a,[\"disconnect me\",true]");
        let mut heard = party.hear(&guest);
        assert_eq!(heard.remove(0), "42/a,[\"before\"]");
        assert_eq!(heard.pop().unwrap(), "end");
        heard.sort();
        assert_eq!(heard, ["41", "41/a,"]);
        let mut lines = party.lines();
        lines.sort();
        let reason = "server namespace disconnect";
        let expected = [
            &format!("/a {reason} []"),
            "asked",
            &format!("disconnect {reason} []"),
            &format!("disconnecting {reason} [\"room\"]"),
        ];
        assert_eq!(lines, expected);
        assert_eq!(party.stats().sockets, 0);
    }
}

#[test]
fn with_close_a_client_that_polls_without_a_get_is_told_by_its_next() {
    let mut party = Party::new(told);
    let poller = party.poller();
    party.post(&poller, "40\x1e42[\"disconnect me\",true]");
    assert_eq!(party.stats().sockets, 0);
    party.poll(&poller);
    let heard = party.polled(&poller);
    let rest = heard.split_once('\x1e').unwrap().1;
    assert_eq!(rest, "42[\"before\"]\x1e41");
    party.poll(&poller);
    assert_eq!(party.polled(&poller), "6\x1e1");
    party.poll(&poller);
    assert_eq!(party.answer(poller.get).status, 400);
    // Or it never asks.
    let poller = party.poller();
    party.post(&poller, "40\x1e42[\"disconnect me\",true]");
    party.advance(11_000);
    assert_eq!(party.stats().sessions, 0);
}

#[test]
fn a_namespace_that_is_being_joined_is_not_told_to_leave() {
    let mut party = Party::new(|io| {
        told(io);
        io.of("/slow")
            .middleware_deferred(|log: &mut Log, _, _, decision| {
                log.decisions.push(decision);
            });
    });
    let (guest, _) = party.enter(Via::WebSocket);
    party.say(&guest, "0/slow,");
    party.say(&guest, "2[\"disconnect me\",true]");
    party.hears(&guest, &["42[\"before\"]", "41", "end"]);
    party.io.app().decisions.clear();
}

#[test]
fn server_shutting_down_without_a_packet() {
    for by_handle in [false, true] {
        let mut party = Party::new(told);
        let (ws, _) = party.enter(Via::WebSocket);
        let (polling, _) = party.enter(Via::Polling);
        party.hear(&polling);
        let idle = party.poller();
        party.post(&idle, "40");
        party.lines();
        if by_handle {
            party.io.handle().close().unwrap();
        } else {
            party.io.close();
        }
        party.turn();
        let mut lines = party.lines();
        lines.sort();
        let reason = "server shutting down";
        let first = format!("disconnect {reason} []");
        let second = format!("disconnecting {reason} [\"room\"]");
        assert_eq!(lines, [&*first, &first, &first, &second, &second, &second]);
        party.hears(&ws, &["end"]);
        party.hears(&polling, &["end"]);
        assert!(!party.is_open(party.client(&polling)));
        let stats = party.stats();
        assert_eq!((stats.sessions, stats.sockets, stats.rooms), (0, 0, 0));
        // Nobody is let in any more.
        let late = party.ask(get_of(&sio::polling("")));
        assert_eq!(party.answer(late).status, 503);
        party.io.close();
        party.turn();
        party.noted(&[]);
    }
}

#[test]
fn a_client_has_so_much_time_to_join_a_namespace() {
    for via in BOTH {
        let config = Config {
            connect_timeout: ms(1_000),
            ..default()
        };
        let mut party = Party::with(config, told);
        let guest = party.guest(via);
        party.hear(&guest);
        party.advance(999);
        party.hears(&guest, &[]);
        party.advance(2);
        party.hears(&guest, &["end"]);
        party.noted(&[]);

        let guest = party.guest(via);
        party.hear(&guest);
        party.advance(900);
        party.join(&guest, "/");
        party.hear(&guest);
        party.advance(10_000);
        party.hears(&guest, &[]);
        // From the last namespace's end on it runs again.
        party.join(&guest, "/a");
        party.say(&guest, "1");
        party.hear(&guest);
        party.advance(2_000);
        party.hears(&guest, &[]);
        party.say(&guest, "1/a,");
        party.advance(999);
        party.hears(&guest, &[]);
        party.advance(2);
        party.hears(&guest, &["end"]);
        assert_eq!(party.stats().timeouts, 2);
    }
}

#[test]
fn a_socket_in_middleware_has_not_joined() {
    for via in BOTH {
        let config = Config {
            connect_timeout: ms(1_000),
            ..default()
        };
        let mut party = Party::with(config, |io| {
            told(io);
            io.middleware_deferred(|log: &mut Log, _, _, decision| log.decisions.push(decision));
        });
        let guest = party.guest(via);
        party.say(&guest, "0");
        party.hear(&guest);
        party.advance(1_001);
        party.hears(&guest, &["end"]);
        assert_eq!(living_data(), 0);
        party.io.app().decisions.remove(0).allow().unwrap();
        party.turn();
        party.noted(&[]);
    }
}

#[test]
fn a_session_upgrades_under_its_sockets() {
    let mut party = Party::new(|io| {
        told(io);
        io.on("transport", |_, socket, (): ()| {
            socket.emit("transport", socket.transport().name())
        });
    });
    let (guest, _) = party.enter(Via::Polling);
    party.say(&guest, "2[\"transport\"]");
    party.hears(&guest, &["42[\"transport\",\"polling\"]"]);
    let Guest::Polling(poller) = &guest else {
        unreachable!()
    };
    let ws = party.probe(&poller.sid);
    party.send(ws, text("2probe"));
    assert_eq!(party.texts(ws), ["3probe"]);
    party.send(ws, text("5"));
    let guest = Guest::WebSocket(ws, poller.sid.clone());
    party.say(&guest, "2[\"transport\"]");
    party.hears(&guest, &["42[\"transport\",\"websocket\"]"]);
    party.noted(&["connect"]);
    party.leave(&guest);
    party.noted(&[
        "disconnecting transport close [\"room\"]",
        "disconnect transport close []",
    ]);
}

#[test]
fn the_handshake_is_there_until_a_namespace_is_joined() {
    for (keep, url, agent) in [
        (KeepHeaders::None, "", "None"),
        (
            KeepHeaders::Named(vec!["user-agent".to_owned()]),
            "/",
            "Some(\"tester\")",
        ),
        (KeepHeaders::All, "/", "Some(\"tester\")"),
    ] {
        let config = Config {
            keep_headers: keep.clone(),
            ..default()
        };
        let mut party = Party::with(config, |io| {
            io.middleware(|_, _, hello| match hello.auth["again"].is_null() {
                true => Err("not yet".into()),
                false => Ok(()),
            });
            io.middleware(|log: &mut Log, _, hello| {
                log.note(format!("{:?} {}", hello.header("User-Agent"), hello.auth));
                assert_eq!(hello.query("token").as_deref(), Some("a b"));
                assert_eq!(hello.issued_ms(), 1_700_000_000_000);
                assert!(hello.url().ends_with("token=a+b") && hello.address().is_loopback());
                Ok(())
            });
            io.on_connect(|log: &mut Log, socket: Socket<'_, Log>| {
                log.note(format!("{:?}", socket.handshake().header("user-agent")));
            });
            io.on("look", |log: &mut Log, socket, (): ()| {
                let hello = socket.handshake();
                log.note(format!("{:?} {}", hello.header("user-agent"), hello.auth));
                log.note(&hello.url()[..1.min(hello.url().len())]);
                assert!(hello.address().is_loopback() && !hello.is_cross_domain());
            });
        });
        let target = format!("{}&token=a+b", websocket(""));
        let ws = party.ask(upgrade_with(
            &target,
            "User-Agent: tester\r\nCookie: c=d\r\n",
        ));
        assert_eq!(party.answer(ws).status, 101);
        let sid = sid_of(&party.texts(ws)[0]);
        let guest = Guest::WebSocket(ws, sid);
        assert!(party.stats().incoming_bytes > 100);
        // A refusal does not take it away from the next try.
        party.say(&guest, "0");
        party.hears(&guest, &["44{\"message\":\"not yet\"}"]);
        party.say(&guest, "0{\"again\":\"yes\"}");
        party.noted(&["Some(\"tester\") {\"again\":\"yes\"}", "Some(\"tester\")"]);
        let kept = party.stats().incoming_bytes;
        assert_eq!(kept == 0, keep == KeepHeaders::None);
        party.say(&guest, "2[\"look\"]");
        let auth = if keep == KeepHeaders::None {
            "{}"
        } else {
            "{\"again\":\"yes\"}"
        };
        party.noted(&[&format!("{agent} {auth}"), url]);
        // What the CONNECT packet said goes with its socket.
        party.say(&guest, "1");
        assert_eq!(party.stats().incoming_bytes, kept.saturating_sub(15));
    }
}

#[test]
fn data_live_as_long_as_their_socket() {
    let mut party = Party::new(|io| {
        io.on("name", |_, socket, (name,): (String,)| {
            socket.data.name = name;
            let (data, peer) = socket.split();
            peer.emit("named", &data.name);
            data.name.push('!');
        });
        io.on_disconnect(|log: &mut Log, socket: Socket<'_, Log>, _| {
            log.note(format!("bye {}", socket.data.name));
        });
        io.of("/a");
    });
    let (guest, id) = party.enter(Via::WebSocket);
    party.join(&guest, "/a");
    assert_eq!(living_data(), 2);
    party.say(&guest, "2[\"name\",\"one\"]");
    party.hears(&guest, &["42[\"named\",\"one\"]"]);
    let read = party.io.with_socket(id, |data, peer| {
        assert_eq!((peer.id(), peer.namespace()), (id, "/"));
        data.name.clone()
    });
    assert_eq!(read.as_deref(), Some("one!"));
    party.say(&guest, "1");
    party.noted(&["bye one!"]);
    assert_eq!(party.io.with_socket(id, |_, _| ()), None);
    assert_eq!(living_data(), 1);
    let (_, second) = party.enter(Via::WebSocket);
    assert_ne!(second, id, "a slot is used again, an id is not");
    let name = party.io.with_socket(second, |data, _| data.name.clone());
    assert_eq!(name.as_deref(), Some(""));
}

#[test]
fn ids_are_not_sids_and_differ_by_namespace() {
    let mut party = Party::new(|io| {
        io.of("/a");
        io.on("ids", |log: &mut Log, socket, (): ()| {
            log.note(socket.sid().to_string());
            log.note(socket.id().to_string());
        });
    });
    let (guest, id) = party.enter(Via::WebSocket);
    let other = party.join(&guest, "/a");
    let Guest::WebSocket(_, sid) = &guest else {
        unreachable!()
    };
    party.say(&guest, "2[\"ids\"]");
    party.noted(&[sid, &id.to_string()]);
    assert_ne!(id, other);
    assert_ne!(*sid, id.to_string());
    assert_ne!(*sid, other.to_string());
    assert_eq!((sid.len(), id.to_string().len()), (20, 20));
}

#[test]
fn many_come_and_go_and_nothing_is_left() {
    let mut party = Party::new(|io| {
        told(io);
        io.on_raw("all", |_, socket, args| socket.io().emit("all", args));
    });
    for round in 0..10_usize {
        let mut guests: Vec<_> = (0..20).map(|n| party.enter(BOTH[n % 2]).0).collect();
        for guest in &guests {
            party.join(guest, "/a");
        }
        party.say(
            &guests[round],
            "51-[\"all\",{\"_placeholder\":true,\"num\":0}]",
        );
        party.say_binary(&guests[round], &vec![7; 1_000]);
        // Most leave in their way, some stay until the party is over.
        for (n, guest) in guests.drain(..).enumerate() {
            match (n + round) % 7 {
                0 => party.leave(&guest),
                1 => party.say(&guest, "{"),
                2 => party.say(&guest, "1/a,"),
                3 => party.reset(party.client(&guest)),
                4 => party.say(&guest, "2[\"disconnect me\",true]"),
                5 => party.say(&guest, "2[\"disconnect me\",false]"),
                _ => {}
            }
        }
        party.advance(1_000);
    }
    party.lines();
}

#[test]
fn servers_and_handles_go_to_other_threads() {
    fn is_send<T: Send>() {}
    fn is_shared<T: Send + Sync + Clone>() {}
    fn of<A: App>() {
        is_send::<Server<A>>();
        is_send::<Crank<A>>();
        is_shared::<Handle<A>>();
    }
    of::<Log>();
    of::<()>();
    is_shared::<Bytes>();
    is_send::<emio::Ack>();
    is_send::<emio::Decision>();
    is_send::<emio::Responder>();
    is_send::<emio::HandleError>();
}
