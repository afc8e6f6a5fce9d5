//! Who may open a WebSocket, by the `Origin` header: pages of the server itself, and those that
//! CORS lets in (spec 1.8).
//!
//! Not here: which of two strings are one origin, letter by letter; `cors` has the table.

mod common;

use common::*;
use emio::{Config, ConnectionContext, Cors, Origin, WebSocketOrigins, engine::Engine};

const THERE: &str = "https://there.example";

/// The tests' requests are for the host `here`.
const OWN: &str = "Origin: http://here\r\n";
const FOREIGN: &str = "Origin: https://there.example\r\n";

const REFUSED: &str =
    "Origin not allowed to open a WebSocket: see Config::cors and Config::websocket_origins";

fn with_cors(cors: Option<Cors>) -> World {
    World::with(Config {
        cors,
        ..Config::default()
    })
    .on(echo)
}

/// The status of a WebSocket's handshake with these header lines.
fn status(world: &mut World, headers: &str) -> u16 {
    let ws = world.ask(upgrade_with(&websocket(""), headers));
    let status = world.answer(ws).status;
    assert_eq!(world.is_open(ws), status == 101);
    status
}

#[test]
fn a_websocket_is_for_the_servers_own_pages_and_those_of_cors() {
    let list = || Some(Cors::origins([THERE, "null"]));
    let by_test = || Some(Cors::origins_if(|origin| origin.ends_with("there.example")));
    let exact = || Some(Cors::new(Origin::Exact(THERE.into())));
    for (cors, headers, wanted) in [
        // No browser's.
        (None, "", 101),
        // Its own: TLS may end in front, and a port may be written that is meant anyway.
        (None, OWN, 101),
        (None, "Origin: https://here\r\n", 101),
        (None, "Origin: http://HERE:80\r\n", 101),
        (None, "oRiGiN:   http://here  \r\n", 101),
        (None, "Origin: wss://here:443\r\n", 101),
        (None, "Origin: http://here:3000\r\n", 403),
        // Another's.
        (None, FOREIGN, 403),
        (None, "Origin: null\r\n", 403),
        (None, "Origin: file://\r\n", 403),
        (None, "Origin: http://here/\r\n", 403),
        (None, "Origin: http://there@here\r\n", 403),
        (None, "Origin:\r\n", 403),
        // What a proxy says of the host proves nothing: any client may say it.
        (
            None,
            "Origin: https://there.example\r\nX-Forwarded-Host: there.example\r\n",
            403,
        ),
        // Several: none of them may be another's.
        (None, &format!("{OWN}{FOREIGN}"), 403),
        (None, &format!("{FOREIGN}{OWN}"), 403),
        (list(), &format!("{OWN}{FOREIGN}"), 101),
        // Version 8 has a name of its own for it.
        (None, "Sec-WebSocket-Origin: http://here\r\n", 101),
        (None, "Sec-WebSocket-Origin: https://there.example\r\n", 403),
        // CORS lets in whom its headers let in, and never keeps the server's own out.
        (list(), FOREIGN, 101),
        (list(), "Origin: null\r\n", 101),
        (list(), "Origin: https://THERE.example\r\n", 403),
        (list(), "Origin: https://there.example:8443\r\n", 403),
        (list(), "Origin: https://other.example\r\n", 403),
        (list(), OWN, 101),
        (list(), "", 101),
        (by_test(), FOREIGN, 101),
        (by_test(), "Origin: https://other.example\r\n", 403),
        (by_test(), OWN, 101),
        (exact(), FOREIGN, 101),
        (exact(), "Origin: https://other.example\r\n", 403),
        (Some(Cors::any()), FOREIGN, 101),
        (Some(Cors::any()), "Origin: null\r\n", 101),
        (Some(Cors::new(Origin::Mirror)), FOREIGN, 101),
    ] {
        let mut world = with_cors(cors.clone());
        assert_eq!(status(&mut world, headers), wanted, "{cors:?} {headers:?}");
    }
}

#[test]
fn an_origin_is_compared_with_the_host_and_port_that_were_asked_for() {
    for (host, origin, wanted) in [
        ("localhost:3000", "http://localhost:3000", 101),
        ("127.0.0.1:3000", "http://127.0.0.1:3000", 101),
        ("127.0.0.1:3000", "http://localhost:3000", 403),
        ("localhost:3000", "http://localhost:5173", 403),
        ("[::1]:3000", "http://[::1]:3000", 101),
        ("[::1]:3000", "http://[::2]:3000", 403),
        (
            "xn--bcher-kva.example",
            "https://xn--bcher-kva.example",
            101,
        ),
        // A proxy that leaves the port out, and one that writes its own name for us.
        ("here.example", "https://here.example:8443", 403),
        ("backend:3000", "https://here.example", 403),
        ("", "http://", 403),
    ] {
        let mut world = World::new();
        let ask = upgrade_with(&websocket(""), &format!("Origin: {origin}\r\n"));
        let ws = world.ask(ask.replace("Host: here\r\n", &format!("Host: {host}\r\n")));
        assert_eq!(world.answer(ws).status, wanted, "{origin} at {host}");
    }
}

#[test]
fn a_page_of_another_origin_is_refused_counted_and_told_like_others() {
    // In whichever pieces its request comes.
    for cut in [Cut::Whole, Cut::Every(1)] {
        let mut world = World::new().cut(cut);
        world.engine.tell_refusals();
        // As long as a head lets it be: it is not sent back, nor kept.
        let origin = format!("https://{}.example", "a".repeat(12_000));
        let ask = upgrade_with(&websocket(""), &format!("Origin: {origin}\r\n"));
        let ws = world.ask(ask);
        world.answer(ws).is(403, REFUSED);
        assert!(!world.is_open(ws));
        let told = world.take_told();
        let [Told::Refused(error)] = &told[..] else {
            panic!("{told:?}")
        };
        assert_eq!((error.code(), error.message()), (4, REFUSED));
        assert_eq!(error.context(), &ConnectionContext::Origin(origin));
        assert_eq!(error.request().url(), websocket(""));
        let stats = world.stats();
        assert_eq!((stats.refused.forbidden, stats.refused_by_fault), (1, 1));
        assert_eq!(stats.sessions_opened, 0);
    }
}

#[test]
fn a_polling_session_upgrades_for_the_servers_own_pages_only() {
    let mut world = World::new().on(echo);
    let poller = world.poller();
    world.poll(&poller);
    let ws = world.ask(upgrade_with(&websocket(&poller.sid), FOREIGN));
    world.answer(ws).is(403, REFUSED);
    // The session has not noticed.
    world.post(&poller, "4a").is(200, "ok");
    assert_eq!(world.polled(&poller), "4a");
    let ws = world.ask(upgrade_with(&websocket(&poller.sid), OWN));
    assert_eq!(world.answer(ws).status, 101);
    world.send(ws, [text("2probe"), text("5"), text("4b")].concat());
    assert_eq!(world.texts(ws), ["3probe", "4b"]);
}

#[test]
fn a_websocket_of_the_applications_own_is_for_the_same_pages() {
    for path in ["/raw", "*"] {
        let mut world = with_cors(Some(Cors::origins(["https://b.example"])));
        world.engine.serve_raw(path);
        world.engine.tell_refusals();
        let ws = world.ask(upgrade_with("/raw", FOREIGN));
        world.answer(ws).is(403, REFUSED);
        assert!(!world.is_open(ws));
        assert!(matches!(world.take_told()[..], [Told::Refused(_)]));
        for headers in ["", OWN, "Origin: https://b.example\r\n"] {
            let ws = world.ask(upgrade_with("/raw", headers));
            assert_eq!(world.answer(ws).status, 101, "{headers}");
        }
    }
}

#[test]
fn the_application_is_not_asked_about_a_page_of_another_origin() {
    let allow = |engine: &mut Engine, told: &Told| {
        if let Told::Opening(conn, serial) = told {
            engine.decide(*conn, *serial, Ok(()));
        }
    };
    let mut world = World::new().on(allow);
    world.engine.judge_handshakes();
    assert_eq!(status(&mut world, FOREIGN), 403);
    assert_eq!(world.take_told(), []);
    assert_eq!(status(&mut world, OWN), 101);
    assert!(matches!(
        world.told[..],
        [Told::Opening(..), Told::Opened(_)]
    ));
}

#[test]
fn any_origin_opens_a_websocket_where_the_application_wants_it() {
    let mut world = World::with(Config {
        websocket_origins: WebSocketOrigins::Any,
        cors: Some(Cors::origins([THERE])),
        ..Config::default()
    });
    world.engine.serve_raw("/raw");
    for origin in ["https://other.example", "null", "http://here/"] {
        assert_eq!(status(&mut world, &format!("Origin: {origin}\r\n")), 101);
    }
    let ws = world.ask(upgrade_with("/raw", "Origin: https://other.example\r\n"));
    assert_eq!(world.answer(ws).status, 101);
}

#[test]
fn polling_is_open_to_all_since_browsers_keep_its_answers() {
    let mut world = World::new().on(echo);
    let client = world.ask(request("GET", &polling(""), FOREIGN));
    let answer = world.answer(client);
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("access-control-allow-origin"), None);
}
