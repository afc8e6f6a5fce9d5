//! socketioxide as its documentation shows it, with the events of emio's `bench-server`.
//! Not here: tuning. Default configuration and allocator, one thread, TCP_NODELAY as the others.

use std::{
    env, io,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use axum::{Router, serve::ListenerExt};
use serde_json::Value;
use socketioxide::{
    SocketIo,
    extract::{AckSender, Data, SocketRef},
};

fn main() -> io::Result<()> {
    let port = env::args().nth(1).and_then(|port| port.parse::<u16>().ok());
    let Some(port) = port else {
        return Err(io::Error::other("usage: oxide PORT"));
    };
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?
        .block_on(serve(port))
}

async fn serve(port: u16) -> io::Result<()> {
    let (layer, io) = SocketIo::new_layer();
    let count = Arc::new(AtomicU64::new(0));
    io.ns("/", async move |socket: SocketRef| {
        register(&socket, &count)
    });
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await?;
    println!("listening on {}", listener.local_addr()?);
    let listener = listener.tap_io(|stream| {
        let _ = stream.set_nodelay(true);
    });
    axum::serve(listener, Router::new().layer(layer)).await
}

fn register(socket: &SocketRef, count: &Arc<AtomicU64>) {
    let counter = count.clone();
    socket.on(
        "echo",
        async move |socket: SocketRef, Data::<Value>(data)| {
            counter.fetch_add(1, Ordering::Relaxed);
            let _ = socket.emit("echo", &data);
        },
    );
    let counter = count.clone();
    socket.on("ack", async move |Data::<Value>(data), ack: AckSender| {
        counter.fetch_add(1, Ordering::Relaxed);
        let _ = ack.send(&data);
    });
    let counter = count.clone();
    socket.on(
        "broadcast",
        async move |io: SocketIo, Data::<Value>(data)| {
            counter.fetch_add(1, Ordering::Relaxed);
            let _ = io.emit("broadcast", &data).await;
        },
    );
    let counter = count.clone();
    socket.on("count", async move |ack: AckSender| {
        let _ = ack.send(&(counter.fetch_add(1, Ordering::Relaxed) + 1));
    });
}
