//! Bugs of handlers, namespaces and recovery that a hostile review found, each by its smallest input.

#[path = "common/sio.rs"]
mod sio;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use emio::{
    AckError, Bytes, Config, Crank, Dispatch, Io, Reason, Recovery, Refusal, Socket, SocketId,
    Volatile,
};
use serde_json::Value;
use sio::*;

fn recovering(change: impl FnOnce(&mut Recovery)) -> Config {
    let mut recovery = Recovery::default();
    change(&mut recovery);
    Config {
        recovery: Some(recovery),
        ..Config::default()
    }
}

fn json_of(packet: &str) -> Value {
    serde_json::from_str(&packet[packet.find('{').expect("an object")..]).expect("JSON")
}

fn pid_of(packet: &str) -> String {
    json_of(packet)["pid"].as_str().expect("a pid").to_owned()
}

fn sid_of(packet: &str) -> String {
    json_of(packet)["sid"].as_str().expect("a sid").to_owned()
}

fn enter(party: &mut Party, connect: &str) -> (Guest, Vec<String>) {
    let guest = party.guest(Via::WebSocket);
    party.say(&guest, connect);
    let heard = party.hear(&guest);
    (guest, heard)
}

fn lose(party: &mut Party, guest: &Guest) {
    let client = party.client(guest);
    party.reset(client);
    party.turn();
}

fn all(io: &mut Crank<Log>) {
    io.on("all", |_, socket: Socket<'_, Log>, (what,): (Value,)| {
        socket.io().emit("said", what)
    });
}

#[test]
fn a_client_with_too_many_namespaces_makes_none() {
    let config = Config {
        namespaces_per_client_max: 1,
        dynamic_namespaces_max: 3,
        ..Config::default()
    };
    let mut party = Party::with(config, |io| {
        io.of_pattern("/room-#");
    });
    let (guest, _) = party.enter(Via::WebSocket);
    for n in 1..4 {
        party.say(&guest, &format!("0/room-{n},"));
    }
    party.hear(&guest);
    lose(&mut party, &guest);
    let (_other, heard) = enter(&mut party, "0/room-9,");
    assert!(heard[0].starts_with("40/room-9,"), "{heard:?}");
}

#[test]
fn a_forgotten_namespace_takes_its_timers_with_it() {
    let mut party = Party::new(|io| {
        io.of_pattern("/room-#")
            .on_connect(|_, socket: Socket<'_, Log>| {
                socket.io().set_interval(ms(1_000), |log: &mut Log, io| {
                    log.note(format!("tick in {}", io.name()))
                });
            });
    });
    let (guest, _) = party.enter(Via::WebSocket);
    party.say(&guest, "0/room-1,");
    party.say(&guest, "1/room-1,");
    party.turn();
    party.advance(5_000);
    let lines = party.lines();
    party.vanish();
    assert_eq!(lines, Vec::<String>::new());
}

fn ask_again(io: Io<'_, Log>) {
    io.timeout(ms(1_000)).emit_with_ack(
        "alive",
        (),
        |log: &mut Log, io, _: Result<Vec<Value>, _>| {
            log.note("asked");
            if log.lines.len() < 10_000 {
                ask_again(io);
            }
        },
    );
}

#[test]
fn asking_nobody_again_and_again_does_not_hold_the_loop() {
    let mut party = Party::new(|io| {
        io.on("start", |_, socket: Socket<'_, Log>, (): ()| {
            ask_again(socket.io())
        });
    });
    let (guest, _) = party.enter(Via::WebSocket);
    party.say(&guest, "2[\"start\"]");
    party.hear(&guest);
    lose(&mut party, &guest);
    let n = party.lines().len();
    party.vanish();
    assert!(n < 100, "{n} times within few turns");
}

fn with_number(offset: &str, number: u64) -> String {
    let mut bytes = URL_SAFE_NO_PAD.decode(offset).unwrap();
    bytes[4..].copy_from_slice(&number.to_be_bytes());
    URL_SAFE_NO_PAD.encode(bytes)
}

fn offset_of(packet: &str) -> String {
    let values: Vec<Value> = serde_json::from_str(&packet[packet.find('[').unwrap()..]).unwrap();
    values.last().unwrap().as_str().unwrap().to_owned()
}

#[test]
fn a_log_entry_of_a_forgotten_namespace_is_not_another_ones() {
    let mut party = Party::with(recovering(|_| {}), |io| {
        io.of_pattern("/room-#")
            .on("all", |_, socket: Socket<'_, Log>, (what,): (Value,)| {
                socket.io().emit("said", what)
            });
    });
    let (alice, _) = enter(&mut party, "0/room-1,");
    party.say(&alice, "2/room-1,[\"all\",\"secret\"]");
    party.say(&alice, "1/room-1,");
    party.turn();
    let (eve, heard) = enter(&mut party, "0/room-2,");
    let pid = pid_of(&heard[0]);
    party.say(&eve, "2/room-2,[\"all\",1]");
    let offset = with_number(&offset_of(&party.hear(&eve)[0]), 0);
    lose(&mut party, &eve);
    let (_eve, heard) = enter(
        &mut party,
        &format!("0/room-2,{{\"pid\":\"{pid}\",\"offset\":\"{offset}\"}}"),
    );
    assert!(
        !heard.iter().any(|packet| packet.contains("secret")),
        "{heard:?}"
    );
}

#[test]
fn an_offset_from_before_a_client_came_gives_it_nothing() {
    let mut party = Party::with(recovering(|_| {}), all);
    let (alice, _) = enter(&mut party, "0");
    party.say(&alice, "2[\"all\",\"secret\"]");
    let (eve, heard) = enter(&mut party, "0");
    let pid = pid_of(&heard[0]);
    party.say(&eve, "2[\"all\",1]");
    let offset = with_number(&offset_of(&party.hear(&eve)[0]), 0);
    lose(&mut party, &eve);
    let (_eve, heard) = enter(
        &mut party,
        &format!("0{{\"pid\":\"{pid}\",\"offset\":\"{offset}\"}}"),
    );
    assert!(
        !heard.iter().any(|packet| packet.contains("secret")),
        "{heard:?}"
    );
}

fn expiring(io: &mut Crank<Log>) {
    io.middleware(|log: &mut Log, _, hello| {
        log.note("asked");
        if hello.auth["token"] != "good" {
            return Err(Refusal::new("expired"));
        }
        Ok(())
    });
    io.on("login", |_, socket: Socket<'_, Log>, (): ()| {
        socket.expires_in(ms(60_000))
    });
    reasons(io);
}

#[test]
fn who_was_put_out_for_its_credentials_presents_fresh_ones() {
    let config = Config {
        ping_interval: ms(600_000),
        ..recovering(|_| {})
    };
    let mut party = Party::with(config, expiring);
    let (guest, heard) = enter(&mut party, "0{\"token\":\"good\"}");
    let pid = pid_of(&heard[0]);
    party.say(&guest, "2[\"login\"]");
    party.advance(61_000);
    party.noted(&["asked", "forced close"]);
    let (_guest, heard) = enter(
        &mut party,
        &format!("0{{\"pid\":\"{pid}\",\"token\":\"old\"}}"),
    );
    assert!(heard[0].starts_with("44"), "{heard:?} {:?}", party.lines());
}

#[test]
fn a_recovered_socket_keeps_the_end_of_its_time() {
    let config = Config {
        ping_interval: ms(600_000),
        ..recovering(|_| {})
    };
    let mut party = Party::with(config, expiring);
    let (guest, heard) = enter(&mut party, "0{\"token\":\"good\"}");
    let pid = pid_of(&heard[0]);
    party.say(&guest, "2[\"login\"]");
    party.advance(10_000);
    lose(&mut party, &guest);
    let (guest, _) = enter(&mut party, &format!("0{{\"pid\":\"{pid}\"}}"));
    party.advance(300_000);
    let client = party.client(&guest);
    assert!(
        !party.is_open(client),
        "still in after 5 minutes: {:?}",
        party.lines()
    );
}

#[test]
fn middleware_may_limit_a_sockets_time() {
    let config = Config {
        ping_interval: ms(600_000),
        ..Config::default()
    };
    let mut party = Party::with(config, |io| {
        io.middleware(|_, socket, _| {
            socket.expires_in(ms(60_000));
            Ok(())
        });
        reasons(io);
    });
    let (_guest, _) = party.enter(Via::WebSocket);
    party.advance(61_000);
    party.noted(&["forced close"]);
}

#[test]
fn data_of_one_who_is_refused_when_it_comes_back_is_told_of() {
    let mut party = Party::with(recovering(|it| it.skip_middlewares = false), |io| {
        io.middleware(|_, socket, _| match socket.recovered() {
            true => Err(Refusal::new("busy")),
            false => Ok(()),
        });
        io.on_session_expired(|log: &mut Log, _: Io<'_, Log>, _: SocketId, _| log.note("lost"));
    });
    let (guest, heard) = enter(&mut party, "0");
    let pid = pid_of(&heard[0]);
    lose(&mut party, &guest);
    let (_guest, _) = enter(&mut party, &format!("0{{\"pid\":\"{pid}\"}}"));
    party.advance(300_000);
    party.noted(&["lost"]);
}

#[test]
fn what_is_logged_closes_nobody() {
    let run = |recovery: Option<Recovery>| {
        let config = Config {
            recovery,
            backlog_bytes_process_max: 1_000_000,
            ..Config::default()
        };
        let mut party = Party::with(config, |io| {
            io.on("bytes", |_, socket: Socket<'_, Log>, (): ()| {
                let many: Vec<Bytes> = (0..10).map(|_| Bytes::from(&b"x"[..])).collect();
                socket.io().emit("b", (many,));
            });
            io.on("big", |_, socket: Socket<'_, Log>, (): ()| {
                socket.reply("x".repeat(200_000))
            });
            reasons(io);
        });
        let (guest, _) = enter(&mut party, "0");
        for _ in 0..2_000 {
            party.say(&guest, "2[\"bytes\"]");
            party.hear(&guest);
        }
        let others: Vec<_> = (0..2).map(|_| enter(&mut party, "0").0).collect();
        let slow = &others[0];
        let client = party.client(slow);
        party.let_write(client, Some(0));
        for n in 0..3 {
            party.say(slow, &format!("2{n}[\"big\"]"));
        }
        let lines = party.lines();
        party.vanish();
        lines
    };
    assert_eq!(run(None), Vec::<String>::new());
    assert_eq!(run(Some(Recovery::default())), Vec::<String>::new());
}

#[test]
fn what_middleware_says_to_one_who_comes_back_is_said_once() {
    let mut party = Party::with(recovering(|it| it.skip_middlewares = false), |io| {
        io.middleware(|_, socket, _| {
            socket.emit("hello", ());
            Ok(())
        });
    });
    let (guest, heard) = enter(&mut party, "0");
    let pid = pid_of(heard.last().unwrap());
    lose(&mut party, &guest);
    let (_guest, heard) = enter(
        &mut party,
        &format!(
            "0{{\"pid\":\"{pid}\",\"offset\":\"{}\"}}",
            offset_of(&heard[0])
        ),
    );
    let hellos = heard
        .iter()
        .filter(|packet| packet.contains("hello"))
        .count();
    assert_eq!(hellos, 1, "{heard:?}");
}

fn deferred(io: &mut Crank<Log>) {
    all(io);
    io.of("/")
        .middleware_deferred(|log: &mut Log, _, _, decision| log.decisions.push(decision));
    io.on_connect(|log: &mut Log, socket: Socket<'_, Log>| {
        log.note(format!("in, recovered {}", socket.recovered()))
    });
    io.on_session_expired(|log: &mut Log, _: Io<'_, Log>, _: SocketId, _| log.note("lost"));
}

fn let_in(party: &mut Party) {
    for decision in std::mem::take(&mut party.io.app().decisions) {
        let _ = decision.allow();
    }
    party.turn();
}

#[test]
fn nothing_is_missing_when_middleware_thinks_longer_than_the_log_lasts() {
    let config = recovering(|it| {
        it.skip_middlewares = false;
        it.log_bytes_max = 2_000;
    });
    let mut party = Party::with(config, deferred);
    let (talker, _) = enter(&mut party, "0");
    let (guest, _) = enter(&mut party, "0");
    let_in(&mut party);
    party.hear(&talker);
    let pid = pid_of(&party.hear(&guest)[0]);
    lose(&mut party, &guest);
    let (guest, _) = enter(&mut party, &format!("0{{\"pid\":\"{pid}\"}}"));
    for n in 0..100 {
        party.say(&talker, &format!("2[\"all\",{n}]"));
    }
    party.lines();
    let_in(&mut party);
    let heard = party.hear(&guest);
    let is_recovered = party.lines() == ["in, recovered true"];
    assert!(
        !is_recovered || heard.len() == 101,
        "recovered, with {} of 100 events, the first {}",
        heard.len() - 1,
        heard[0]
    );
}

#[test]
fn what_is_logged_waits_for_nobody_with_attachments_too() {
    let mut party = Party::with(recovering(|_| {}), |io| {
        io.on("bytes", |_, socket: Socket<'_, Log>, (): ()| {
            let many: Vec<Bytes> = (0..10).map(|_| Bytes::from(&b"x"[..])).collect();
            socket.io().emit("b", (many,));
        });
    });
    let (guest, _) = enter(&mut party, "0");
    for _ in 0..1_000 {
        party.say(&guest, "2[\"bytes\"]");
        party.hear(&guest);
    }
    let bytes = party.stats().backlog_bytes;
    party.vanish();
    assert_eq!(bytes, 0);
}

#[test]
fn data_of_one_who_cannot_come_back_is_dropped() {
    let config = Config {
        incoming_bytes_max: 10_000,
        ..recovering(|_| {})
    };
    let mut party = Party::with(config, |io| {
        io.on_session_expired(|log: &mut Log, _: Io<'_, Log>, _: SocketId, _| log.note("lost"));
    });
    let (guest, heard) = enter(&mut party, "0");
    let pid = pid_of(&heard[0]);
    lose(&mut party, &guest);
    let (_guest, _) = enter(
        &mut party,
        &format!(
            "0{{\"pid\":\"{pid}\",\"token\":\"{}\"}}",
            "x".repeat(20_000)
        ),
    );
    party.advance(300_000);
    let (living, lines) = (living_data(), party.lines());
    party.vanish();
    assert_eq!((living, lines), (0, vec!["lost".to_owned()]));
}

#[test]
fn who_loses_its_connection_again_while_middleware_thinks_may_come_back() {
    let config = recovering(|it| it.skip_middlewares = false);
    let mut party = Party::with(config, deferred);
    let (guest, _) = enter(&mut party, "0");
    let_in(&mut party);
    let first = party.hear(&guest).remove(0);
    let pid = pid_of(&first);
    lose(&mut party, &guest);
    let (guest, _) = enter(&mut party, &format!("0{{\"pid\":\"{pid}\"}}"));
    lose(&mut party, &guest);
    party.io.app().decisions.clear();
    party.turn();
    let (guest, _) = enter(&mut party, &format!("0{{\"pid\":\"{pid}\"}}"));
    let_in(&mut party);
    let heard = party.hear(&guest);
    assert_eq!(sid_of(&heard[0]), sid_of(&first), "{:?}", party.lines());
}

#[test]
fn a_half_open_connection_in_middleware_is_taken_over_as_well() {
    let config = recovering(|it| it.skip_middlewares = false);
    let mut party = Party::with(config, deferred);
    let (guest, _) = enter(&mut party, "0");
    let_in(&mut party);
    let first = party.hear(&guest).remove(0);
    let pid = pid_of(&first);
    lose(&mut party, &guest);
    let (_half_open, _) = enter(&mut party, &format!("0{{\"pid\":\"{pid}\"}}"));
    let (guest, _) = enter(&mut party, &format!("0{{\"pid\":\"{pid}\"}}"));
    let_in(&mut party);
    let heard = party.hear(&guest);
    assert_eq!(sid_of(&heard[0]), sid_of(&first));
}

#[test]
fn a_time_of_a_month_is_a_month() {
    let day = 86_400_000;
    let config = Config {
        ping_interval: ms(5 * day),
        ping_timeout: ms(5 * day),
        ..Config::default()
    };
    let mut party = Party::with(config, |io| {
        io.on_connect(|_, socket: Socket<'_, Log>| socket.expires_in(ms(30 * 86_400_000)));
        io.of("/")
            .on_expiring(|log: &mut Log, _: Socket<'_, Log>| log.note("expiring"));
        reasons(io);
    });
    let (guest, _) = party.enter(Via::WebSocket);
    let client = party.client(&guest);
    let mut lines = Vec::new();
    for n in 1..29 {
        party.advance(day);
        party.send(client, text("3"));
        lines.extend(
            party
                .lines()
                .into_iter()
                .map(|line| format!("day {n}: {line}")),
        );
    }
    party.vanish();
    assert_eq!(lines, Vec::<String>::new());
}

#[test]
fn an_answer_goes_to_who_asked() {
    let mut party = Party::new(|io| {
        io.on("ask", |_, socket: Socket<'_, Log>, (other,): (String,)| {
            if let Some(other) = SocketId::parse(&other).and_then(|id| socket.io().socket(id)) {
                other.reply("mine?");
            }
        });
    });
    let (guest, _) = party.enter(Via::WebSocket);
    let (other, id) = party.enter(Via::WebSocket);
    party.say(&guest, &format!("27[\"ask\",\"{id}\"]"));
    party.hears(&other, &[]);
}

fn in_vain(socket: Socket<'_, Log>, n: u32) {
    socket.emit_with_ack(
        "connect",
        (),
        ms(1_000),
        move |log: &mut Log, socket: Socket<'_, Log>, answer: Result<Vec<Value>, AckError>| {
            log.note(format!("{n} {:?}", answer.unwrap_err()));
            if n > 0 {
                in_vain(socket, n - 1);
            }
        },
    );
}

#[test]
fn who_asks_in_vain_again_is_told_soon() {
    let mut party = Party::new(|io| {
        io.on("vain", |_, socket: Socket<'_, Log>, (): ()| {
            in_vain(socket, 50)
        });
    });
    let (guest, _) = party.enter(Via::WebSocket);
    party.say(&guest, "2[\"vain\"]");
    // The loop sleeps until the next deadline, and there is one at once if somebody is to be told.
    let told = party.lines().len();
    let due = party.io.next_deadline().unwrap();
    let now = party.now();
    assert!(due <= now, "{told} of 51 told, the rest in {:?}", due - now);
}

fn chase(io: Io<'_, Log>, n: u32) {
    io.fetch_sockets(move |log: &mut Log, io, found| {
        log.note(format!("{} {}", io.name(), found.len()));
        if n > 0 {
            chase(io, n - 1);
        }
    });
}

#[test]
fn who_asks_about_a_forgotten_namespace_is_not_told_of_another() {
    let mut party = Party::new(|io| {
        io.of_pattern("/room-#")
            .on_disconnect(|_, socket: Socket<'_, Log>, _: Reason| chase(socket.io(), 30));
    });
    let (guest, _) = party.enter(Via::WebSocket);
    party.say(&guest, "0/room-1,");
    party.say(&guest, "1/room-1,");
    party.say(&guest, "0/room-2,");
    party.say(&guest, "2[\"x\"]");
    party.turn();
    let lines = party.lines();
    assert!(
        !lines.iter().any(|line| line.contains("room-2")),
        "{lines:?}"
    );
    party.vanish();
}

#[test]
fn a_socket_that_came_back_knows_it_to_its_end() {
    let mut party = Party::with(recovering(|_| {}), |io| {
        io.on_disconnecting(|log: &mut Log, socket: Socket<'_, Log>, _: Reason| {
            log.note(format!("disconnecting {}", socket.recovered()))
        });
        io.on_disconnect(|log: &mut Log, socket: Socket<'_, Log>, _: Reason| {
            log.note(format!("disconnect {}", socket.recovered()))
        });
    });
    let (guest, heard) = enter(&mut party, "0");
    let pid = pid_of(&heard[0]);
    lose(&mut party, &guest);
    let (guest, _) = enter(&mut party, &format!("0{{\"pid\":\"{pid}\"}}"));
    party.lines();
    lose(&mut party, &guest);
    party.noted(&["disconnecting true", "disconnect true"]);
}

#[test]
fn what_is_not_sent_is_not_heard_going_out() {
    let mut party = Party::new(|io| {
        io.of("/")
            .on_any_outgoing(|log: &mut Log, _, name, _| log.note(format!("out {name}")));
        io.on("v", |_, socket: Socket<'_, Log>, (): ()| {
            socket.volatile().emit("lost", ())
        });
        io.on("a", |_, socket: Socket<'_, Log>, (): ()| {
            for _ in 0..2 {
                socket.emit_with_ack(
                    "q",
                    (),
                    ms(1_000),
                    |log: &mut Log, _, answer: Result<Vec<Value>, AckError>| {
                        log.note(format!("{answer:?}"))
                    },
                );
            }
        });
    });
    let (guest, _) = party.enter(Via::Polling);
    let Guest::Polling(poller) = &guest else {
        unreachable!()
    };
    // No GET waits.
    party.say(&guest, "2[\"v\"]");
    party.say(&guest, "2[\"v\"]");
    let _ = poller;
    let lines = party.lines();
    let dropped = party.stats().volatile_dropped as usize;
    assert_eq!(lines.len() + dropped, 2, "{lines:?}, {dropped} dropped");
}

#[test]
fn what_waits_is_counted_after_the_log_was_trimmed() {
    assert!(
        waiting(false) > 150_000,
        "{} of 200,000 counted",
        waiting(false)
    );
    assert!(
        waiting(true) > 150_000,
        "{} of 200,000 counted",
        waiting(true)
    );
}

fn waiting(trims: bool) -> u64 {
    let mut party = Party::with(recovering(|it| it.duration = ms(10_000)), |io| {
        all(io);
        io.on("big", |_, socket: Socket<'_, Log>, (): ()| {
            socket.reply("x".repeat(100_000))
        });
    });
    let (guest, _) = enter(&mut party, "0");
    for _ in 0..10 {
        party.say(&guest, &format!("2[\"all\",\"{}\"]", "x".repeat(50_000)));
        party.hear(&guest);
    }
    party.advance(20_000);
    // Anybody who shows a card of the right form.
    if trims {
        enter(&mut party, "0{\"pid\":\"AAAAAAAAAAAAAAAAAAAA\"}");
    }
    let client = party.client(&guest);
    party.let_write(client, Some(0));
    party.say(&guest, "21[\"big\"]");
    party.say(&guest, "22[\"big\"]");
    let bytes = party.stats().backlog_bytes;
    party.vanish();
    bytes
}

#[test]
fn an_event_before_the_socket_is_recovered_does_not_reach_leaving_rooms() {
    // Middleware takes a recovered socket out of a room.
    let mut party = Party::with(recovering(|it| it.skip_middlewares = false), |io| {
        io.middleware(|log: &mut Log, socket, _| {
            log.note(format!("asked {} {:?}", socket.recovered(), socket.rooms()));
            if socket.recovered() {
                socket.leave("a");
            } else {
                socket.join("a");
            }
            Ok(())
        });
        io.on_connect(|log: &mut Log, socket: Socket<'_, Log>| {
            log.note(format!("{:?}", socket.rooms()))
        });
    });
    let (guest, heard) = enter(&mut party, "0");
    let pid = pid_of(&heard[0]);
    lose(&mut party, &guest);
    party.lines();
    let (_guest, _) = enter(&mut party, &format!("0{{\"pid\":\"{pid}\"}}"));
    let lines = party.lines();
    assert_eq!(lines[1], "[]", "{lines:?}");
}

#[test]
fn nothing_is_lost_or_turned_round_in_a_turns_share() {
    for (inputs, sends) in [(1, 0), (1, 1), (2, 3), (8, 3), (128, 1_024)] {
        for via in BOTH {
            if inputs < 8 && via == Via::Polling {
                continue;
            }
            let config = Config {
                inputs_per_turn_max: inputs,
                sends_per_turn_max: sends,
                ..Config::default()
            };
            let mut party = Party::with(config, all);
            let (guest, _) = party.enter(via);
            let packets: Vec<String> = (0..300).map(|n| format!("2[\"all\",{n}]")).collect();
            let say: Vec<_> = packets.iter().map(|p| T(p)).collect();
            if let Guest::WebSocket(client, _) = &guest {
                let bytes: Vec<u8> = packets
                    .iter()
                    .flat_map(|p| text(&format!("4{p}")))
                    .collect();
                for chunk in bytes.chunks(777) {
                    party.send(*client, chunk);
                }
            } else if let Guest::Polling(poller) = &guest {
                let _ = say;
                let payload = packets
                    .iter()
                    .map(|p| format!("4{p}"))
                    .collect::<Vec<_>>()
                    .join("\x1e");
                let bytes = post_of(&polling(&poller.sid), payload);
                party.send(poller.post, bytes);
            }
            let mut heard = Vec::new();
            for _ in 0..2_000 {
                party.turn();
                heard.extend(party.hear(&guest));
            }
            heard.retain(|p| p != "6");
            let expected: Vec<String> = (0..300).map(|n| format!("42[\"said\",{n}]")).collect();
            assert_eq!(heard, expected, "{inputs} {sends} {via:?}");
        }
    }
}

#[test]
fn the_namespaces_hook_hears_of_events_that_cannot_be_sent() {
    let mut party = Party::new(|io| {
        io.on("x", |_, socket: Socket<'_, Log>, (): ()| {
            socket.emit("connect", ())
        });
        io.of("/")
            .on_error(|log: &mut Log, _, _| log.note("namespace"));
        io.on_error(|log: &mut Log, _| log.note("server"));
    });
    let (guest, _) = party.enter(Via::WebSocket);
    party.say(&guest, "2[\"x\"]");
    party.noted(&["namespace"]);
}

#[test]
fn old_events_are_forgotten_in_time() {
    let mut party = Party::with(recovering(|it| it.duration = ms(10_000)), all);
    let (guest, _) = enter(&mut party, "0");
    party.say(&guest, "2[\"all\",1]");
    party.hear(&guest);
    let deadline = party.io.next_deadline().unwrap() - party.now();
    party.vanish();
    assert!(deadline <= ms(11_000), "nothing is due before {deadline:?}");
}

/// Lets nobody in before it is told to, and notes whose time to come back is over.
fn let_in_later(io: &mut Crank<Log>) {
    io.of("/")
        .middleware_deferred(|log: &mut Log, socket, _, decision| {
            if socket.recovered() {
                socket.expires_in(ms(1_000));
                return log.decisions.push(decision);
            }
            decision.allow().expect("the socket waits");
        });
    io.on_session_expired(|log: &mut Log, _, _, _| log.note("expired"));
}

#[test]
fn one_that_fails_to_come_back_when_its_time_is_over_is_expired() {
    let config = recovering(|recovery| {
        recovery.duration = ms(100_500);
        recovery.skip_middlewares = false;
    });
    let mut party = Party::with(config, let_in_later);
    let (guest, heard) = enter(&mut party, "0");
    lose(&mut party, &guest);
    party.advance(100_000);
    let pid = pid_of(&heard[0]);
    let (again, _) = enter(&mut party, &format!("0{{\"pid\":\"{pid}\"}}"));
    party.advance(600);
    party.noted(&[]);
    lose(&mut party, &again);
    party.noted(&["expired"]);
}

#[test]
fn one_whose_credentials_expire_while_it_comes_back_is_expired() {
    let config = recovering(|recovery| recovery.skip_middlewares = false);
    let mut party = Party::with(config, let_in_later);
    let (guest, heard) = enter(&mut party, "0");
    lose(&mut party, &guest);
    let pid = pid_of(&heard[0]);
    enter(&mut party, &format!("0{{\"pid\":\"{pid}\"}}"));
    party.advance(1_000);
    party.turn();
    party.noted(&["expired"]);
}

#[test]
fn goodbyes_are_written_however_late_the_next_turn_is() {
    let mut party = Party::new(|_| {});
    let (guest, _) = party.enter(Via::WebSocket);
    party.io.close();
    party.sleep(4_000);
    party.hears(&guest, &["end"]);
}

#[test]
fn a_volatile_event_that_waits_ends_with_its_socket() {
    let config = Config {
        volatile: Volatile::Latest,
        ..Config::default()
    };
    let mut party = Party::with(config, |io| {
        io.on("v", |_, socket: Socket<'_, Log>, (): ()| {
            socket.broadcast().volatile().emit("v", ());
        });
    });
    let (one, _) = party.enter(Via::WebSocket);
    let poller = party.poller();
    party.post(&poller, "40");
    party.poll(&poller);
    party.polled(&poller);
    // No GET of it waits.
    party.say(&one, "2[\"v\"]");
    party.post(&poller, "41");
    party.post(&poller, "40");
    assert_eq!(party.stats().volatile_dropped, 1);
    party.poll(&poller);
    let told = party.polled(&poller);
    assert!(told.starts_with("40{") && !told.contains("\"v\""), "{told}");
}

#[test]
fn a_raw_websocket_on_an_encoded_path_has_its_handlers() {
    let mut party = Party::new(|io| {
        let mut raw = io.websocket("/raw");
        raw.on_open(|log, _, _| log.note("open"));
        raw.on_close(|log, _, _| log.note("close"));
    });
    let ws = party.ask(upgrade_of("/r%61w"));
    assert_eq!(party.answer(ws).status, 101);
    party.noted(&["open"]);
}

#[test]
fn an_encoded_path_of_a_raw_websocket_does_not_go_to_another_handler() {
    let mut party = Party::new(|io| {
        io.websocket("/raw").on_open(|log, _, _| log.note("raw"));
        io.websocket("*").on_open(|log, _, _| log.note("any"));
    });
    let ws = party.ask(upgrade_of("/r%61w"));
    assert_eq!(party.answer(ws).status, 101);
    party.noted(&["raw"]);
}
