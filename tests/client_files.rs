//! The browser client's files under the path (spec 1.9): their names, codings and conditions, and
//! what may be served instead of them.
//!
//! With the feature `compression` they are the same: what is compressed already stays as it is.

#[path = "common/sio.rs"]
mod sio;

use emio::{Config, Cors, Crank, Encoded, Files, Request, Response};
use sio::*;

const UNKNOWN_TRANSPORT: &str = r#"{"code":0,"message":"Transport unknown"}"#;

#[cfg(feature = "client")]
const SCRIPTS: [&str; 4] = [
    "socket.io.js",
    "socket.io.min.js",
    "socket.io.esm.min.js",
    "socket.io.websocket.min.js",
];

/// The application hears of what is neither the protocol's nor a file.
fn hears(io: &mut Crank<Log>) {
    io.on_request(|log: &mut Log, _, request: Request<'_>| {
        log.note(format!("{} {}", request.method, request.path));
        Response::not_found()
    });
}

/// A request with this `Accept-Encoding`, if there is one, and these header lines.
#[cfg(feature = "client")]
fn asked(method: &str, path: &str, accept: Option<&str>, lines: &str) -> String {
    let accept = accept.map(|accept| format!("Accept-Encoding: {accept}\r\n"));
    request(method, path, &(accept.unwrap_or_default() + lines))
}

#[cfg(feature = "client")]
fn committed(name: &str) -> Vec<u8> {
    let dist = concat!(env!("CARGO_MANIFEST_DIR"), "/src/client/dist");
    std::fs::read(format!("{dist}/{name}")).expect("a file of the client's")
}

/// Asks for a file with this `Accept-Encoding` in every way, and compares it with the one of the
/// client's that should come.
#[cfg(feature = "client")]
fn check(party: &mut Party, name: &str, accept: Option<&str>, coding: Option<&str>) {
    let ending = match coding {
        None => "",
        Some("gzip") => ".gz",
        Some("br") => ".br",
        Some(coding) => panic!("{coding}"),
    };
    let bytes = committed(&format!("{name}{ending}"));
    let kind = match name.ends_with(".map") {
        true => "application/json; charset=utf-8",
        false => "application/javascript; charset=utf-8",
    };
    let path = format!("/socket.io/{name}");
    let client = party.connect();
    let same = |answer: &Answer| {
        assert_eq!(answer.header("cache-control"), Some("no-cache"));
        assert_eq!(answer.header("vary"), Some("Accept-Encoding"));
    };

    party.send(client, asked("GET", &path, accept, ""));
    let answer = party.answer(client);
    assert_eq!(answer.status, 200, "{name} {accept:?}");
    assert!(answer.body == bytes, "{name} {accept:?}: another file");
    assert_eq!(answer.header("content-encoding"), coding, "{accept:?}");
    assert_eq!(answer.header("content-type"), Some(kind));
    same(&answer);
    let etag = answer.header("etag").expect("an ETag").to_owned();
    let length = bytes.len().to_string();

    // The query is nobody's.
    let target = format!("{path}?v=1&transport=polling");
    party.send(client, asked("GET", &target, accept, ""));
    assert_eq!(party.answer(client), answer);
    // The same head, and no body.
    party.send(client, asked("HEAD", &path, accept, ""));
    let head = party.answer_to_head(client);
    assert_eq!((head.status, &head.headers), (200, &answer.headers));
    assert_eq!(head.header("content-length"), Some(&*length));

    for tags in [&etag, &format!("W/{etag}"), &format!("\"x\", {etag}"), "*"] {
        for method in ["GET", "HEAD"] {
            let line = format!("If-None-Match: {tags}\r\n");
            party.send(client, asked(method, &path, accept, &line));
            let answer = party.answer(client);
            assert_eq!((answer.status, answer.header("etag")), (304, Some(&*etag)));
            assert_eq!(answer.header("content-encoding"), None);
            // A length here would be that of the file. RFC 9110 §8.6.
            assert_ne!(answer.header("content-length"), Some("0"));
            same(&answer);
        }
    }
    let line = "If-None-Match: \"old\"\r\n";
    party.send(client, asked("GET", &path, accept, line));
    assert_eq!(party.answer(client), answer);
    party.is_silent(client);
}

#[test]
#[cfg(feature = "client")]
fn every_script_comes_in_every_coding() {
    let mut party = Party::new(hears);
    for name in SCRIPTS {
        for accept in [None, Some(""), Some("identity"), Some("zstd, gzip;q=0")] {
            check(&mut party, name, accept, None);
        }
        for accept in ["gzip", "gzip, br;q=0.9", "*, br;q=0", "deflate, GZIP"] {
            check(&mut party, name, Some(accept), Some("gzip"));
        }
        for accept in ["gzip, deflate, br, zstd", "br;q=0.1", "*"] {
            check(&mut party, name, Some(accept), Some("br"));
        }
    }
    party.noted(&[]);
}

#[test]
#[cfg(feature = "client")]
fn every_map_comes_in_gzip() {
    let mut party = Party::new(hears);
    for name in SCRIPTS {
        let name = format!("{name}.map");
        for accept in [
            None,
            Some("gzip, deflate, br"),
            Some("gzip;q=0.1"),
            Some("*"),
        ] {
            check(&mut party, &name, accept, Some("gzip"));
        }
        for accept in ["", "identity", "br", "gzip;q=0, *"] {
            let path = format!("/socket.io/{name}");
            let client = party.ask(asked("GET", &path, Some(accept), ""));
            let answer = party.answer(client);
            answer.is(406, "Only with Content-Encoding: gzip\n");
            assert_eq!(answer.header("vary"), Some("Accept-Encoding"));
        }
    }
    party.noted(&[]);
}

#[test]
#[cfg(feature = "client")]
fn a_list_of_codings_may_stand_in_several_lines() {
    let mut party = Party::new(hears);
    let lines = "Accept-Encoding: gzip\r\naccept-encoding: br\r\n";
    let client = party.ask(request("GET", "/socket.io/socket.io.js", lines));
    let answer = party.answer(client);
    assert_eq!(answer.header("content-encoding"), Some("br"));
    let line = format!("If-None-Match: {}\r\n", answer.header("etag").unwrap());
    let lines = format!("{lines}If-None-Match: \"x\"\r\n{line}");
    party.send(client, request("GET", "/socket.io/socket.io.js", &lines));
    assert_eq!(party.answer(client).status, 304);
}

#[test]
#[cfg(feature = "client")]
fn the_client_is_read_and_never_written() {
    let mut party = Party::new(hears);
    for name in SCRIPTS {
        for name in [name.to_owned(), format!("{name}.map")] {
            let path = format!("/socket.io/{name}");
            for method in ["POST", "PUT", "DELETE", "OPTIONS", "get"] {
                let client = party.ask(request(method, &path, ""));
                let answer = party.answer(client);
                assert_eq!(
                    (answer.status, answer.header("allow")),
                    (405, Some("GET, HEAD"))
                );
            }
        }
    }
    party.noted(&[]);
}

#[test]
fn a_name_of_no_file_is_the_protocols() {
    let mut party = Party::new(hears);
    for name in [
        "other.js",
        "socket.io",
        "socket.io.j",
        "socket.io.jsx",
        "socket.io.js.gz",
        "socket.io.js.br",
        "socket.io.js.map.gz",
        "socket.io.js.map.map",
        "socket.io.js/",
        "/socket.io.js",
        "dist/socket.io.js",
        "Socket.io.js",
        "socket.io.map",
        "socket.io.esm.js",
        "socket.io.msgpack.min.js",
        "socket.io.msgpack.min.js.map",
    ] {
        let client = party.ask(get_of(&format!("/socket.io/{name}")));
        party.answer(client).is_error(400, UNKNOWN_TRANSPORT);
    }
    party.noted(&[]);
}

#[test]
#[cfg(feature = "client")]
fn the_client_is_served_only_where_it_was_asked_for() {
    let check = |config: Config, path: &str, elsewhere: &str| {
        let mut party = Party::with(config, hears);
        for name in ["socket.io.js", "socket.io.min.js.map"] {
            let client = party.ask(get_of(&format!("{path}{name}")));
            assert_eq!(party.answer(client).status, 200, "{path}{name}");
        }
        let client = party.ask(get_of(elsewhere));
        assert_eq!(party.answer(client).status, 404);
        party.noted(&[&format!("GET {elsewhere}")]);
    };
    let at = |path: &str| Config::default().at(path);
    let elsewhere = "/socket.io/socket.io.js";
    check(at("/chat"), "/chat/", elsewhere);
    check(at("/a/b"), "/a/b/", elsewhere);
    check(at("/a b"), "/a%20b/", elsewhere);
    check(Config::default(), "/socket.io/", "/socket.io.js");
    check(Config::default(), "/socket%2Eio/", "/socket.io.js");
    // A path that was given without the slash at its end.
    let config = Config {
        path: "/socket.io".to_owned(),
        ..Config::default()
    };
    check(config, "/socket.io/", "/elsewhere/socket.io.js");
    let mut party = Party::with(at("/"), hears);
    let client = party.ask(get_of("/socket.io.js"));
    assert_eq!(party.answer(client).status, 200);
}

#[test]
fn the_client_is_not_served_if_that_is_off() {
    let config = Config {
        serve_client: false,
        client_files: Some(official()),
        ..Config::default()
    };
    let mut party = Party::with(config, hears);
    for name in ["socket.io.js", "socket.io.min.js", "socket.io.js.map"] {
        let client = party.ask(get_of(&format!("/socket.io/{name}")));
        party.answer(client).is_error(400, UNKNOWN_TRANSPORT);
    }
    party.noted(&[]);
}

#[test]
#[cfg(not(feature = "client"))]
fn without_the_feature_there_is_no_client() {
    let mut party = Party::new(hears);
    for name in ["socket.io.js", "socket.io.min.js", "socket.io.js.map"] {
        let client = party.ask(get_of(&format!("/socket.io/{name}")));
        party.answer(client).is_error(400, UNKNOWN_TRANSPORT);
    }
    party.noted(&[]);
}

/// What a folder with the official client may hold.
fn official() -> Files {
    let mut files = Files::new();
    let script = "text/javascript; charset=utf-8";
    files.insert("/socket.io.js", script, "whole");
    files.insert("/socket.io.js.map", "application/json", "{}");
    files.insert("/socket.io.msgpack.min.js", script, "msgpack");
    let encoded = Encoded {
        identity: Some("small".into()),
        brotli: Some("smaller".into()),
        ..Encoded::default()
    };
    files.insert_encoded("/socket.io.min.js", script, encoded);
    files.insert("/socket.io.websocket.min.js", script, "not official");
    files.insert("/index.html", "text/html", "not the client");
    files.insert("/socket.io/socket.io.esm.min.js", script, "too deep");
    files
}

#[test]
fn the_official_client_may_be_served_instead() {
    let config = Config {
        client_files: Some(official()),
        ..Config::default()
    };
    let mut party = Party::with(config.at("/chat"), hears);
    for (name, body) in [
        ("socket.io.js", "whole"),
        ("socket.io.js.map", "{}"),
        ("socket.io.msgpack.min.js", "msgpack"),
        ("socket.io.min.js", "small"),
    ] {
        let client = party.ask(get_of(&format!("/chat/{name}?v=1")));
        let answer = party.answer(client);
        answer.is(200, body);
        let line = format!("If-None-Match: {}\r\n", answer.header("etag").unwrap());
        party.send(client, request("GET", &format!("/chat/{name}"), &line));
        assert_eq!(party.answer(client).status, 304);
    }
    let lines = "Accept-Encoding: gzip, br\r\n";
    let client = party.ask(request("GET", "/chat/socket.io.min.js", lines));
    let answer = party.answer(client);
    answer.is(200, "smaller");
    assert_eq!(answer.header("content-encoding"), Some("br"));
    // Neither ours, nor what is not there, nor what else is.
    for name in [
        "socket.io.esm.min.js",
        "socket.io.min.js.map",
        "socket.io.websocket.min.js",
        "index.html",
        "",
    ] {
        let client = party.ask(get_of(&format!("/chat/{name}")));
        party.answer(client).is_error(400, UNKNOWN_TRANSPORT);
    }
    party.noted(&[]);
}

#[test]
fn caches_are_told_of_the_origin_and_of_the_coding() {
    let config = Config {
        client_files: Some(official()),
        cors: Some(Cors::origins(["http://a"])),
        ..Config::default()
    };
    let mut party = Party::with(config, hears);
    let lines = "Origin: http://a\r\nAccept-Encoding: br\r\n";
    let client = party.ask(request("GET", "/socket.io/socket.io.min.js", lines));
    let answer = party.answer(client);
    let varies = answer.headers.iter();
    let varies = varies.filter(|(name, _)| name.eq_ignore_ascii_case("vary"));
    let varies: Vec<_> = varies.map(|(_, value)| &**value).collect();
    assert_eq!(varies, ["Accept-Encoding", "Origin"]);
    let origin = answer.header("access-control-allow-origin");
    assert_eq!(origin, Some("http://a"));
}
