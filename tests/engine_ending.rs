//! How an engine by itself ends over a while, and what of it is in the middle of something.

mod common;

use common::*;
use emio::{Config, Reason};

#[test]
fn sessions_are_told_one_after_the_other() {
    let mut world = World::new().on(echo);
    let sockets = [(); 4].map(|()| world.websocket().0);
    world.act(|engine| engine.wind_down(ms(1_000)));
    for told in 1..=4 {
        world.advance(240);
        assert_eq!(world.reasons(), vec![Reason::ServerShuttingDown; told]);
        assert_eq!(world.engine.is_shut(), told == 4);
        world.advance(10);
    }
    for ws in sockets {
        assert_eq!(world.frames(ws), [Frame::close(None)]);
    }
}

#[test]
fn a_session_that_is_being_upgraded_is_told_over_its_websocket() {
    let mut world = World::new().on(echo);
    let poller = world.poller();
    let session = world.session();
    let ws = world.probe(&poller.sid);
    world.send(ws, text("2probe"));
    assert_eq!(world.texts(ws), ["3probe"]);
    world.act(|engine| engine.send_text(session, &[b"before"]));
    world.act(|engine| engine.wind_down(ms(5_000)));
    world.advance(1_000);
    assert_eq!(world.reasons(), [], "its client could not be told");
    world.send(ws, text("5"));
    world.advance(100);
    assert_eq!(world.reasons(), [Reason::ServerShuttingDown]);
    assert_eq!(
        world.frames(ws),
        [Frame::text("4before"), Frame::close(None)]
    );
}

#[test]
fn a_session_that_the_application_has_closed_ends_as_it_would_have() {
    let mut world = World::new().on(echo);
    let poller = world.poller();
    let session = world.session();
    world.act(|engine| engine.send_text(session, &[b"before"]));
    world.act(|engine| engine.close(session));
    world.act(|engine| engine.wind_down(ms(5_000)));
    world.advance(1_000);
    world.poll(&poller);
    assert_eq!(world.polled(&poller), "4before");
    world.poll(&poller);
    assert_eq!(world.polled(&poller), "6\u{1e}1");
    assert_eq!(world.reasons(), [Reason::ForcedClose]);
    world.advance(100);
    assert!(world.engine.is_shut(), "nobody is left");
}

#[test]
fn a_handshake_that_is_judged_meanwhile_is_refused() {
    let mut world = World::with(Config::default());
    world.engine.judge_handshakes();
    let stays = world.ask(upgrade_of(&websocket("")));
    let (conn, serial) = world.question();
    world.act(|engine| engine.decide(conn, serial, Ok(())));
    assert_eq!(world.answer(stays).status, 101);
    let asking = world.ask(get_of(&polling("")));
    let (conn, serial) = world.question();
    world.act(|engine| engine.wind_down(ms(5_000)));
    world.act(|engine| engine.decide(conn, serial, Ok(())));
    assert_eq!(world.answer(asking).status, 503);
}
