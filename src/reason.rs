//! Why a session or a socket ended, in the words of the official server.

use std::fmt;

/// Why a session or a socket ended. `as_str` gives the words that JavaScript programs know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// The client broke the transport's rules, or a limit of its connection.
    TransportError,
    /// The connection was closed by the client or lost.
    TransportClose,
    /// The server closed the session at once: a bad packet, or no namespace in time.
    ForcedClose,
    /// The same, but the transport had to wait first.
    ForcedServerClose,
    /// No answer to a ping in time.
    PingTimeout,
    /// An Engine.IO packet that is none.
    ParseError,
    /// The server is being stopped.
    ServerShuttingDown,
    /// The client left the namespace.
    ClientNamespaceDisconnect,
    /// The application disconnected the socket.
    ServerNamespaceDisconnect,
}

impl Reason {
    /// The official words.
    pub fn as_str(self) -> &'static str {
        match self {
            Reason::TransportError => "transport error",
            Reason::TransportClose => "transport close",
            Reason::ForcedClose => "forced close",
            Reason::ForcedServerClose => "forced server close",
            Reason::PingTimeout => "ping timeout",
            Reason::ParseError => "parse error",
            Reason::ServerShuttingDown => "server shutting down",
            Reason::ClientNamespaceDisconnect => "client namespace disconnect",
            Reason::ServerNamespaceDisconnect => "server namespace disconnect",
        }
    }
}

impl Reason {
    /// Whether a socket that ended so may come back with its state (`Config::recovery`).
    pub fn is_recoverable(self) -> bool {
        match self {
            Reason::TransportError
            | Reason::TransportClose
            | Reason::ForcedClose
            | Reason::ForcedServerClose
            | Reason::PingTimeout
            | Reason::ServerShuttingDown => true,
            Reason::ParseError
            | Reason::ClientNamespaceDisconnect
            | Reason::ServerNamespaceDisconnect => false,
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
