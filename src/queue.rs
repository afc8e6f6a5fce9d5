//! Bytes that wait for the wire: shared frames, and the queue of a connection or a polling session.
//!
//! Not here: who writes them, and what happens when a limit is passed. What always holds: an empty
//! queue owns no heap, a queued frame costs a pointer however many receive it, and the process-wide
//! gauge counts each living frame once.

use std::{
    collections::VecDeque,
    io::IoSlice,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use crate::codec::ws;

/// Bytes ready for the wire, shared by all who are to receive them: a WebSocket frame with its
/// header (polling receivers use the part behind it), or a piece of an HTTP answer.
#[derive(Clone, Debug)]
pub struct Frame(Arc<Bytes>);

#[derive(Debug)]
struct Bytes {
    bytes: Source,
    gauge: Gauge,
}

/// Where a frame's bytes are.
#[derive(Debug)]
enum Source {
    /// Made for it; counted.
    Owned(Vec<u8>),
    /// The application's, which holds them anyway.
    Shared(Arc<[u8]>),
    Static(&'static [u8]),
}

impl Frame {
    /// Takes `bytes`, which `gauge` counts until the last clone is gone.
    pub fn new(bytes: Vec<u8>, gauge: &Gauge) -> Frame {
        Frame::of(Source::Owned(bytes), gauge)
    }

    /// Refers to bytes of the application.
    pub fn shared(bytes: Arc<[u8]>, gauge: &Gauge) -> Frame {
        Frame::of(Source::Shared(bytes), gauge)
    }

    /// Refers to bytes of the program.
    pub fn fixed(bytes: &'static [u8], gauge: &Gauge) -> Frame {
        Frame::of(Source::Static(bytes), gauge)
    }

    fn of(bytes: Source, gauge: &Gauge) -> Frame {
        gauge.0.fetch_add(bytes.cost(), Relaxed);
        let gauge = gauge.clone();
        Frame(Arc::new(Bytes { bytes, gauge }))
    }

    /// All bytes, as a WebSocket or an HTTP connection carries them.
    pub fn bytes(&self) -> &[u8] {
        match &self.0.bytes {
            Source::Owned(bytes) => bytes,
            Source::Shared(bytes) => bytes,
            Source::Static(bytes) => bytes,
        }
    }

    /// What a WebSocket frame carries, for receivers that poll.
    pub fn payload(&self) -> &[u8] {
        ws::payload_of(self.bytes())
    }

    /// Whether a WebSocket frame carries a binary message.
    pub fn is_binary(&self) -> bool {
        ws::is_binary(self.bytes())
    }

    /// Whether a polling answer with this frame may be compressed.
    pub fn is_compressible(&self) -> bool {
        true
    }

    /// Appends what `put` writes, if nobody else has this frame and it is small; how much that was.
    fn grow(&mut self, put: &mut dyn FnMut(&mut Vec<u8>)) -> Option<usize> {
        let Bytes { bytes, gauge } = Arc::get_mut(&mut self.0)?;
        let Source::Owned(bytes) = bytes else {
            return None;
        };
        let before = bytes.len();
        if before >= FRAME_BYTES_GROWN {
            return None;
        }
        put(bytes);
        let grown = bytes.len() - before;
        gauge.0.fetch_add(grown as u64, Relaxed);
        Some(grown)
    }
}

impl Source {
    /// What the frame makes the process hold.
    fn cost(&self) -> u64 {
        let bytes = match self {
            Source::Owned(bytes) => bytes.len(),
            Source::Shared(_) | Source::Static(_) => 0,
        };
        (bytes + FRAME_COST) as u64
    }
}

impl Drop for Bytes {
    fn drop(&mut self) {
        self.gauge.0.fetch_sub(self.bytes.cost(), Relaxed);
    }
}

/// How many bytes of frames are alive, with what each costs by itself. Frames may be dropped on
/// another thread, hence the atomic.
#[derive(Clone, Debug, Default)]
pub struct Gauge(Arc<AtomicU64>);

impl Gauge {
    pub fn bytes(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// Frames in the order in which they leave.
#[derive(Debug, Default)]
pub enum Queue {
    /// Nothing waits.
    #[default]
    Idle,
    /// One whole frame waits: what a broadcast leaves until the connection's turn to be flushed.
    One(Frame),
    /// A backlog. The box is given back as soon as it is empty.
    Many(Box<Backlog>),
}

/// Several frames, or one that was written in part.
#[derive(Debug, Default)]
pub struct Backlog {
    frames: VecDeque<Frame>,
    bytes: usize,
    /// How much of the first frame is written.
    written: usize,
}

impl Queue {
    pub fn is_empty(&self) -> bool {
        matches!(self, Queue::Idle)
    }

    /// Bytes not yet written.
    pub fn bytes(&self) -> usize {
        match self {
            Queue::Idle => 0,
            Queue::One(frame) => frame.bytes().len(),
            Queue::Many(backlog) => backlog.bytes - backlog.written,
        }
    }

    /// Bytes not yet written, and what each frame costs by itself: what limits look at, so that
    /// many small messages are not cheaper than they are.
    pub fn cost(&self) -> usize {
        let frames_count = match self {
            Queue::Idle => 0,
            Queue::One(_) => 1,
            Queue::Many(backlog) => backlog.frames.len(),
        };
        self.bytes() + frames_count * FRAME_COST
    }

    /// Appends to the last frame of a backlog what `put` writes; `false` if that cannot be.
    pub fn grow(&mut self, put: &mut dyn FnMut(&mut Vec<u8>)) -> bool {
        let Queue::Many(backlog) = self else {
            return false;
        };
        let grown = backlog.frames.back_mut().and_then(|last| last.grow(put));
        backlog.bytes += grown.unwrap_or(0);
        grown.is_some()
    }

    /// Appends a frame; an empty one leaves no trace.
    pub fn push(&mut self, frame: Frame) {
        if frame.bytes().is_empty() {
            return;
        }
        match std::mem::take(self) {
            Queue::Idle => *self = Queue::One(frame),
            Queue::One(first) => {
                let bytes = first.bytes().len() + frame.bytes().len();
                let frames = VecDeque::from([first, frame]);
                *self = Queue::Many(Box::new(Backlog {
                    frames,
                    bytes,
                    written: 0,
                }));
            }
            Queue::Many(mut backlog) => {
                backlog.bytes += frame.bytes().len();
                backlog.frames.push_back(frame);
                *self = Queue::Many(backlog);
            }
        }
    }

    /// Takes the first frame whole. Only for queues that are never written in part, or will not be
    /// written any more.
    pub fn pop(&mut self) -> Option<Frame> {
        match std::mem::take(self) {
            Queue::Idle => None,
            Queue::One(frame) => Some(frame),
            Queue::Many(mut backlog) => {
                let frame = backlog.frames.pop_front()?;
                backlog.bytes -= frame.bytes().len();
                if !backlog.frames.is_empty() {
                    *self = Queue::Many(backlog);
                }
                Some(frame)
            }
        }
    }

    /// Fills `slices` with what waits, first things first; returns how many were filled.
    pub fn slices<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        match self {
            Queue::Idle => 0,
            Queue::One(frame) => {
                slices[0] = IoSlice::new(frame.bytes());
                1
            }
            Queue::Many(backlog) => {
                let mut skip = backlog.written;
                let mut filled = 0;
                for (slot, frame) in slices.iter_mut().zip(&backlog.frames) {
                    *slot = IoSlice::new(&frame.bytes()[skip..]);
                    skip = 0;
                    filled += 1;
                }
                filled
            }
        }
    }

    /// Forgets the first `written` bytes, which have left. `written` is at most `bytes()`.
    pub fn advance(&mut self, written: usize) {
        match std::mem::take(self) {
            Queue::Idle => debug_assert_eq!(written, 0),
            Queue::One(frame) => {
                let bytes = frame.bytes().len();
                if written < bytes {
                    let frames = VecDeque::from([frame]);
                    *self = Queue::Many(Box::new(Backlog {
                        frames,
                        bytes,
                        written,
                    }));
                }
            }
            Queue::Many(mut backlog) => {
                backlog.written += written;
                while let Some(first) = backlog.frames.front() {
                    let bytes = first.bytes().len();
                    if backlog.written < bytes {
                        break;
                    }
                    backlog.written -= bytes;
                    backlog.bytes -= bytes;
                    backlog.frames.pop_front();
                }
                if !backlog.frames.is_empty() {
                    *self = Queue::Many(backlog);
                }
            }
        }
    }
}

/// What a queued frame costs beside its bytes: its box, two counters, its place in the queue.
const FRAME_COST: usize = 96;

/// A frame of fewer bytes takes the next message of its connection as well.
const FRAME_BYTES_GROWN: usize = 4 * 1024;

const _: () = assert!(
    size_of::<Queue>() == 16,
    "every connection and session has a queue"
);

#[cfg(test)]
mod tests {
    use super::*;

    fn written(queue: &Queue) -> Vec<u8> {
        let mut slices = [IoSlice::new(b""); 8];
        let n = queue.slices(&mut slices);
        slices[..n]
            .iter()
            .flat_map(|slice| slice.to_vec())
            .collect()
    }

    #[test]
    fn frames_leave_in_order_however_the_writes_are_cut() {
        let gauge = Gauge::default();
        for step in 1..8 {
            let mut queue = Queue::Idle;
            for text in ["abc", "", "defg", "h"] {
                queue.push(Frame::new(text.into(), &gauge));
            }
            assert_eq!(queue.bytes(), 8);
            let mut out = Vec::new();
            while !queue.is_empty() {
                let n = step.min(queue.bytes());
                out.extend_from_slice(&written(&queue)[..n]);
                queue.advance(n);
            }
            assert_eq!(out, b"abcdefgh", "in steps of {step}");
            assert_eq!(queue.bytes(), 0);
        }
        assert_eq!(gauge.bytes(), 0, "every frame was counted out");
    }

    #[test]
    fn small_messages_share_the_last_frame_of_a_backlog() {
        let gauge = Gauge::default();
        let mut queue = Queue::Idle;
        let mut put = |out: &mut Vec<u8>| out.extend_from_slice(b"xy");
        assert!(!queue.grow(&mut put), "nothing waits");
        for text in ["ab", "cd"] {
            queue.push(Frame::new(text.into(), &gauge));
        }
        assert!(queue.grow(&mut put));
        assert_eq!(written(&queue), b"abcdxy");
        assert_eq!((queue.bytes(), queue.cost()), (6, 6 + 2 * FRAME_COST));
        queue.push(Frame::fixed(b"fixed", &gauge));
        assert!(!queue.grow(&mut put), "it is not ours to write to");
        queue.advance(11);
        assert_eq!(gauge.bytes(), 0);
    }

    #[test]
    fn a_shared_frame_is_counted_once() {
        let gauge = Gauge::default();
        let frame = Frame::new(vec![0; 100], &gauge);
        let mut queues = [Queue::Idle, Queue::Idle];
        for queue in &mut queues {
            queue.push(frame.clone());
        }
        drop(frame);
        assert_eq!(gauge.bytes(), (100 + FRAME_COST) as u64);
        drop(queues);
        assert_eq!(gauge.bytes(), 0);
    }
}
