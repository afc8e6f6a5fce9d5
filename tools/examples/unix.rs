//! A server on a Unix domain socket, for a proxy on the same machine.
//! Try it: curl --unix-socket /tmp/emio.sock 'http://localhost/socket.io/?EIO=4&transport=polling'

use std::{fs, io, os::unix::net::UnixListener, path::Path};

use emio::{Config, Server};

fn main() -> io::Result<()> {
    println!("listening at /tmp/emio.sock");
    serve(Path::new("/tmp/emio.sock"))
}

/// Serves at this path.
pub fn serve(path: &Path) -> io::Result<()> {
    // The file outlives its program, and would be in the way.
    let _ = fs::remove_file(path);
    let mut io = Server::without_listener((), Config::default())?;
    io.listen_unix(UnixListener::bind(path)?)?;
    io.on("chat message", |_, socket, (text,): (String,)| {
        socket.io().emit("chat message", text);
    });
    io.run()
}
