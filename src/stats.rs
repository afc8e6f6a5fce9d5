//! Counters of one server, always on: plain integers in one thread.

/// What a server has done since its start, and what it holds now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// TCP connections now.
    pub connections: u64,
    /// Engine.IO sessions now.
    pub sessions: u64,
    /// Sockets (clients in namespaces) now.
    pub sockets: u64,
    /// Rooms now, the sockets' own not counted.
    pub rooms: u64,
    /// Bytes held of what has not arrived whole.
    pub incoming_bytes: u64,
    /// Bytes queued for clients, each shared frame counted once.
    pub backlog_bytes: u64,
    /// TCP connections accepted.
    pub connections_opened: u64,
    /// TCP connections over.
    pub connections_closed: u64,
    /// Handshakes that became sessions.
    pub sessions_opened: u64,
    /// Sessions over.
    pub sessions_closed: u64,
    /// Bytes read from connections.
    pub bytes_in: u64,
    /// Bytes written to connections.
    pub bytes_out: u64,
    /// Engine.IO messages received.
    pub messages_in: u64,
    /// Engine.IO messages sent, each receiver counted.
    pub messages_out: u64,
    /// Volatile messages that were dropped, or replaced by later ones.
    pub volatile_dropped: u64,
    /// Events that were dropped because too much waited for their receiver
    /// (`Overflow::DropNewest`), each receiver counted.
    pub overflow_dropped: u64,
    /// Requests and connections refused because of a limit.
    pub refused_by_limit: u64,
    /// Connections dropped because their address had too many.
    pub refused_by_address: u64,
    /// Requests, frames and packets refused because they broke a protocol.
    pub refused_by_fault: u64,
    /// Deadlines that ended something.
    pub timeouts: u64,
}
