//! Connections that somebody else accepted, on their way to the loop: emio beside another HTTP
//! server or listener.
//!
//! Not here: how they are served (`net`). What always holds: a stream that is refused is given back
//! as it was.

use std::{error, fmt, net::TcpStream, os::unix::net::UnixStream};

use crate::{engine::READ_BYTES, token::HandleError};

/// A connection that was accepted elsewhere, and what was read from it there.
#[derive(Debug)]
pub struct Adopted {
    /// The connection, at the byte behind `bytes_read`.
    pub stream: AdoptedStream,
    /// What was read from it and not answered; in the usual case a request's head.
    pub bytes_read: Vec<u8>,
}

impl Adopted {
    /// Refuses more than a server reads at once.
    pub(crate) fn new(
        stream: impl Into<AdoptedStream>,
        bytes_read: Vec<u8>,
    ) -> Result<Adopted, AdoptError> {
        let stream = stream.into();
        let adopted = Adopted { stream, bytes_read };
        if adopted.bytes_read.len() > READ_BYTES {
            let cause = HandleError::ReadTooMuch;
            return Err(AdoptError { cause, adopted });
        }
        Ok(adopted)
    }
}

/// A stream of the standard library.
#[derive(Debug)]
pub enum AdoptedStream {
    /// Over TCP.
    Tcp(TcpStream),
    /// Over a Unix domain socket; its client has the address 127.0.0.1.
    Unix(UnixStream),
}

impl From<TcpStream> for AdoptedStream {
    fn from(stream: TcpStream) -> AdoptedStream {
        AdoptedStream::Tcp(stream)
    }
}

impl From<UnixStream> for AdoptedStream {
    fn from(stream: UnixStream) -> AdoptedStream {
        AdoptedStream::Unix(stream)
    }
}

/// Why a connection was not adopted. It is given back.
#[derive(Debug)]
pub struct AdoptError {
    /// The reason.
    pub cause: HandleError,
    /// What was to be adopted, unchanged.
    pub adopted: Adopted,
}

impl fmt::Display for AdoptError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the connection was not adopted: {}", self.cause)
    }
}

impl error::Error for AdoptError {}
