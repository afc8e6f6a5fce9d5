//! Counters of one server, always on: plain integers in one thread, an increment each.

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
    /// Sessions that moved from polling to a WebSocket.
    pub sessions_upgraded: u64,
    /// Bytes read from connections.
    pub bytes_in: u64,
    /// Bytes written to connections.
    pub bytes_out: u64,
    /// Engine.IO packets received: messages, pongs and the rest. Those of an upgrade's probe are
    /// not counted.
    pub packets_in: u64,
    /// Engine.IO packets sent, each receiver counted: messages, pings and open packets. What only
    /// lets a poll go, ends a session or answers a probe is not counted.
    pub packets_out: u64,
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
    /// Requests, frames and packets refused because they broke a protocol, or by the application.
    pub refused_by_fault: u64,
    /// Requests answered by the protocol's error table, by its codes.
    pub refused: Refusals,
    /// Deadlines that ended something.
    pub timeouts: u64,
    /// Turns of the loop. Without the crate's loop it and the following stay 0.
    pub turns: u64,
    /// Microseconds that the last turn took, from waking to its end: how long whatever happened
    /// meanwhile had to wait.
    pub turn_us_last: u64,
    /// Microseconds of the longest turn.
    pub turn_us_max: u64,
    /// Mean microseconds of a turn, in which each turn weighs a sixteenth and those before it the
    /// rest.
    pub turn_us_mean: u64,
}

/// Requests that were answered by the protocol's error table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Refusals {
    /// Code 0: the transport is unknown, or switched off.
    pub transport: u64,
    /// Code 1: there is no session with this id.
    pub sid: u64,
    /// Code 2: the handshake was no GET.
    pub method: u64,
    /// Code 3: the request does not fit; `BadRequest` says how.
    pub request: u64,
    /// Code 4: the application said no, or a page's origin may not open a WebSocket.
    pub forbidden: u64,
    /// Code 5: another version of the protocol.
    pub protocol: u64,
    /// Code 6: a limit is reached, or the server is ending.
    pub unavailable: u64,
}

/// What connections and sessions are doing now. It is counted when asked for, by looking at each of
/// them: some nanoseconds each, so ask once a second rather than for every message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Census {
    /// Connections between two requests, or with a part of a head.
    pub connections_idle: u64,
    /// Connections whose request has its head and not all of its body, or is being handled.
    pub connections_reading: u64,
    /// Connections whose GET waits for packets.
    pub connections_polling: u64,
    /// Connections that wait for a judgement or an answer of the application.
    pub connections_deciding: u64,
    /// WebSockets of sessions, those being tried included.
    pub connections_websocket: u64,
    /// WebSockets of the application's own.
    pub connections_raw: u64,
    /// Connections on their way to their end.
    pub connections_closing: u64,
    /// Sessions that poll.
    pub sessions_polling: u64,
    /// Sessions that poll while a WebSocket is tried.
    pub sessions_probing: u64,
    /// Sessions carried by a WebSocket.
    pub sessions_websocket: u64,
    /// Sessions that the server has closed, and whose client has not been told yet.
    pub sessions_closing: u64,
}
