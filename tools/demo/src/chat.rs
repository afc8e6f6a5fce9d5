//! The chat: everyone who has the page open talks to everyone. The contract with the page is
//! written at the top of `site/chat.js`.

use emio::{App, Bytes, Reason, Server, Socket};
use serde::{Deserialize, Serialize};

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

impl App for Chat {
    type Data = User;
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
pub fn register(io: &mut Server<Chat>) {
    io.on("add user", Chat::add_user);
    io.on("chat message", Chat::message);
    io.on("chat image", Chat::image);
    io.on("typing", Chat::typing);
    io.on_disconnect(Chat::leave);
}

impl Chat {
    fn add_user(&mut self, socket: Socket<'_, Chat>, (name,): (String,)) {
        if socket.data.name.is_some() {
            return;
        }
        let name: String = name.trim().chars().take(NAME_CHARS_MAX).collect();
        self.users += 1;
        let num_users = self.users;
        socket.reply(Welcome { num_users });
        socket.broadcast().emit(
            "user joined",
            Presence {
                name: &name,
                num_users,
            },
        );
        socket.data.name = Some(name);
    }

    fn message(&mut self, socket: Socket<'_, Chat>, (text,): (String,)) {
        let Some(from) = &socket.data.name else {
            return;
        };
        self.messages += 1;
        socket.io().emit(
            "chat message",
            Text {
                from,
                text: &text,
                id: self.messages,
            },
        );
    }

    fn image(&mut self, socket: Socket<'_, Chat>, (picture,): (Picture,)) {
        let Some(from) = &socket.data.name else {
            return;
        };
        let Picture { r#type, bytes } = picture;
        socket.io().emit(
            "chat image",
            Shown {
                from,
                r#type: &r#type,
                bytes,
            },
        );
    }

    fn typing(&mut self, socket: Socket<'_, Chat>, (typing,): (bool,)) {
        let Some(name) = &socket.data.name else {
            return;
        };
        socket
            .broadcast()
            .volatile()
            .emit("typing", Typing { name, typing });
    }

    fn leave(&mut self, socket: Socket<'_, Chat>, _: Reason) {
        let Some(name) = &socket.data.name else {
            return;
        };
        self.users -= 1;
        socket.broadcast().emit(
            "user left",
            Presence {
                name,
                num_users: self.users,
            },
        );
    }
}

/// Longer names are cut.
const NAME_CHARS_MAX: usize = 32;
