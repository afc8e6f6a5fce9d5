//! WebSockets of the application's own, without Engine.IO: what their handlers see.

use crate::{app::App, id::ConnKey, op::Op, socket::Desk};

/// A WebSocket on a path of the application, while one of its handlers runs.
pub struct WebSocket<'a, A: App> {
    desk: Desk<'a, A>,
    id: WebSocketId,
}

/// Names an application WebSocket; one that is closed is named for nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct WebSocketId {
    pub(crate) conn: ConnKey,
    pub(crate) serial: u32,
}

/// One message over it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Message<'a> {
    /// Text.
    Text(&'a str),
    /// Bytes.
    Binary(&'a [u8]),
}

impl<'a, A: App> WebSocket<'a, A> {
    pub(crate) fn new(desk: Desk<'a, A>, id: WebSocketId) -> WebSocket<'a, A> {
        WebSocket { desk, id }
    }

    /// Its id, for `io.websocket(id)`.
    pub fn id(&self) -> WebSocketId {
        self.id
    }

    /// Whether it is open.
    pub fn is_open(&self) -> bool {
        self.desk.hub.engine().is_raw(self.id.conn, self.id.serial)
    }

    /// Sends a text message. One to a closed WebSocket is dropped.
    pub fn send_text(&self, text: &str) {
        self.send(false, text.as_bytes());
    }

    /// Sends a binary message.
    pub fn send_binary(&self, data: &[u8]) {
        self.send(true, data);
    }

    /// Closes it with this code (RFC 6455 §7.4; 1000 is normal).
    pub fn close(&self, code: u16) {
        let WebSocketId { conn, serial } = self.id;
        self.desk.outbox.op(Op::RawClose { conn, serial, code });
    }

    fn send(&self, is_binary: bool, data: &[u8]) {
        let WebSocketId { conn, serial } = self.id;
        self.desk.outbox.write(|sheet| {
            let data = sheet.text(data);
            sheet.recorded.ops.push(Op::RawSend {
                conn,
                serial,
                is_binary,
                data,
            });
        });
    }
}
