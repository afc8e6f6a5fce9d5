//! Chat in ten lines: what one says, everybody hears.

use emio::{Server, Socket};

use crate::site::Site;

/// Teaches a server to pass messages on.
pub fn register(io: &mut Server<Site>) {
    io.of("/simple").on("chat message", message);
}

fn message(_: &mut Site, socket: Socket<'_, Site>, (text,): (String,)) {
    if text.len() <= TEXT_BYTES_MAX {
        socket.io().emit("chat message", text);
    }
}

/// Longer texts are not passed on.
const TEXT_BYTES_MAX: usize = 4 * 1024;
