//! What handlers, timers and other threads asked for, done.

use std::{collections::VecDeque, time::Duration};

use super::{Crank, Timer, desk};
use crate::{
    app::{App, Cause, Problem},
    dispatch::Dispatch,
    engine::Engine,
    hub::{AckError, Applied},
    id::SocketKey,
    op::{Op, Payload, Select, Target},
    outbox::{TimerId, TimerOp},
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
            for op in sheet.recorded.ops.drain(..) {
                let awaits = awaits(&op);
                let room_of = room_of(&op);
                match self.hub.apply(op, &sheet.recorded.arena) {
                    Applied::Done => {}
                    Applied::FanOut => {
                        while self.hub.fan_out() {
                            flush(self.hub.engine_mut());
                        }
                    }
                    Applied::Awaiting(ack) => {
                        let then = awaits.and_then(|(_, index)| continuations[index].take());
                        self.continuations.extend(then.map(|then| (ack, then)));
                    }
                    Applied::Failed(error) => {
                        let Some((socket, index)) = awaits else {
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
                        sheet.problems.push(Problem {
                            event: None,
                            socket,
                            cause,
                        });
                    }
                }
            }
        }
        let unsent = sheet.unsent.drain(..);
        self.failed
            .extend(unsent.map(|(socket, then)| (socket, then, AckError::NotSent)));
        let timers = std::mem::take(&mut sheet.timers);
        let problems = std::mem::take(&mut sheet.problems);
        sheet.wipe();
        self.outbox.put_back(sheet);
        for timer in timers {
            self.apply_timer(timer);
        }
        for problem in problems {
            self.report(problem);
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
                    is_volatile: emission.is_volatile,
                    awaits: None,
                };
                self.hub.apply(op, &emission.json);
                while self.hub.fan_out() {
                    flush(self.hub.engine_mut());
                }
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
            } => self.set_timer(id, after, Timer::Once(namespace, run)),
            TimerOp::Every {
                id,
                namespace,
                period,
                run,
            } => {
                let period = period.max(PERIOD_MIN);
                self.set_timer(id, period, Timer::Every(namespace, period, run));
            }
            TimerOp::Clear(id) => {
                if let Some(deadline) = self.timer_deadlines.remove(&id) {
                    self.timers.remove(&(deadline, id));
                }
            }
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
            let desk = desk(&self.hub, &self.outbox, &self.post);
            match timer {
                Timer::Once(namespace, run) => {
                    run(&mut self.app, Io::new(desk, namespace));
                    self.apply(flush);
                }
                Timer::Every(namespace, period, mut run) => {
                    run(&mut self.app, Io::new(desk, namespace));
                    // It may clear itself, so it is set again before its wishes are done.
                    self.set_timer(id, period, Timer::Every(namespace, period, run));
                    self.apply(flush);
                }
            }
            self.dispatch(flush);
        }
    }
}

fn awaits(op: &Op) -> Option<(SocketKey, usize)> {
    match op {
        Op::Emit {
            to: Target::Socket(socket),
            awaits: Some(awaits),
            ..
        } => Some((*socket, awaits.continuation)),
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
const AFTER_MS_MAX: u64 = 100 * 366 * 24 * 3_600_000;

/// A shorter period would keep the loop from everything else.
const PERIOD_MIN: Duration = Duration::from_millis(1);
