//! Clients that do not keep up: what the overflow policy drops for them, and the volatile event
//! that waits.

#[path = "common/sio.rs"]
mod sio;

use emio::{AckError, Bytes, Config, Crank, Overflow, Recovery, Volatile};
use sio::*;

fn dropping(backlog_bytes_max: u32) -> Config {
    Config {
        overflow: Overflow::DropNewest,
        backlog_bytes_max,
        ..Config::default()
    }
}

fn latest() -> Config {
    Config {
        volatile: Volatile::Latest,
        ..Config::default()
    }
}

/// Handlers by which one guest sends to the others.
fn rooms(io: &mut Crank<Log>) {
    reasons(io);
    io.on("text", |_, socket, (n, bytes): (u32, usize)| {
        socket.broadcast().emit("t", (n, "x".repeat(bytes)));
    });
    io.on("binary", |_, socket, (n,): (u32,)| {
        let [one, two] = [7, 8].map(|byte| Bytes::from(vec![byte; 600]));
        socket.broadcast().emit("b", (n, one, two));
    });
    io.on("volatile", |_, socket, (n,): (u32,)| {
        socket.broadcast().volatile().emit("v", n);
    });
    io.on("me", |_, socket, (n,): (u32,)| {
        socket.volatile().emit("v", n)
    });
    io.on("word", |_, socket, (to_all,): (bool,)| match to_all {
        true => socket.io().volatile().emit("w", "x"),
        false => socket.volatile().emit("w", "x"),
    });
    io.on("ack", |_, socket, (): ()| socket.reply("x".repeat(500)));
    io.websocket("/raw").on_message(|_, ws, message| {
        if let emio::Message::Text(text) = message {
            ws.send_text(text);
        }
    });
}

// The policy.

#[test]
fn an_event_that_finds_the_backlog_full_is_dropped_whole() {
    for via in BOTH {
        let mut party = Party::with(dropping(2_000), rooms);
        let (guest, _) = party.enter(Via::WebSocket);
        let (slow, _) = party.enter(via);
        party.hear(&slow);
        let client = party.client(&slow);
        party.let_write(client, Some(0));
        for n in 0..10 {
            party.say(&guest, &format!("2[\"binary\",{n}]"));
        }
        let dropped = party.stats().overflow_dropped;
        assert!((4..9).contains(&dropped), "{via:?}: {dropped}");
        party.let_write(client, None);
        let heard = party.hear(&slow);
        assert_eq!(heard.len() as u64, 3 * (10 - dropped), "{via:?}");
        for (n, packets) in heard.chunks(3).enumerate() {
            let head = format!("452-[\"b\",{n},");
            assert!(packets[0].starts_with(&head), "the first ones, in order");
            assert!(packets[1..].iter().all(|packet| packet.starts_with('b')));
        }
        // It has caught up, and nobody was told anything else.
        party.say(&guest, "2[\"binary\",10]");
        assert_eq!(party.hear(&slow).len(), 3, "{via:?}");
        party.noted(&[]);
        assert_eq!(party.stats().overflow_dropped, dropped);
    }
}

#[test]
fn one_event_may_be_larger_than_the_backlog_with_all_its_attachments() {
    for via in BOTH {
        let mut party = Party::with(dropping(100), rooms);
        let (guest, _) = party.enter(Via::WebSocket);
        let (slow, _) = party.enter(via);
        party.hear(&slow);
        let client = party.client(&slow);
        party.let_write(client, Some(0));
        for n in 0..4 {
            party.say(&guest, &format!("2[\"binary\",{n}]"));
        }
        party.let_write(client, None);
        let heard = party.hear(&slow);
        assert!(
            !heard.is_empty() && heard.len() % 3 == 0,
            "{via:?}: {heard:?}"
        );
        party.noted(&[]);
    }
}

#[test]
fn what_is_no_event_is_not_dropped_but_has_an_end_too() {
    let mut party = Party::with(dropping(4_000), rooms);
    let (guest, _) = party.enter(Via::WebSocket);
    let (slow, _) = party.enter(Via::WebSocket);
    let client = party.client(&slow);
    party.let_write(client, Some(0));
    for _ in 0..6 {
        party.say(&guest, "2[\"text\",1,1000]");
    }
    let dropped = party.stats().overflow_dropped;
    assert!(dropped > 0);
    // Answers find room where events do not.
    for n in 0..4 {
        party.say(&slow, &format!("2{n}[\"ack\"]"));
    }
    party.noted(&[]);
    party.let_write(client, None);
    let heard = party.hear(&slow);
    let answers = heard.iter().filter(|packet| packet.starts_with("43"));
    assert_eq!(answers.count(), 4);
    assert_eq!(heard.len() as u64, 4 + 6 - dropped);
    // One who asks and asks and does not read is closed at twice the budget.
    party.let_write(client, Some(0));
    for n in 0..40 {
        party.say(&slow, &format!("2{n}[\"ack\"]"));
    }
    party.noted(&["transport error"]);
}

#[test]
fn an_event_that_was_dropped_is_not_answered_and_its_sender_knows_at_once() {
    let mut party = Party::with(dropping(1_000), |io| {
        rooms(io);
        io.on("ask", |_, socket, (n,): (u32,)| {
            let then =
                move |log: &mut Log, _: emio::Socket<'_, Log>, answer: Result<(), AckError>| {
                    log.note(format!("{n}: {answer:?}"));
                };
            socket.emit_with_ack("q", "x".repeat(700), ms(1_000), then);
        });
    });
    let (slow, _) = party.enter(Via::WebSocket);
    let client = party.client(&slow);
    party.let_write(client, Some(0));
    for n in 0..5 {
        party.say(&slow, &format!("2[\"ask\",{n}]"));
    }
    let lines = party.lines();
    assert!(lines.contains(&"4: Err(NotSent)".to_owned()), "{lines:?}");
    assert!(!lines.contains(&"0: Err(NotSent)".to_owned()), "{lines:?}");
    assert_eq!(lines.len() as u64, party.stats().overflow_dropped);
}

#[test]
fn the_budget_of_the_process_drops_as_well() {
    let config = Config {
        backlog_bytes_process_max: 10_000,
        ..dropping(1_000_000)
    };
    let mut party = Party::with(config, rooms);
    let (guest, _) = party.enter(Via::WebSocket);
    let (slow, _) = party.enter(Via::WebSocket);
    let client = party.client(&slow);
    party.let_write(client, Some(0));
    for _ in 0..30 {
        party.say(&guest, "2[\"text\",1,1000]");
    }
    let stats = party.stats();
    assert!(stats.overflow_dropped > 15, "{stats:?}");
    assert!(stats.backlog_bytes < 13_000, "{stats:?}");
    party.noted(&[]);
    party.let_write(client, None);
    assert_eq!(party.hear(&slow).len() as u64, 30 - stats.overflow_dropped);
}

#[test]
fn messages_of_an_applications_websocket_are_dropped_one_by_one() {
    let mut party = Party::with(dropping(1_000), rooms);
    let ws = party.ask(upgrade_of("/raw"));
    assert_eq!(party.answer(ws).status, 101);
    party.let_write(ws, Some(0));
    for n in 0..10 {
        party.send(ws, text(&format!("{n}{}", "x".repeat(400))));
    }
    let dropped = party.stats().overflow_dropped;
    assert!((5..9).contains(&dropped), "{dropped}");
    party.let_write(ws, None);
    assert_eq!(party.texts(ws).len() as u64, 10 - dropped);
    party.send(ws, text("again"));
    assert_eq!(party.texts(ws), ["again"]);
}

// The volatile event that waits.

#[test]
fn the_latest_volatile_event_waits_for_its_client() {
    for via in BOTH {
        let mut party = Party::with(latest(), rooms);
        let (guest, _) = party.enter(Via::WebSocket);
        let (slow, _) = party.enter(via);
        party.hear(&slow);
        let client = party.client(&slow);
        party.let_write(client, Some(0));
        // The first is on its way: nobody knows yet that the client does not read.
        for n in 0..6 {
            party.say(&guest, &format!("2[\"volatile\",{n}]"));
        }
        assert_eq!(party.stats().volatile_dropped, 4, "{via:?}");
        assert!(party.stats().backlog_bytes > 0, "what waits is counted");
        party.let_write(client, None);
        party.hears(&slow, &["42[\"v\",0]", "42[\"v\",5]"]);
        party.say(&guest, "2[\"volatile\",6]");
        party.hears(&slow, &["42[\"v\",6]"]);
        assert_eq!(party.stats().volatile_dropped, 4, "{via:?}");
    }
}

#[test]
fn a_volatile_event_to_oneself_waits_as_well() {
    let mut party = Party::with(latest(), rooms);
    let (slow, _) = party.enter(Via::WebSocket);
    let client = party.client(&slow);
    party.let_write(client, Some(0));
    for n in 0..4 {
        party.say(&slow, &format!("2[\"me\",{n}]"));
    }
    party.let_write(client, None);
    party.hears(&slow, &["42[\"v\",0]", "42[\"v\",3]"]);
    assert_eq!(party.stats().volatile_dropped, 2);
}

#[test]
fn nothing_overtakes_a_volatile_event_that_waits() {
    for via in BOTH {
        let mut party = Party::with(latest(), rooms);
        let (guest, _) = party.enter(Via::WebSocket);
        let (slow, _) = party.enter(via);
        party.hear(&slow);
        let client = party.client(&slow);
        party.let_write(client, Some(0));
        for n in 0..3 {
            party.say(&guest, &format!("2[\"volatile\",{n}]"));
        }
        party.say(&guest, "2[\"text\",3,1]");
        for n in 4..6 {
            party.say(&guest, &format!("2[\"volatile\",{n}]"));
        }
        party.let_write(client, None);
        let heard = [
            "42[\"v\",0]",
            "42[\"v\",2]",
            "42[\"t\",3,\"x\"]",
            "42[\"v\",5]",
        ];
        party.hears(&slow, &heard);
        assert_eq!(party.stats().volatile_dropped, 2, "{via:?}");
    }
}

#[test]
fn a_volatile_event_waits_for_the_next_poll() {
    let mut party = Party::with(latest(), rooms);
    let (guest, _) = party.enter(Via::WebSocket);
    let poller = party.poller();
    party.post(&poller, "40");
    party.poll(&poller);
    party.polled(&poller);
    for n in 0..3 {
        party.say(&guest, &format!("2[\"volatile\",{n}]"));
    }
    party.poll(&poller);
    assert_eq!(party.polled(&poller), "42[\"v\",2]");
    assert_eq!(party.stats().volatile_dropped, 2);
}

#[test]
fn a_volatile_event_moves_with_the_upgrade() {
    let mut party = Party::with(latest(), rooms);
    let (guest, _) = party.enter(Via::WebSocket);
    let poller = party.poller();
    party.post(&poller, "40");
    party.poll(&poller);
    party.polled(&poller);
    let ws = party.probe(&poller.sid);
    party.send(ws, text("2probe"));
    assert_eq!(party.texts(ws), ["3probe"]);
    for n in 0..3 {
        party.say(&guest, &format!("2[\"volatile\",{n}]"));
    }
    assert_eq!(party.texts(ws), [""; 0]);
    party.send(ws, text("5"));
    assert_eq!(party.texts(ws), ["42[\"v\",2]"]);
}

#[test]
fn a_volatile_event_that_waits_is_forgotten_with_its_client() {
    for via in BOTH {
        let mut party = Party::with(latest(), rooms);
        let (guest, _) = party.enter(Via::WebSocket);
        let (slow, _) = party.enter(via);
        party.hear(&slow);
        let client = party.client(&slow);
        party.let_write(client, Some(0));
        for n in 0..3 {
            party.say(&guest, &format!("2[\"volatile\",{n}]"));
        }
        party.leave(&slow);
        party.reset(client);
        party.say(&guest, "2[\"volatile\",4]");
        assert_eq!(party.stats().backlog_bytes, 0, "{via:?}");
    }
}

#[test]
fn a_volatile_event_that_is_too_large_to_wait_is_dropped() {
    let config = Config {
        backlog_bytes_max: 10,
        ..latest()
    };
    let mut party = Party::with(config, rooms);
    let (slow, _) = party.enter(Via::WebSocket);
    let client = party.client(&slow);
    party.let_write(client, Some(0));
    party.say(&slow, "2[\"me\",1]");
    party.say(&slow, "2[\"me\",2000000]");
    party.let_write(client, None);
    party.hears(&slow, &["42[\"v\",1]"]);
    assert_eq!(party.stats().volatile_dropped, 1);
}

#[test]
fn a_volatile_event_that_waits_carries_the_offset_of_what_came_before_it() {
    for to_all in [false, true] {
        let config = Config {
            recovery: Some(Recovery::default()),
            ..latest()
        };
        let mut party = Party::with(config, rooms);
        let guest = party.guest(Via::WebSocket);
        party.say(&guest, "0");
        party.hear(&guest);
        let client = party.client(&guest);
        party.say(&guest, &format!("2[\"word\",{to_all}]"));
        let at_once = party.hear(&guest);
        party.let_write(client, Some(0));
        for _ in 0..3 {
            party.say(&guest, &format!("2[\"word\",{to_all}]"));
        }
        party.let_write(client, None);
        let waited = party.hear(&guest);
        assert_eq!(waited, [&*at_once[0], &*at_once[0]], "{at_once:?}");
        assert!(waited[0].starts_with("42[\"w\",\"x\",\""), "{waited:?}");
        assert_eq!(party.stats().volatile_dropped, 1);
    }
}
