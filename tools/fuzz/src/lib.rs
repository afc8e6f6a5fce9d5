//! What the fuzz targets call that needs no more than the API of emio, or a package that emio
//! itself does without: oracles, and a server in memory. The targets of single codecs are in
//! `emio::fuzzing`.
//!
//! What always holds: any input is fine, the same input does the same, and a promise that is not
//! kept is a panic.

mod app;
mod args;
mod connection;
mod http;
mod input;
mod operations;
mod wire;
mod world;
mod ws;

pub use self::{
    args::args,
    connection::connection,
    http::{http_body, http_connection},
    operations::operations,
    ws::ws_frames,
};
