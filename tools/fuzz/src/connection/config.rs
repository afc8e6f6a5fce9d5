//! Configurations, most of them with limits so small that they are met.

use std::time::Duration;

use emio::{Config, Cookie, Cors, InitialPacket, KeepHeaders, Overflow, Recovery, Volatile};

use crate::input::Input;

/// A configuration, and the options of its handlers.
pub fn configure(input: &mut Input<'_>) -> (Config, u8) {
    let (limits, options, handlers) = (input.byte(), input.byte(), input.byte());
    let mut config = Config {
        ping_interval: Duration::from_millis(300),
        ping_timeout: Duration::from_millis(200),
        serve_client: false,
        ..Config::default()
    };
    limit(&mut config, limits);
    choose(&mut config, options);
    (config, handlers)
}

fn limit(config: &mut Config, bits: u8) {
    let is = |bit: u8| bits & 1 << bit != 0;
    if is(0) {
        // Its files are hashed when a server is made, which takes a while.
        config.serve_client = is(1);
        config.allow_upgrades = is(1);
    }
    if is(2) {
        config.ping_interval = Duration::from_secs(25);
        config.ping_timeout = Duration::from_secs(20);
    }
    if is(3) {
        config.head_bytes_max = 400;
        config.max_payload = 300;
        config.packets_per_payload_max = 4;
        config.attachment_bytes_max = 40;
        config.attachments_max = 2;
    }
    if is(4) {
        config.backlog_bytes_max = 500;
        config.backlog_bytes_process_max = 2_000;
        config.packets_per_answer_max = 2;
    }
    if is(5) {
        config.overflow = Overflow::DropNewest;
    }
    if is(6) {
        config.incoming_bytes_max = 1_000;
        config.handshake_bytes_max = 600;
        config.sessions_max = 3;
        config.connections_per_ip_max = 5;
    }
    if is(7) {
        config.volatile = Volatile::Latest;
        config.inputs_per_turn_max = 2;
        config.sends_per_turn_max = 3;
    }
}

fn choose(config: &mut Config, bits: u8) {
    let is = |bit: u8| bits & 1 << bit != 0;
    if is(0) {
        config.recovery = Some(Recovery {
            duration: Duration::from_secs(5),
            skip_middlewares: is(1),
            log_bytes_max: 500,
            sessions_max: 2,
        });
    }
    if is(2) {
        config.keep_headers = match is(3) {
            true => KeepHeaders::All,
            false => KeepHeaders::Named(vec!["cookie".to_owned()]),
        };
    }
    if is(4) {
        config.rooms_per_socket_max = 2;
        config.pending_acks_max = 2;
        config.joining_packets_max = 2;
        config.namespaces_per_client_max = 2;
        config.dynamic_namespaces_max = 1;
        config.name_bytes_max = 10;
        config.json_depth_max = 4;
        config.mailbox_max = 2;
    }
    if is(5) {
        config.cors = Some(Cors::origins(["http://here"]));
        config.cookie = Some(Cookie::default());
        config.headers = vec![("X-Every".to_owned(), "answer".to_owned())];
    }
    if is(6) {
        config.initial_packet = Some(InitialPacket::from("hello"));
    }
    if is(7) {
        config.compression_threshold = Some(20);
    }
}
