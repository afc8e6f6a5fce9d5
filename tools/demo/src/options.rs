//! Where to listen: from flags, else from the environment, else here.

use std::env;

/// Where to listen.
pub struct Options {
    pub host: String,
    pub port: u16,
}

impl Options {
    /// What the command line and the environment say; otherwise a line for the user.
    pub fn read() -> Result<Options, String> {
        let mut host = env::var("HOST").ok();
        let mut port = env::var("PORT").ok();
        let mut args = env::args().skip(1);
        while let Some(arg) = args.next() {
            let (name, value) = match arg.split_once('=') {
                Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
                None => (arg, None),
            };
            let mut value = || {
                value
                    .clone()
                    .or_else(|| args.next())
                    .ok_or_else(|| usage(&name))
            };
            match &*name {
                "--host" | "-H" => host = Some(value()?),
                "--port" | "-p" => port = Some(value()?),
                _ => return Err(usage(&name)),
            }
        }
        let port = port.as_deref().unwrap_or("3000");
        let port = port
            .parse()
            .map_err(|_| format!("{port:?} is not a port (0 to 65535)"))?;
        // Only this machine, unless told otherwise: the demo knows no passwords.
        let host = host.unwrap_or_else(|| "127.0.0.1".to_owned());
        Ok(Options { host, port })
    }
}

fn usage(name: &str) -> String {
    format!("{name}: usage: demo [--host ADDRESS] [--port NUMBER]")
}
