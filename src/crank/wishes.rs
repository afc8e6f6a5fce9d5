//! What handlers, timers and other threads asked for, done.

use std::{collections::VecDeque, ops::Range, time::Duration};

use super::{Crank, Place, Timer, desk};
use crate::{
    app::{App, Cause, Problem},
    args::Args,
    codec::{json::Bytes, sio},
    dispatch::Dispatch,
    engine::Engine,
    hub::{AckError, Applied},
    id::{NamespaceKey, SocketKey},
    op::{Op, Payload, Select, Target},
    outbox::{Soon, TimerId, TimerOp},
    to::Io,
    token::Errand,
};

// What was asked for.
impl<A: App> Crank<A> {
    /// Does what the handler that has just returned wrote down.
    pub(super) fn apply(&mut self, flush: &mut dyn FnMut(&mut Engine)) {
        let mut sheet = self.outbox.take();
        if !sheet.is_empty() {
            let mut continuations: Vec<_> = sheet.continuations.drain(..).map(Some).collect();
            let mut gatherings: Vec<_> = sheet.gatherings.drain(..).map(Some).collect();
            for op in sheet.recorded.ops.drain(..) {
                let awaits = awaits(&op);
                let room_of = room_of(&op);
                let outgoing = self.outgoing(&op);
                match self.hub.apply(op, &sheet.recorded.arena) {
                    Applied::Done => {}
                    Applied::Dropped => continue,
                    Applied::FanOut(ack) => {
                        let index = awaits.map(|(_, index)| index);
                        let then = index.and_then(|index| gatherings[index].take());
                        self.gatherings.extend(ack.zip(then));
                        self.fan_out(outgoing.as_ref(), &sheet.recorded.arena, flush);
                        continue;
                    }
                    Applied::Awaiting(ack) => {
                        let then = awaits.and_then(|(_, index)| continuations[index].take());
                        self.continuations.extend(then.map(|then| (ack, then)));
                    }
                    Applied::Failed(error) => {
                        let Some((Some(socket), index)) = awaits else {
                            continue;
                        };
                        let then = continuations[index].take();
                        self.failed.extend(then.map(|then| (socket, then, error)));
                    }
                    refused @ (Applied::RoomsFull | Applied::RoomName) => {
                        let cause = match refused {
                            Applied::RoomName => Cause::RoomName,
                            _ => Cause::RoomsFull,
                        };
                        let socket = room_of.map(|socket| self.hub.id(socket));
                        let problem = Problem {
                            event: None,
                            socket,
                            cause,
                        };
                        sheet.problems.push((None, problem));
                    }
                }
                if let Some(outgoing) = outgoing {
                    self.tell_outgoing(&outgoing, &sheet.recorded.arena);
                }
            }
        }
        let unsent = sheet.unsent.drain(..);
        self.failed
            .extend(unsent.map(|(socket, then)| (socket, then, AckError::NotSent)));
        for soon in sheet.soon.drain(..) {
            let namespace = match &soon {
                Soon::Fetched(to, _) => to.namespace(),
                Soon::Gathered(gathered, _) => Some(gathered.namespace),
            };
            let place = namespace.map(|namespace| self.place(namespace));
            self.soon.extend(place.map(|place| (place, soon)));
        }
        #[cfg(feature = "stream")]
        self.streams.queue.extend(sheet.streams.drain(..));
        let timers = std::mem::take(&mut sheet.timers);
        let problems = std::mem::take(&mut sheet.problems);
        sheet.wipe();
        self.outbox.put_back(sheet);
        for timer in timers {
            self.apply_timer(timer);
        }
        for (about, problem) in problems {
            let about = about.filter(|key| self.hub.is_connected(*key));
            let socket = about.map(|key| self.hub.id(key)).or(problem.socket);
            self.report(Problem { socket, ..problem }, flush);
        }
    }

    /// Sends the broadcast that has begun, some hundred receivers at a time.
    fn fan_out(
        &mut self,
        outgoing: Option<&Outgoing>,
        arena: &[u8],
        flush: &mut dyn FnMut(&mut Engine),
    ) {
        let mut receivers = Vec::new();
        loop {
            let wanted = outgoing.is_some().then_some(&mut receivers);
            let has_more = self.hub.fan_out(wanted);
            if let Some(outgoing) = outgoing {
                for socket in receivers.drain(..) {
                    let outgoing = Outgoing {
                        socket: Some(socket),
                        ..outgoing.clone()
                    };
                    self.tell_outgoing(&outgoing, arena);
                }
            }
            if !has_more {
                return;
            }
            flush(self.hub.engine_mut());
        }
    }

    /// What those who hear everything that is sent are to be told of this operation, if there are
    /// any.
    fn outgoing(&self, op: &Op) -> Option<Outgoing> {
        let Op::Emit { to, payload, .. } = op else {
            return None;
        };
        let (socket, namespace) = match to {
            Target::Socket(socket) if self.hub.is_connected(*socket) => {
                (Some(*socket), self.hub.namespace(*socket))
            }
            to => (None, to.namespace()?),
        };
        let tag = self.hub.tag(namespace) as usize;
        if self.definitions[tag].any_outgoing.is_empty() {
            return None;
        }
        Some(Outgoing {
            tag,
            socket,
            json: payload.json.clone(),
            attachments: payload.attachments.clone(),
        })
    }

    fn tell_outgoing(&mut self, outgoing: &Outgoing, arena: &[u8]) {
        let Some(socket) = outgoing.socket else {
            return;
        };
        let json = std::str::from_utf8(&arena[outgoing.json.clone()]);
        let Ok((name, elements)) = sio::split_event(json.unwrap_or_default()) else {
            return;
        };
        let id = self.hub.id(socket);
        for hook in &mut self.definitions[outgoing.tag].any_outgoing {
            let args = Args::new(elements, &outgoing.attachments);
            hook(&mut self.app, id, &name, args);
        }
    }

    pub(super) fn run_errand(&mut self, errand: Errand, flush: &mut dyn FnMut(&mut Engine)) {
        match errand {
            Errand::Emit(emission) => {
                let Some(namespace) = self.hub.namespace_key(&emission.namespace) else {
                    return;
                };
                let (rooms, except) = (emission.rooms, emission.except);
                let select = Select {
                    namespace,
                    rooms,
                    except,
                    except_socket: None,
                };
                let json = 0..emission.json.len();
                let payload = Payload {
                    json,
                    attachments: emission.attachments,
                };
                let op = Op::Emit {
                    to: Target::Select(Box::new(select)),
                    payload,
                    flags: emission.flags,
                    awaits: None,
                };
                let outgoing = self.outgoing(&op);
                self.hub.apply(op, &emission.json);
                self.fan_out(outgoing.as_ref(), &emission.json, flush);
            }
            Errand::Reply {
                to,
                ack,
                json,
                attachments,
            } => {
                let payload = Payload {
                    json: 0..json.len(),
                    attachments,
                };
                self.hub.apply(Op::Reply { to, ack, payload }, &json);
            }
            Errand::Join { socket, verdict } => {
                let Some(socket) = self.hub.resolve(socket) else {
                    return;
                };
                let Some(step) = self.judging.remove(&socket) else {
                    return;
                };
                match verdict {
                    Ok(()) => self.judge(socket, step, flush),
                    Err(refusal) => self.refuse(socket, &refusal),
                }
            }
            Errand::Open {
                conn,
                serial,
                verdict,
            } => {
                let verdict = verdict
                    .as_ref()
                    .copied()
                    .map_err(|refusal| &*refusal.message);
                self.conclude(conn, serial, verdict);
            }
            Errand::Respond {
                conn,
                serial,
                response,
            } => {
                self.hub.engine_mut().respond(conn, serial, response);
            }
            Errand::Close => self.close(),
            Errand::Shutdown(grace) => self.shutdown(grace),
        }
    }

    pub(super) fn apply_timers(&mut self) {
        let mut sheet = self.outbox.take();
        let timers = std::mem::take(&mut sheet.timers);
        self.outbox.put_back(sheet);
        for timer in timers {
            self.apply_timer(timer);
        }
    }

    pub(super) fn apply_timer(&mut self, op: TimerOp<A>) {
        match op {
            TimerOp::Once {
                id,
                namespace,
                after,
                run,
            } => {
                let place = self.place(namespace);
                self.set_timer(id, after, Timer::Once(place, run));
            }
            TimerOp::Every {
                id,
                namespace,
                period,
                run,
            } => {
                let period = period.max(PERIOD_MIN);
                let place = self.place(namespace);
                self.set_timer(id, period, Timer::Every(place, period, run));
            }
            TimerOp::Clear(id) => {
                if let Some(deadline) = self.timer_deadlines.remove(&id) {
                    self.timers.remove(&(deadline, id));
                }
            }
        }
    }

    /// Whether a namespace is still the one that was meant.
    pub(super) fn is_there(&self, place: Place) -> bool {
        self.hub.generation(place.namespace) == place.generation
    }

    pub(super) fn place(&self, namespace: NamespaceKey) -> Place {
        let generation = self.hub.generation(namespace);
        Place {
            namespace,
            generation,
        }
    }

    pub(super) fn set_timer(&mut self, id: TimerId, after: Duration, timer: Timer<A>) {
        let after =
            u64::try_from(after.as_millis()).map_or(AFTER_MS_MAX, |ms| ms.min(AFTER_MS_MAX));
        let deadline = self.hub.engine().now_ms() + after;
        self.timer_deadlines.insert(id, deadline);
        self.timers.insert((deadline, id), timer);
    }

    /// Runs the timers that are due now; those they set wait for the next turn.
    pub(super) fn run_timers(&mut self, flush: &mut dyn FnMut(&mut Engine)) {
        let now = self.hub.engine().now_ms();
        let mut due = VecDeque::new();
        while let Some(entry) = self
            .timers
            .first_entry()
            .filter(|entry| entry.key().0 <= now)
        {
            due.push_back(entry.remove_entry());
        }
        while let Some(((deadline, id), timer)) = due.pop_front() {
            // One that ran before may have cleared it.
            if self.timer_deadlines.get(&id) != Some(&deadline) {
                continue;
            }
            self.timer_deadlines.remove(&id);
            let (Timer::Once(place, _) | Timer::Every(place, ..)) = &timer;
            let place = *place;
            if !self.is_there(place) {
                continue;
            }
            let desk = desk(&self.hub, &self.outbox, &self.post);
            let io = Io::new(desk, place.namespace);
            match timer {
                Timer::Once(_, run) => {
                    run(&mut self.app, io);
                    self.apply(flush);
                }
                Timer::Every(_, period, mut run) => {
                    run(&mut self.app, io);
                    // It may clear itself, so it is set again before its wishes are done.
                    self.set_timer(id, period, Timer::Every(place, period, run));
                    self.apply(flush);
                }
            }
            self.dispatch(flush);
        }
    }
}

/// An event on its way out, for those who hear all of them. Its JSON is a span of the arena.
#[derive(Clone)]
struct Outgoing {
    tag: usize,
    socket: Option<SocketKey>,
    json: Range<usize>,
    attachments: Vec<Bytes>,
}

/// Whose answer an operation awaits, if it is one socket's, and where its continuation is.
fn awaits(op: &Op) -> Option<(Option<SocketKey>, usize)> {
    match op {
        Op::Emit {
            to,
            awaits: Some(awaits),
            ..
        } => {
            let socket = match to {
                Target::Socket(socket) => Some(*socket),
                _ => None,
            };
            Some((socket, awaits.continuation))
        }
        _ => None,
    }
}

fn room_of(op: &Op) -> Option<SocketKey> {
    match op {
        Op::Join { socket, .. } => Some(*socket),
        _ => None,
    }
}

/// A later timer is never reached anyway; a century.
pub(super) const AFTER_MS_MAX: u64 = 100 * 366 * 24 * 3_600_000;

/// A shorter period would keep the loop from everything else.
const PERIOD_MIN: Duration = Duration::from_millis(1);
