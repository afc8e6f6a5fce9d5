//! Connection state recovery: who finds the socket again that a lost connection took, and what is
//! sent then. Spec 2.9; the defects that its last line names are tests here.

#[path = "common/sio.rs"]
mod sio;

use std::time::Duration;

use emio::{Config, Crank, Io, Reason, Recovery, Socket, SocketId};
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

fn handlers(io: &mut Crank<Log>) {
    io.on_connect(|log: &mut Log, socket: Socket<'_, Log>| {
        let rooms = socket.rooms().join(",");
        let name = &socket.data.name;
        let word = if socket.recovered() { "again" } else { "new" };
        log.note(format!("{word} {name} [{rooms}]"));
    });
    io.on("join", |_, socket: Socket<'_, Log>, (room,): (String,)| {
        socket.data.name = format!("a member of {room}");
        socket.join(room);
    });
    io.on("to", |_, socket, (room, what): (String, Value)| {
        socket.io().to(room).emit("said", what);
    });
    io.on("all", |_, socket, (what,): (Value,)| {
        socket.io().emit("said", what);
    });
    io.on("others", |_, socket, (what,): (Value,)| {
        socket.broadcast().emit("said", what);
    });
    io.on("volatile", |_, socket, (what,): (Value,)| {
        socket.io().volatile().emit("said", what);
    });
    io.on("leave", |_, socket, (): ()| socket.disconnect(false));
    io.on_session_expired(|log: &mut Log, _: Io<'_, Log>, id: SocketId, data: Data| {
        log.note(format!("lost {id} {}", data.name));
    });
}

fn party() -> Party {
    Party::with(recovering(|_| {}), handlers)
}

/// What the server says when a client has joined: its id, and what it shows to come back.
#[derive(Clone, Debug, PartialEq)]
struct Card {
    sid: String,
    pid: String,
}

fn card(packet: &str) -> Card {
    let json = packet.strip_prefix("40").expect("it has joined");
    let json: Value = serde_json::from_str(json).expect("JSON");
    let text = |name: &str| json[name].as_str().expect("a string").to_owned();
    Card {
        sid: text("sid"),
        pid: text("pid"),
    }
}

/// A client that has just connected, and its card.
fn newcomer(party: &mut Party) -> (Guest, Card) {
    let guest = party.guest(Via::WebSocket);
    party.say(&guest, "0");
    let heard = party.hear(&guest);
    assert_eq!(heard.len(), 1, "{heard:?}");
    (guest, card(&heard[0]))
}

/// A client that shows a card, and what it hears.
fn comes_back(party: &mut Party, card: &Card, offset: Option<&str>) -> (Guest, Vec<String>) {
    let offset = offset.map_or(String::new(), |offset| format!(",\"offset\":\"{offset}\""));
    let guest = party.guest(Via::WebSocket);
    party.say(&guest, &format!("0{{\"pid\":\"{}\"{offset}}}", card.pid));
    let heard = party.hear(&guest);
    (guest, heard)
}

/// An event without its offset, and the offset.
fn split(packet: &str) -> (String, String) {
    let json = packet.strip_prefix("42").expect("an event");
    let mut values: Vec<Value> = serde_json::from_str(json).expect("JSON");
    let offset = values.pop().expect("an offset");
    let offset = offset.as_str().expect("a string").to_owned();
    (Value::from(values).to_string(), offset)
}

fn lose(party: &mut Party, guest: &Guest) {
    let client = party.client(guest);
    party.reset(client);
    party.turn();
}

#[test]
fn wire_2_9_1_the_reply_tells_what_to_show_and_every_event_has_its_offset() {
    let mut party = party();
    let (guest, card) = newcomer(&mut party);
    assert_eq!((card.sid.len(), card.pid.len()), (20, 20));
    assert_ne!(card.sid, card.pid);
    party.say(&guest, "2[\"all\",1]");
    party.say(&guest, "2[\"all\",\"two\"]");
    let heard = party.hear(&guest);
    let (one, first) = split(&heard[0]);
    let (two, second) = split(&heard[1]);
    assert_eq!([&*one, &*two], ["[\"said\",1]", "[\"said\",\"two\"]"]);
    assert_ne!(first, second);
}

#[test]
fn without_recovery_nothing_of_it_is_on_the_wire() {
    let mut party = Party::new(handlers);
    let (guest, _) = party.enter(Via::WebSocket);
    party.say(&guest, "2[\"all\",\"x\"]");
    party.hears(&guest, &["42[\"said\",\"x\"]"]);
}

#[test]
fn wire_2_9_4_who_comes_back_has_its_id_rooms_and_data_and_what_it_missed() {
    let mut party = party();
    let (guest, card) = newcomer(&mut party);
    let (other, _) = newcomer(&mut party);
    party.say(&guest, "2[\"join\",\"a\"]");
    party.say(&guest, "2[\"all\",0]");
    let (_, offset) = split(&party.hear(&guest)[0]);
    lose(&mut party, &guest);
    for packet in [
        "[\"to\",\"a\",1]",
        "[\"to\",\"b\",2]",
        "[\"all\",3]",
        "[\"others\",4]",
    ] {
        party.say(&other, &format!("2{packet}"));
    }
    party.say(&other, &format!("2[\"to\",\"{}\",5]", card.sid));
    party.lines();
    let (guest, heard) = comes_back(&mut party, &card, Some(&offset));
    // First what it missed, then that it has joined.
    let (last, missed) = heard.split_last().expect("it has joined");
    let missed: Vec<_> = missed.iter().map(|packet| split(packet).0).collect();
    assert_eq!(
        missed,
        [
            "[\"said\",1]",
            "[\"said\",3]",
            "[\"said\",4]",
            "[\"said\",5]"
        ]
    );
    assert_eq!(self::card(last), card);
    party.noted(&["again a member of a [a]"]);
    // It is there as if it had never been away.
    party.say(&other, &format!("2[\"to\",\"{}\",6]", card.sid));
    assert_eq!(split(&party.hear(&guest)[0]).0, "[\"said\",6]");
}

#[test]
fn a_client_may_come_back_again_and_again() {
    let mut party = party();
    let (mut guest, card) = newcomer(&mut party);
    let (other, _) = newcomer(&mut party);
    party.say(&other, "2[\"all\",0]");
    let (_, mut offset) = split(&party.hear(&guest)[0]);
    for n in 1..5 {
        lose(&mut party, &guest);
        party.say(&other, &format!("2[\"others\",{n}]"));
        let (again, heard) = comes_back(&mut party, &card, Some(&offset));
        assert_eq!(heard.len(), 2, "{heard:?}");
        let (missed, next) = split(&heard[0]);
        assert_eq!(missed, format!("[\"said\",{n}]"));
        assert_eq!(self::card(&heard[1]), card);
        (guest, offset) = (again, next);
    }
}

#[test]
fn wire_2_9_7_who_left_on_purpose_or_was_put_out_has_nothing_to_come_back_to() {
    for packet in ["1", "2[\"leave\"]"] {
        let mut party = party();
        let (guest, card) = newcomer(&mut party);
        party.say(&guest, packet);
        lose(&mut party, &guest);
        let (_, heard) = comes_back(&mut party, &card, None);
        assert_ne!(self::card(&heard[0]).sid, card.sid, "{packet}");
    }
}

#[test]
fn a_half_open_connection_is_taken_over_and_takes_nothing_away_later() {
    let mut party = party();
    let (old, card) = newcomer(&mut party);
    party.say(&old, "2[\"join\",\"a\"]");
    party.hear(&old);
    party.lines();
    // The old connection is still there, for all that the server knows.
    let (guest, heard) = comes_back(&mut party, &card, None);
    assert_eq!(self::card(&heard[0]), card);
    party.noted(&["again a member of a [a]"]);
    assert!(party.hear(&old).contains(&"end".to_owned()));
    let (other, _) = newcomer(&mut party);
    party.say(&other, "2[\"to\",\"a\",1]");
    assert_eq!(split(&party.hear(&guest)[0]).0, "[\"said\",1]");
}

#[test]
fn who_missed_nothing_comes_back_however_old_its_last_event_is() {
    let mut party = Party::with(recovering(|it| it.duration = ms(60_000)), handlers);
    let (guest, card) = newcomer(&mut party);
    let (other, _) = newcomer(&mut party);
    party.say(&guest, "2[\"all\",0]");
    let (_, offset) = split(&party.hear(&guest)[0]);
    party.hear(&other);
    // Hours pass, in which nothing is said to it but much to somebody else.
    for _ in 0..200 {
        party.advance(20_000);
        for guest in [&guest, &other] {
            let client = party.client(guest);
            party.send(client, text("3"));
        }
        party.say(&guest, "2[\"others\",1]");
        party.hear(&guest);
        party.hear(&other);
    }
    lose(&mut party, &guest);
    party.say(&other, "2[\"others\",7]");
    let (_, heard) = comes_back(&mut party, &card, Some(&offset));
    assert_eq!(split(&heard[0]).0, "[\"said\",7]");
    assert_eq!(self::card(&heard[1]), card);
}

#[test]
fn who_never_received_anything_comes_back_without_an_offset() {
    let mut party = party();
    let (guest, card) = newcomer(&mut party);
    lose(&mut party, &guest);
    let (other, _) = newcomer(&mut party);
    party.say(&other, "2[\"others\",1]");
    let (_, heard) = comes_back(&mut party, &card, None);
    assert_eq!(split(&heard[0]).0, "[\"said\",1]");
    assert_eq!(self::card(&heard[1]), card);
    // What was sent, and lost with the connection, is sent again.
    let (guest, card) = newcomer(&mut party);
    party.say(&other, "2[\"others\",2]");
    lose(&mut party, &guest);
    let (_, heard) = comes_back(&mut party, &card, None);
    assert_eq!(split(&heard[0]).0, "[\"said\",2]");
}

#[test]
fn a_string_at_the_end_of_an_event_is_never_taken_for_an_offset() {
    let mut party = party();
    let (guest, card) = newcomer(&mut party);
    let (other, _) = newcomer(&mut party);
    party.say(&guest, "2[\"all\",0]");
    let (_, before) = split(&party.hear(&guest)[0]);
    // Clients take the last string of a volatile event for an offset as well: it is one.
    party.say(&guest, "2[\"volatile\",\"text\"]");
    let (said, offset) = split(&party.hear(&guest)[0]);
    assert_eq!((&*said, &offset), ("[\"said\",\"text\"]", &before));
    // One that does not end in a string cannot be mistaken, and stays as it is.
    party.say(&guest, "2[\"volatile\",1]");
    party.hears(&guest, &["42[\"said\",1]"]);
    lose(&mut party, &guest);
    party.say(&other, "2[\"others\",1]");
    for stranger in ["text", "", "AAAAAAAAAAAAAAAA"] {
        let (_, heard) = comes_back(&mut party, &card, Some(stranger));
        assert_ne!(self::card(&heard[0]).sid, card.sid, "{stranger}");
    }
    let (_, heard) = comes_back(&mut party, &card, Some(&offset));
    assert_eq!(split(&heard[0]).0, "[\"said\",1]");
}

#[test]
fn the_time_to_come_back_ends_and_is_told() {
    let mut party = Party::with(recovering(|it| it.duration = ms(10_000)), handlers);
    let (guest, card) = newcomer(&mut party);
    party.say(&guest, "2[\"join\",\"a\"]");
    lose(&mut party, &guest);
    party.lines();
    party.advance(9_999);
    party.noted(&[]);
    party.advance(1);
    party.noted(&[&format!("lost {} a member of a", card.sid)]);
    let (_, heard) = comes_back(&mut party, &card, None);
    assert_ne!(self::card(&heard[0]).sid, card.sid);
    party.noted(&["new  []"]);
}

#[test]
fn too_many_who_might_come_back_lose_the_oldest() {
    let mut party = Party::with(recovering(|it| it.sessions_max = 2), handlers);
    let guests: Vec<_> = (0..3).map(|_| newcomer(&mut party)).collect();
    party.lines();
    for (guest, _) in &guests {
        lose(&mut party, guest);
    }
    let lost = format!("lost {} ", guests[0].1.sid);
    party.noted(&[&lost]);
    for (_, card) in &guests[1..] {
        let (_, heard) = comes_back(&mut party, card, None);
        assert_eq!(self::card(&heard[0]), *card);
    }
}

#[test]
fn a_log_that_is_full_forgets_the_oldest_events() {
    let mut party = Party::with(recovering(|it| it.log_bytes_max = 10_000), handlers);
    let (guest, card) = newcomer(&mut party);
    let (late, late_card) = newcomer(&mut party);
    let (other, _) = newcomer(&mut party);
    lose(&mut party, &guest);
    for n in 0..50 {
        let text = "x".repeat(1_000);
        party.say(&other, &format!("2[\"others\",\"{n}{text}\"]"));
        if n == 47 {
            lose(&mut party, &late);
        }
    }
    assert_eq!(
        party.stats().backlog_bytes,
        0,
        "what is logged waits for nobody"
    );
    let (_, heard) = comes_back(&mut party, &card, None);
    assert_ne!(
        self::card(&heard[0]).sid,
        card.sid,
        "it may have missed some of them"
    );
    let (_, heard) = comes_back(&mut party, &late_card, None);
    // It was sent the others, but shows no offset.
    assert_ne!(self::card(&heard[0]).sid, late_card.sid);
}

#[test]
fn middleware_is_asked_again_only_if_it_is_to_be() {
    for skips in [true, false] {
        let config = recovering(|it| it.skip_middlewares = skips);
        let mut party = Party::with(config, |io| {
            handlers(io);
            io.middleware(|log: &mut Log, socket, _| {
                log.note(format!("asked, {}", socket.recovered()));
                Ok(())
            });
        });
        let (guest, card) = newcomer(&mut party);
        lose(&mut party, &guest);
        party.lines();
        let (_, heard) = comes_back(&mut party, &card, None);
        assert_eq!(self::card(&heard[0]), card);
        match skips {
            true => party.noted(&["again  []"]),
            false => party.noted(&["asked, true", "again  []"]),
        }
    }
}

#[test]
fn a_card_is_good_for_one_namespace_and_one_client_at_a_time() {
    let mut party = Party::with(recovering(|_| {}), |io| {
        handlers(io);
        io.of("/other");
    });
    let (guest, card) = newcomer(&mut party);
    lose(&mut party, &guest);
    let wrong = party.guest(Via::WebSocket);
    party.say(&wrong, &format!("0/other,{{\"pid\":\"{}\"}}", card.pid));
    assert!(!party.hear(&wrong)[0].contains(&card.sid));
    let (first, heard) = comes_back(&mut party, &card, None);
    assert_eq!(self::card(&heard[0]), card);
    // The same card again takes it over.
    let (_, heard) = comes_back(&mut party, &card, None);
    assert_eq!(self::card(&heard[0]), card);
    assert!(party.hear(&first).contains(&"end".to_owned()));
}

#[test]
fn nonsense_in_place_of_a_card_is_no_card() {
    let mut party = party();
    for auth in [
        "{\"pid\":1}",
        "{\"pid\":\"x\"}",
        "{\"pid\":\"AAAAAAAAAAAAAAAAAAAA\",\"offset\":1}",
        "{\"pid\":\"AAAAAAAAAAAAAAAAAAAA\"}",
        "{\"pid\":null,\"a\":{\"pid\":\"AAAAAAAAAAAAAAAAAAAA\"}}",
    ] {
        let guest = party.guest(Via::WebSocket);
        party.say(&guest, &format!("0{auth}"));
        card(&party.hear(&guest)[0]);
    }
}

#[test]
fn a_timeout_of_the_heartbeat_is_a_loss_like_another() {
    let mut party = party();
    reasons(&mut party.io);
    let (guest, card) = newcomer(&mut party);
    party.advance(Duration::from_secs(46).as_millis() as u64);
    assert!(party.hear(&guest).contains(&"end".to_owned()));
    assert!(Reason::PingTimeout.is_recoverable());
    let (_, heard) = comes_back(&mut party, &card, None);
    assert_eq!(self::card(&heard[0]), card);
}
