//! What the demos share: one server, one application, one set of pages, all part of the binary.
//!
//! Each demo is a module with a `register`, a namespace of its own, and a folder of pages of the
//! same name; its state is a field of [`Site`], what it knows of a socket a field of [`Visitor`].

use emio::{App, Files, Server};

use crate::{chat, inside, whiteboard};

/// The state of all demos.
#[derive(Default)]
pub struct Site {
    pub chat: chat::Chat,
    pub whiteboard: whiteboard::Whiteboard,
    pub inside: inside::Inside,
}

/// What the demos know of one socket. It is in one namespace, so that only one field is ever used.
#[derive(Default)]
pub struct Visitor {
    pub chat: chat::User,
    pub whiteboard: whiteboard::Drawing,
}

impl App for Site {
    type Data = Visitor;
}

/// Teaches a server all demos.
pub fn register(io: &mut Server<Site>) {
    io.serve_files("/", pages());
    chat::register(io);
    whiteboard::register(io);
    inside::register(io);
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
        "/chat/index.html",
        HTML,
        include_str!("../site/chat/index.html"),
    );
    files.insert("/chat/chat.css", CSS, include_str!("../site/chat/chat.css"));
    files.insert("/chat/chat.js", JS, include_str!("../site/chat/chat.js"));
    files.insert("/source/chat.rs", TEXT, include_str!("chat.rs"));

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

    files
}
