//! What the demos share: one server, one application, one set of pages, all part of the binary.
//!
//! Each demo is a module with a `register`, a namespace of its own, and a folder of pages of the
//! same name; its state is a field of [`Site`], what it knows of a socket a field of [`Visitor`].

use std::path::Path;

use emio::{App, Files, Server};

use crate::{chat, dashboard, hugs, inside, simple, stream, tweets, whiteboard};

/// The state of all demos.
#[derive(Default)]
pub struct Site {
    pub chat: chat::Chat,
    pub dashboard: dashboard::Dashboard,
    pub hugs: hugs::Hugs,
    pub stream: stream::Streams,
    pub tweets: tweets::Tweets,
    pub whiteboard: whiteboard::Whiteboard,
    pub inside: inside::Inside,
}

/// What the demos know of one socket. It is in one namespace, so that only one field is ever used.
#[derive(Default)]
pub struct Visitor {
    pub dashboard: dashboard::Watcher,
    pub tweets: tweets::Watcher,
    pub whiteboard: whiteboard::Drawing,
}

impl App for Site {
    type Data = Visitor;
}

/// Teaches a server all demos; `data` is the file of what lasts.
pub fn register(io: &mut Server<Site>, data: Option<&Path>) {
    io.serve_files("/", pages());
    simple::register(io);
    chat::register(io);
    hugs::register(io);
    tweets::register(io);
    dashboard::register(io, data);
    stream::register(io);
    whiteboard::register(io);
    inside::register(io);
}

/// What somebody wrote, without the space around it, and cut after so many characters.
pub fn cut(text: &str, chars_max: usize) -> String {
    text.trim().chars().take(chars_max).collect()
}

/// The pages, and the source that each of them shows.
fn pages() -> Files {
    const HTML: &str = "text/html; charset=utf-8";
    const CSS: &str = "text/css; charset=utf-8";
    const JS: &str = "text/javascript; charset=utf-8";
    const TEXT: &str = "text/plain; charset=utf-8";
    const SVG: &str = "image/svg+xml";
    let mut files = Files::new();

    files.insert("/index.html", HTML, include_str!("../site/index.html"));
    files.insert("/home.css", CSS, include_str!("../site/home.css"));
    files.insert("/icon.svg", SVG, include_str!("../site/icon.svg"));
    files.insert("/shell.css", CSS, include_str!("../site/shell.css"));
    files.insert("/shell.js", JS, include_str!("../site/shell.js"));

    files.insert(
        "/simple/index.html",
        HTML,
        include_str!("../site/simple/index.html"),
    );
    files.insert(
        "/simple/simple.css",
        CSS,
        include_str!("../site/simple/simple.css"),
    );
    files.insert(
        "/simple/simple.js",
        JS,
        include_str!("../site/simple/simple.js"),
    );
    files.insert("/source/simple.rs", TEXT, include_str!("simple.rs"));

    files.insert(
        "/chat/index.html",
        HTML,
        include_str!("../site/chat/index.html"),
    );
    files.insert("/chat/chat.css", CSS, include_str!("../site/chat/chat.css"));
    files.insert("/chat/chat.js", JS, include_str!("../site/chat/chat.js"));
    files.insert("/source/chat.rs", TEXT, include_str!("chat.rs"));

    files.insert(
        "/dashboard/index.html",
        HTML,
        include_str!("../site/dashboard/index.html"),
    );
    files.insert(
        "/dashboard/dashboard.css",
        CSS,
        include_str!("../site/dashboard/dashboard.css"),
    );
    files.insert(
        "/dashboard/dashboard.js",
        JS,
        include_str!("../site/dashboard/dashboard.js"),
    );
    files.insert("/source/dashboard.rs", TEXT, include_str!("dashboard.rs"));
    files.insert(
        "/source/dashboard/store.rs",
        TEXT,
        include_str!("dashboard/store.rs"),
    );
    files.insert(
        "/source/dashboard/host.rs",
        TEXT,
        include_str!("dashboard/host.rs"),
    );

    files.insert(
        "/hugs/index.html",
        HTML,
        include_str!("../site/hugs/index.html"),
    );
    files.insert("/hugs/hugs.css", CSS, include_str!("../site/hugs/hugs.css"));
    files.insert("/hugs/hugs.js", JS, include_str!("../site/hugs/hugs.js"));
    files.insert("/source/hugs.rs", TEXT, include_str!("hugs.rs"));

    files.insert(
        "/tweets/index.html",
        HTML,
        include_str!("../site/tweets/index.html"),
    );
    files.insert(
        "/tweets/tweets.css",
        CSS,
        include_str!("../site/tweets/tweets.css"),
    );
    files.insert(
        "/tweets/tweets.js",
        JS,
        include_str!("../site/tweets/tweets.js"),
    );
    files.insert("/source/tweets.rs", TEXT, include_str!("tweets.rs"));

    files.insert(
        "/whiteboard/index.html",
        HTML,
        include_str!("../site/whiteboard/index.html"),
    );
    files.insert(
        "/whiteboard/whiteboard.css",
        CSS,
        include_str!("../site/whiteboard/whiteboard.css"),
    );
    files.insert(
        "/whiteboard/whiteboard.js",
        JS,
        include_str!("../site/whiteboard/whiteboard.js"),
    );
    files.insert("/source/whiteboard.rs", TEXT, include_str!("whiteboard.rs"));

    files.insert(
        "/inside/index.html",
        HTML,
        include_str!("../site/inside/index.html"),
    );
    files.insert(
        "/inside/inside.css",
        CSS,
        include_str!("../site/inside/inside.css"),
    );
    files.insert(
        "/inside/inside.js",
        JS,
        include_str!("../site/inside/inside.js"),
    );
    files.insert("/source/inside.rs", TEXT, include_str!("inside.rs"));

    files.insert(
        "/stream/index.html",
        HTML,
        include_str!("../site/stream/index.html"),
    );
    files.insert(
        "/stream/stream.css",
        CSS,
        include_str!("../site/stream/stream.css"),
    );
    files.insert(
        "/stream/stream.js",
        JS,
        include_str!("../site/stream/stream.js"),
    );
    files.insert(
        "/stream/socket.io-stream.js",
        JS,
        include_str!("../site/stream/socket.io-stream.js"),
    );
    files.insert(
        "/stream/sha256.js",
        JS,
        include_str!("../site/stream/sha256.js"),
    );
    files.insert("/source/stream.rs", TEXT, include_str!("stream.rs"));

    files
}
