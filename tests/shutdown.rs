//! How a server ends over a while: nobody new, what was sent goes first, goodbyes one after the
//! other, and an end in any case.

#[path = "common/sio.rs"]
mod sio;

use std::time::Duration;

use emio::{Config, Crank, Dispatch};
use sio::*;

fn echo(io: &mut Crank<Log>) {
    reasons(io);
    io.on("echo", |_, socket, (text,): (String,)| {
        socket.emit("echo", text)
    });
    io.websocket("/raw").on_close(|log, _, code| {
        log.note(format!("raw {code:?}"));
    });
}

#[test]
fn goodbyes_are_spread_evenly_over_the_grace_period() {
    let mut party = Party::new(echo);
    let guests: Vec<_> = (0..10).map(|_| party.enter(Via::WebSocket).0).collect();
    party.io.handle().shutdown(ms(10_000)).unwrap();
    party.turn();
    assert!(!party.io.is_accepting());
    for gone in 1..=10 {
        assert_eq!(
            party.lines(),
            ["server shutting down"],
            "the {gone}. of them"
        );
        assert_eq!(party.stats().sessions, 10 - gone);
        assert_eq!(party.io.is_closing(), gone == 10);
        party.advance(1_000);
    }
    for guest in &guests {
        party.hears(guest, &["end"]);
    }
}

#[test]
fn many_guests_leave_in_slices() {
    let mut party = Party::new(echo);
    let guests: Vec<_> = (0..300).map(|_| party.enter(Via::WebSocket).0).collect();
    party.io.shutdown(ms(100));
    let mut slices = Vec::new();
    for _ in 0..5 {
        party.advance(20);
        slices.push(party.lines().len());
    }
    assert_eq!(slices.iter().sum::<usize>(), 300);
    assert!(slices.iter().all(|slice| *slice <= 121), "{slices:?}");
    assert!(slices[4] > 0, "{slices:?}");
    drop(guests);
}

#[test]
fn a_server_without_guests_ends_at_once() {
    let mut party = Party::new(echo);
    party.io.shutdown(ms(10_000));
    party.turn();
    assert!(party.io.is_closing());
}

#[test]
fn handshakes_are_refused_while_guests_go_on() {
    let mut party = Party::new(echo);
    let asking = party.connect();
    let (first, _) = party.enter(Via::Polling);
    let (polling, _) = party.enter(Via::Polling);
    party.hear(&first);
    party.hear(&polling);
    party.io.shutdown(ms(10_000));
    party.turn();
    party.hears(&first, &["end"]);
    party.send(asking, get_of(&sio::polling("")));
    assert_eq!(party.answer(asking).status, 503);
    let late = party.ask(upgrade_of(&websocket("")));
    assert_eq!(party.answer(late).status, 503);
    party.noted(&["server shutting down"]);
    party.say(&polling, "2[\"echo\",\"still here\"]");
    party.hears(&polling, &["42[\"echo\",\"still here\"]"]);
    party.advance(5_000);
    party.hears(&polling, &["end"]);
    party.noted(&["server shutting down"]);
}

#[test]
fn those_who_poll_leave_first() {
    let mut party = Party::new(echo);
    let (websocket, _) = party.enter(Via::WebSocket);
    let (polling, _) = party.enter(Via::Polling);
    party.hear(&polling);
    party.io.shutdown(ms(10_000));
    party.turn();
    party.hears(&polling, &["end"]);
    party.say(&websocket, "2[\"echo\",\"still here\"]");
    party.hears(&websocket, &["42[\"echo\",\"still here\"]"]);
}

#[test]
fn what_was_sent_before_leaves_before_the_goodbye() {
    let mut party = Party::new(echo);
    let (slow, _) = party.enter(Via::WebSocket);
    let client = party.client(&slow);
    party.let_write(client, Some(0));
    for _ in 0..3 {
        party.say(&slow, "2[\"echo\",\"a\"]");
    }
    party.io.shutdown(ms(1_000));
    party.turn();
    party.noted(&["server shutting down"]);
    party.let_write(client, None);
    let echo = "42[\"echo\",\"a\"]";
    party.hears(&slow, &[echo, echo, echo, "end"]);
}

#[test]
fn a_client_that_polls_is_told_when_it_asks() {
    let mut party = Party::new(echo);
    let poller = party.poller();
    party.post(&poller, "40");
    party.poll(&poller);
    party.polled(&poller);
    party.post(&poller, "42[\"echo\",\"a\"]");
    party.io.shutdown(ms(10_000));
    party.advance(1_000);
    party.noted(&[]);
    party.poll(&poller);
    assert_eq!(party.polled(&poller), "42[\"echo\",\"a\"]");
    party.noted(&[]);
    party.poll(&poller);
    party.advance(100);
    assert_eq!(party.polled(&poller), "1");
    party.noted(&["server shutting down"]);
    assert!(party.io.is_closing(), "nobody is left to be told");
}

#[test]
fn a_client_that_polls_and_does_not_ask_ends_with_the_grace_period() {
    let mut party = Party::new(echo);
    let poller = party.poller();
    party.post(&poller, "40");
    party.io.shutdown(ms(10_000));
    party.advance(9_999);
    party.noted(&[]);
    party.advance(1);
    party.noted(&["server shutting down"]);
    assert!(party.io.is_closing());
}

#[test]
fn whoever_does_not_go_is_dropped_three_seconds_later() {
    let mut party = Party::new(echo);
    let (deaf, _) = party.enter(Via::WebSocket);
    let client = party.client(&deaf);
    party.let_write(client, Some(0));
    let late = party.poller();
    party.post(&late, "40");
    party.io.shutdown(ms(1_000));
    party.advance(3_999);
    assert!(party.stats().connections > 0);
    party.advance(1);
    assert_eq!(party.stats().connections, 0);
    assert_eq!(party.io.next_deadline(), None);
}

#[test]
fn close_tells_everyone_who_is_left() {
    let mut party = Party::new(echo);
    let guests: Vec<_> = (0..4).map(|_| party.enter(Via::WebSocket).0).collect();
    party.io.shutdown(ms(10_000));
    party.turn();
    party.noted(&["server shutting down"]);
    party.io.handle().close().unwrap();
    party.turn();
    party.noted(&["server shutting down"; 3]);
    for guest in &guests {
        party.hears(guest, &["end"]);
    }
    // Nothing takes it back.
    party.io.shutdown(ms(10_000));
    party.turn();
    assert!(party.io.is_closing());
}

#[test]
fn asked_again_it_spreads_those_who_are_left() {
    let mut party = Party::new(echo);
    let guests: Vec<_> = (0..4).map(|_| party.enter(Via::WebSocket).0).collect();
    party.io.shutdown(Duration::MAX);
    party.turn();
    party.noted(&["server shutting down"]);
    party.advance(10_000);
    party.noted(&[]);
    party.io.shutdown(ms(300));
    party.advance(300);
    party.noted(&["server shutting down"; 3]);
    assert!(party.io.is_closing());
    drop(guests);
}

#[test]
fn an_applications_websockets_have_their_turn_too() {
    let mut party = Party::new(echo);
    let raws = [(); 2].map(|()| {
        let ws = party.ask(upgrade_of("/raw"));
        assert_eq!(party.answer(ws).status, 101);
        ws
    });
    party.io.shutdown(ms(1_000));
    party.turn();
    party.noted(&["raw Some(1001)"]);
    party.advance(500);
    party.noted(&["raw Some(1001)"]);
    for ws in raws {
        assert_eq!(party.frames(ws), [Frame::close(Some(1001))]);
    }
}

#[test]
fn a_request_under_way_is_answered() {
    let mut party = Party::with(Config::default(), |io| {
        echo(io);
        io.on_request_deferred(|log: &mut Log, _, _, responder| log.responders.push(responder));
    });
    let (_stays, _) = party.enter(Via::WebSocket);
    let (_stays_too, _) = party.enter(Via::WebSocket);
    let asking = party.ask(get_of("/slow"));
    party.io.shutdown(ms(1_000));
    party.advance(400);
    let responder = party.io.app().responders.remove(0);
    responder.respond(emio::Response::new(200)).unwrap();
    party.turn();
    assert_eq!(party.answer(asking).status, 200);
}
