//! The chat: everyone who has the page open talks to everyone. The contract with the page is
//! written at the top of `site/chat/chat.js`.

use emio::{Bytes, Reason, Server, Socket};
use serde::{Deserialize, Serialize};

use crate::site::Site;

/// What all users share.
#[derive(Default)]
pub struct Chat {
    users: usize,
    messages: u64,
}

/// What the server knows of one user.
#[derive(Default)]
pub struct User {
    name: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Presence<'a> {
    name: &'a str,
    num_users: usize,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Welcome {
    num_users: usize,
}

#[derive(Serialize)]
struct Text<'a> {
    from: &'a str,
    text: &'a str,
    id: u64,
}

#[derive(Serialize)]
struct Typing<'a> {
    name: &'a str,
    typing: bool,
}

#[derive(Deserialize)]
struct Picture {
    r#type: String,
    bytes: Bytes,
}

#[derive(Serialize)]
struct Shown<'a> {
    from: &'a str,
    r#type: &'a str,
    bytes: Bytes,
}

/// Teaches a server the chat.
pub fn register(io: &mut Server<Site>) {
    let mut chat = io.of("/chat");
    chat.on("add user", add_user);
    chat.on("chat message", message);
    chat.on("chat image", image);
    chat.on("typing", typing);
    chat.on_disconnect(leave);
}

fn add_user(site: &mut Site, socket: Socket<'_, Site>, (name,): (String,)) {
    if socket.data.chat.name.is_some() {
        return;
    }
    let name: String = name.trim().chars().take(NAME_CHARS_MAX).collect();
    site.chat.users += 1;
    let num_users = site.chat.users;
    socket.reply(Welcome { num_users });
    let presence = Presence {
        name: &name,
        num_users,
    };
    socket.broadcast().emit("user joined", presence);
    socket.data.chat.name = Some(name);
}

fn message(site: &mut Site, socket: Socket<'_, Site>, (text,): (String,)) {
    let Some(from) = &socket.data.chat.name else {
        return;
    };
    site.chat.messages += 1;
    let text = Text {
        from,
        text: &text,
        id: site.chat.messages,
    };
    socket.io().emit("chat message", text);
}

fn image(_: &mut Site, socket: Socket<'_, Site>, (picture,): (Picture,)) {
    let Some(from) = &socket.data.chat.name else {
        return;
    };
    let Picture { r#type, bytes } = picture;
    let shown = Shown {
        from,
        r#type: &r#type,
        bytes,
    };
    socket.io().emit("chat image", shown);
}

fn typing(_: &mut Site, socket: Socket<'_, Site>, (typing,): (bool,)) {
    let Some(name) = &socket.data.chat.name else {
        return;
    };
    let typing = Typing { name, typing };
    socket.broadcast().volatile().emit("typing", typing);
}

fn leave(site: &mut Site, socket: Socket<'_, Site>, _: Reason) {
    let Some(name) = &socket.data.chat.name else {
        return;
    };
    site.chat.users -= 1;
    let presence = Presence {
        name,
        num_users: site.chat.users,
    };
    socket.broadcast().emit("user left", presence);
}

/// Longer names are cut.
const NAME_CHARS_MAX: usize = 32;
