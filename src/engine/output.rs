//! What leaves: messages encoded for their carrier, gathered, queued, and written.

use std::io::{self, IoSlice};

use super::{CORK_BYTES_KEPT, Engine, FRAME_BYTES_COPIED, PacketKind, SLICES_MAX};
use crate::{
    codec::ws,
    conn::State,
    id::{ConnKey, SessionKey},
    queue::Frame,
    reason::Reason,
    session::Carrier,
};

// What leaves.
impl Engine {
    /// Encodes one message for a session's carrier, without a copy where the connection is being
    /// read.
    pub(super) fn send(&mut self, session: SessionKey, put: &mut dyn FnMut(&mut Vec<u8>)) {
        if !self.latest.is_empty() {
            self.send_latest(session);
        }
        let Some(state) = self.sessions.get(session.index()) else {
            return;
        };
        let (carrier, is_open) = (state.carrier, state.is_open());
        if is_open {
            self.stats.messages_out += 1;
            self.note_created(session, PacketKind::Message);
        }
        match carrier {
            Carrier::WebSocket { ws, .. } if self.conns[ws.index()].reply.is_base64 => {
                let mut bytes = Vec::new();
                put(&mut bytes);
                let bytes = self.as_base64(bytes);
                self.output(ws, &mut |out| out.extend_from_slice(&bytes));
            }
            Carrier::WebSocket { ws, .. } => self.output(ws, put),
            Carrier::Polling { .. } | Carrier::Probing { .. } => {
                let mut bytes = Vec::new();
                put(&mut bytes);
                self.hold(session, Frame::new(bytes, &self.gauge));
            }
            Carrier::Closing { .. } | Carrier::Closed => {}
        }
    }

    /// The frame again, a binary one as text `b…` for a client that asked for base64.
    pub(super) fn as_base64(&self, frame: Vec<u8>) -> Vec<u8> {
        if !ws::is_binary(&frame) {
            return frame;
        }
        let mut text = Vec::new();
        crate::codec::eio::put_binary(&mut text, ws::payload_of(&frame));
        let mut bytes = Vec::with_capacity(ws::HEAD_BYTES_MAX + text.len());
        ws::put_head(&mut bytes, ws::Opcode::Text, text.len());
        bytes.extend_from_slice(&text);
        bytes
    }

    /// Queues a message for a session that polls, whose parked GET is answered at the turn's end.
    /// If the backlog is full already, the session ends.
    pub(super) fn hold(&mut self, key: SessionKey, frame: Frame) {
        if self.is_too_much(self.sessions[key.index()].queue.cost()) {
            self.stats.refused_by_limit += 1;
            return self.end_session(key, Reason::TransportError, b"1");
        }
        let session = &mut self.sessions[key.index()];
        session.queue.push(frame);
        session.is_backlogged |= session.parked().is_none();
        self.ask_for_answer(key);
    }

    /// Notes that a parked GET can be answered.
    pub(super) fn ask_for_answer(&mut self, key: SessionKey) {
        let session = &mut self.sessions[key.index()];
        if session.parked().is_some() && !session.is_dirty {
            session.is_dirty = true;
            self.answers.push(key);
        }
    }

    /// Appends to a connection's output.
    pub(super) fn output(&mut self, key: ConnKey, put: &mut dyn FnMut(&mut Vec<u8>)) {
        if !self.may_queue(key) {
            return;
        }
        let conn = &mut self.conns[key.index()];
        let is_corked = self.cork.conn == Some(key);
        if is_corked && conn.queue.is_empty() && self.cork.bytes.len() < CORK_BYTES_KEPT {
            put(&mut self.cork.bytes);
        } else {
            if is_corked && !self.cork.bytes.is_empty() {
                conn.queue.push(Frame::new(
                    std::mem::take(&mut self.cork.bytes),
                    &self.gauge,
                ));
            }
            if !conn.queue.grow(put) {
                let mut bytes = Vec::new();
                put(&mut bytes);
                conn.queue.push(Frame::new(bytes, &self.gauge));
            }
        }
        self.mark_dirty(key);
    }

    /// Appends a message to a WebSocket's output, in the form that its client asked for.
    pub(super) fn output_message(&mut self, ws: ConnKey, frame: &Frame) {
        if !self.conns[ws.index()].reply.is_base64 {
            return self.output_frame(ws, frame);
        }
        let bytes = self.as_base64(frame.bytes().to_vec());
        self.output(ws, &mut |out| out.extend_from_slice(&bytes));
    }

    /// Appends a shared frame to a connection's output.
    pub(super) fn output_frame(&mut self, key: ConnKey, frame: &Frame) {
        let is_corked = self.cork.conn == Some(key);
        if is_corked && frame.bytes().len() <= FRAME_BYTES_COPIED {
            return self.output(key, &mut |out| out.extend_from_slice(frame.bytes()));
        }
        if !self.may_queue(key) {
            return;
        }
        let conn = &mut self.conns[key.index()];
        if is_corked && !self.cork.bytes.is_empty() {
            conn.queue.push(Frame::new(
                std::mem::take(&mut self.cork.bytes),
                &self.gauge,
            ));
        }
        conn.queue.push(frame.clone());
        self.mark_dirty(key);
    }

    /// Whether a connection's backlog allows one more message; ends it otherwise.
    pub(super) fn may_queue(&mut self, key: ConnKey) -> bool {
        let conn = &self.conns[key.index()];
        if matches!(conn.state, State::Dead | State::Lingering) {
            return false;
        }
        // The last words are no message: what is queued before them goes out in order.
        if conn.state == State::WsClosing || !self.is_too_much(self.backlog_cost(key)) {
            return true;
        }
        self.stats.refused_by_limit += 1;
        self.lose(key, Reason::TransportError);
        false
    }

    pub(super) fn mark_dirty(&mut self, key: ConnKey) {
        let conn = &mut self.conns[key.index()];
        if !conn.is_dirty {
            conn.is_dirty = true;
            self.dirty.push_back(key);
        }
    }

    /// From here to its `transmit`, this connection's output is gathered.
    pub(super) fn open_cork(&mut self, key: ConnKey) {
        if let Some(before) = self.cork.conn.replace(key) {
            if before != key && !self.cork.bytes.is_empty() {
                let bytes = std::mem::take(&mut self.cork.bytes);
                if let Some(conn) = self.conns.get_mut(before.index()) {
                    conn.queue.push(Frame::new(bytes, &self.gauge));
                }
            }
        }
    }

    /// What could not be written waits, for as long as the peer takes some of it now and then.
    pub(super) fn wait_for_writing(&mut self, key: ConnKey, has_progressed: bool) {
        if self.is_over_budget(self.conns[key.index()].queue.cost(), self.slack()) {
            self.stats.refused_by_limit += 1;
            return self.lose(key, Reason::TransportError);
        }
        if !has_progressed {
            return;
        }
        let conn = &self.conns[key.index()];
        match conn.state {
            // A partial head has a time of its own.
            State::Head if conn.inbox.is_none() || conn.is_behind() => {
                self.arm_conn(key, self.config.keep_alive_timeout);
            }
            State::Closing | State::WsClosing if !conn.queue.is_empty() => {
                self.arm_conn(key, self.config.close_timeout);
            }
            _ => {}
        }
    }

    /// Writes the queue, then the cork; whether the connection turned out to be broken.
    pub(super) fn write_out(
        &mut self,
        key: ConnKey,
        cork: &mut Vec<u8>,
        write: &mut dyn FnMut(&[IoSlice<'_>]) -> io::Result<usize>,
    ) -> bool {
        let conn = &mut self.conns[key.index()];
        while conn.is_writable && conn.state != State::Dead {
            let mut slices = [IoSlice::new(&[]); SLICES_MAX];
            let mut filled = conn.queue.slices(&mut slices[..SLICES_MAX - 1]);
            let is_whole = filled < SLICES_MAX - 1;
            if is_whole && !cork.is_empty() {
                slices[filled] = IoSlice::new(cork);
                filled += 1;
            }
            if filled == 0 {
                return false;
            }
            let len: usize = slices[..filled].iter().map(|slice| slice.len()).sum();
            match write(&slices[..filled]) {
                Ok(0) => return true,
                Ok(n) => {
                    self.stats.bytes_out += n as u64;
                    let queued = conn.queue.bytes();
                    conn.queue.advance(n.min(queued));
                    if n > queued {
                        cork.drain(..n - queued);
                    }
                    conn.is_writable = n == len;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    conn.is_writable = false;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return true,
            }
        }
        false
    }
}
