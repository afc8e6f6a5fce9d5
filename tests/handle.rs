//! The face of a server towards other threads, through the mailbox.

#[path = "common/sio.rs"]
mod sio;

use std::thread;

use emio::{Bytes, Config, Crank, HandleError, Io};
use sio::*;

fn rooms(io: &mut Crank<Log>) {
    io.on("join", |_, socket, (room,): (String,)| socket.join(room));
    io.of("/a");
}

#[test]
fn a_handle_emits_from_other_threads() {
    for via in BOTH {
        let mut party = Party::new(rooms);
        let (one, id) = party.enter(via);
        let (two, _) = party.enter(Via::WebSocket);
        party.join(&two, "/a");
        party.say(&two, "2[\"join\",\"room\"]");
        party.hear(&one);
        let handle = party.io.handle();
        let thread = thread::spawn(move || {
            handle.of("/").to(id).volatile().emit("volatile", ())?;
            handle.emit("all", (1, "two"))?;
            handle.to("room").emit("room", Bytes::from(&b"x"[..]))?;
            handle.to(["room", "room"]).to(id).emit("both", ())?;
            handle.of("/").except("room").emit("not room", ())?;
            handle.of("/a").emit("there", ())?;
            handle.of("a").to("room").emit("nobody", ())?;
            handle.of("/unknown").emit("nobody", ())?;
            handle.clone().to("nobody").emit("nobody", ())
        });
        thread.join().unwrap().unwrap();
        party.hears(&one, &[]);
        party.turn();
        let all = "42[\"all\",1,\"two\"]";
        let heard = ["42[\"volatile\"]", all, "42[\"both\"]", "42[\"not room\"]"];
        party.hears(&one, &heard);
        let binary = "451-[\"room\",{\"_placeholder\":true,\"num\":0}]";
        party.hears(
            &two,
            &[all, binary, "beA==", "42[\"both\"]", "42/a,[\"there\"]"],
        );
    }
}

#[test]
fn a_broadcast_from_elsewhere_reaches_more_than_a_batch() {
    let mut party = Party::new(rooms);
    let crowd: Vec<_> = (0..300).map(|n| party.enter(BOTH[n % 2]).0).collect();
    for guest in &crowd {
        party.hear(guest);
    }
    for n in [0, 128, 299] {
        party.break_writes(party.client(&crowd[n]));
    }
    party.io.handle().emit("all", ()).unwrap();
    party.turn();
    for (n, guest) in crowd.iter().enumerate() {
        let expected = if [0, 128, 299].contains(&n) { 0 } else { 1 };
        assert_eq!(party.hear(guest).len(), expected, "{n}");
    }
}

#[test]
fn a_handle_runs_what_it_is_given_on_the_servers_thread() {
    let mut party = Party::new(rooms);
    let (guest, id) = party.enter(Via::WebSocket);
    let handle = party.io.handle();
    let again = handle.clone();
    let run = move |log: &mut Log, io: Io<'_, Log>| {
        log.note(format!("{} here", io.stats().sockets));
        let peer = io.socket(id).expect("it is here");
        peer.join("room");
        io.to("room").emit("joined", ());
        io.set_timeout(ms(5), |log, _| log.note("later"));
        // What it leaves itself waits for the next turn.
        again.run(|log, io| {
            log.note("again");
            io.to("room").emit("again", ());
        })
    };
    thread::spawn(move || handle.run(move |log, io| run(log, io).unwrap()))
        .join()
        .unwrap()
        .unwrap();
    party.noted(&[]);
    party.turn();
    party.noted(&["1 here"]);
    party.hears(&guest, &["42[\"joined\"]"]);
    party.turn();
    party.noted(&["again"]);
    party.hears(&guest, &["42[\"again\"]"]);
    party.advance(10);
    party.noted(&["later"]);
}

#[test]
fn what_was_left_is_done_in_its_order() {
    let mut party = Party::new(rooms);
    let (guest, _) = party.enter(Via::WebSocket);
    let handle = party.io.handle();
    for n in 0..100 {
        match n % 2 {
            0 => handle.emit("n", n).unwrap(),
            _ => handle.run(move |_, io| io.emit("n", n)).unwrap(),
        }
    }
    party.turn();
    let expected: Vec<_> = (0..100).map(|n| format!("42[\"n\",{n}]")).collect();
    assert_eq!(party.hear(&guest), expected);
}

#[test]
fn what_is_wrong_is_told_at_once() {
    let mut party = Party::new(rooms);
    let (guest, _) = party.enter(Via::WebSocket);
    let handle = party.io.handle();
    let reserved = handle.emit("disconnect", ());
    assert!(matches!(reserved, Err(HandleError::ReservedEvent)));
    let unwritable = std::collections::BTreeMap::from([((1, 2), 3)]);
    let encode = handle.emit("a", unwritable);
    assert!(matches!(encode, Err(HandleError::Encode(_))));
    assert!(!encode.unwrap_err().to_string().is_empty());
    party.turn();
    party.hears(&guest, &[]);
}

#[test]
fn a_full_mailbox_refuses_and_takes_again_later() {
    let config = Config {
        mailbox_max: 2,
        ..Config::default()
    };
    let mut party = Party::with(config, rooms);
    let (guest, _) = party.enter(Via::WebSocket);
    let handle = party.io.handle();
    handle.emit("n", 1).unwrap();
    handle.run(|_, io| io.emit("n", 2)).unwrap();
    assert!(matches!(handle.emit("n", 3), Err(HandleError::Full)));
    assert!(matches!(handle.run(|_, _| ()), Err(HandleError::Full)));
    party.turn();
    handle.emit("n", 4).unwrap();
    party.turn();
    party.hears(&guest, &["42[\"n\",1]", "42[\"n\",2]", "42[\"n\",4]"]);
}

#[test]
fn a_decision_that_a_full_mailbox_refuses_is_left_to_its_deadline() {
    let config = Config {
        mailbox_max: 1,
        ..Config::default()
    };
    let mut party = Party::with(config, |io| {
        io.middleware_deferred(|log: &mut Log, _, _, decision| log.decisions.push(decision));
    });
    let guests = [(); 3].map(|()| party.guest(Via::WebSocket));
    for guest in &guests {
        party.say(guest, "0");
    }
    party.io.handle().emit("n", 1).unwrap();
    // What answers clients may fill the mailbox twice over.
    let [first, second, third] = [(); 3].map(|()| party.io.app().decisions.remove(0));
    first.allow().unwrap();
    assert!(matches!(second.allow(), Err(HandleError::Full)));
    drop(third);
    let [_, guest, _] = &guests;
    party.advance(20_001);
    party.hears(guest, &["44{\"message\":\"No decision in time\"}"]);
}

#[test]
fn once_the_server_is_gone_everything_is_refused() {
    let mut party = Party::new(|io| {
        io.middleware_deferred(|log: &mut Log, _, _, decision| log.decisions.push(decision));
        io.of("/a").on("ack", |log: &mut Log, socket, (): ()| {
            log.acks.extend(socket.ack())
        });
    });
    let guest = party.guest(Via::WebSocket);
    party.join(&guest, "/a");
    party.say(&guest, "0");
    party.say(&guest, "2/a,1[\"ack\"]");
    let handle = party.io.handle();
    let decision = party.io.app().decisions.remove(0);
    let ack = party.io.app().acks.remove(0);
    handle.close().unwrap();
    party.turn();
    drop(party);
    assert!(matches!(handle.emit("a", ()), Err(HandleError::Closed)));
    assert!(matches!(handle.run(|_, _| ()), Err(HandleError::Closed)));
    assert!(matches!(handle.close(), Err(HandleError::Closed)));
    assert!(matches!(ack.reply(()), Err(HandleError::Closed)));
    assert!(matches!(decision.allow(), Err(HandleError::Closed)));
}

#[test]
fn what_a_dropped_server_never_did_is_dropped() {
    let party = Party::new(rooms);
    let handle = party.io.handle();
    let shared = std::sync::Arc::new(());
    let held = std::sync::Arc::clone(&shared);
    let inner = handle.clone();
    // It holds the mailbox that holds it.
    handle.run(move |_, _| drop((held, inner))).unwrap();
    // A party would do it at its end; a server that is simply dropped does not.
    party.vanish();
    assert_eq!(std::sync::Arc::strong_count(&shared), 1);
    assert!(matches!(handle.emit("a", ()), Err(HandleError::Closed)));
}
