//! Engine.IO alone: sends every message back, text as text and binary as binary.

use emio::engine::{Message, Server};

fn main() -> std::io::Result<()> {
    let mut server = Server::bind("127.0.0.1:3000", ())?;
    server.on_message(|_, socket, message: Message| socket.send(&message));
    println!("listening on {}", server.local_addr()?);
    server.run()
}
