//! A chat in ten lines: what one says, all hear. Serves the client at /socket.io/socket.io.js.

use emio::Server;

fn main() -> std::io::Result<()> {
    let mut io = Server::bind("127.0.0.1:3000", ())?;
    io.on("chat message", |_, socket, (text,): (String,)| {
        socket.io().emit("chat message", text);
    });
    println!("listening on {}", io.local_addr()?);
    io.run()
}
