//! What of an application's events is compressed in polling answers; with the feature only.
#![cfg(feature = "compression")]

#[path = "common/sio.rs"]
mod sio;

use emio::{AckError, OwnedArgs, Socket};
use sio::*;

#[test]
fn an_answer_is_compressed_unless_all_of_its_events_forbid_it() {
    let mut party = Party::new(|io| {
        io.on("go", |_, socket: Socket<'_, Log>, (how,): (String,)| {
            let long = "x".repeat(2_000);
            for step in how.split(' ') {
                match step {
                    "plain" => socket.emit("said", &*long),
                    "kept" => socket.compress(false).emit("said", &*long),
                    "asked" => socket.compress(false).timeout(ms(1_000)).emit_with_ack(
                        "said",
                        &*long,
                        |_: &mut Log, _: Socket<'_, Log>, _: Result<OwnedArgs, AckError>| {},
                    ),
                    "all" => socket.io().compress(false).emit("said", &*long),
                    "binary" => {
                        let data = emio::Bytes::from(vec![0; 2_000]);
                        socket.compress(false).emit("said", data)
                    }
                    _ => unreachable!("{step}"),
                }
            }
        });
    });
    let (guest, _) = party.enter(Via::Polling);
    let Guest::Polling(poller) = &guest else {
        unreachable!("it polls")
    };
    // Lets go the GET that waits, which takes no compressed answer.
    party.say(&guest, "2[\"go\",\"plain\"]");
    party.answers(poller.get);
    for (how, is_coded) in [
        ("plain", true),
        ("kept", false),
        ("asked", false),
        ("all", false),
        ("binary", false),
        ("kept all", false),
        ("kept plain", true),
    ] {
        let get = request("GET", &polling(&poller.sid), "Accept-Encoding: gzip\r\n");
        party.send(poller.get, get);
        party.say(&guest, &format!("2[\"go\",\"{how}\"]"));
        let answers = party.answers(poller.get);
        let coding = answers
            .last()
            .expect("an answer")
            .header("content-encoding");
        assert_eq!(coding.is_some(), is_coded, "{how}");
    }
    party.vanish();
}
