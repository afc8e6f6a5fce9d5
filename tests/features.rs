//! What the official server offers, row by row, and the tests that show it here.

/// A row of the feature table, and the tests that are about it, as `file::name`.
type Row = (&'static str, &'static [&'static str]);

/// What every host of the protocol has to offer: the server's options.
const OPTIONS: &[Row] = &[
    (
        "path",
        &["engine_http::wire_1_1_every_target_with_the_path_in_front_is_the_protocols"],
    ),
    (
        "addTrailingSlash",
        &["engine_http::wire_1_1_every_target_with_the_path_in_front_is_the_protocols"],
    ),
    (
        "serveClient",
        &["client_files::the_client_is_not_served_if_that_is_off"],
    ),
    (
        "parser",
        &["sio_namespaces::packets_may_be_written_otherwise"],
    ),
    (
        "connectTimeout",
        &["sio_lifecycle::a_client_has_so_much_time_to_join_a_namespace"],
    ),
    (
        "connectionStateRecovery",
        &["sio_recovery::wire_2_9_4_who_comes_back_has_its_id_rooms_and_data_and_what_it_missed"],
    ),
    (
        "cleanupEmptyChildNamespaces",
        &["sio_namespaces::a_dynamic_namespace_that_everyone_has_left_is_forgotten"],
    ),
    (
        "pingInterval",
        &["engine_polling::wire_2_4_the_server_pings_and_only_a_pong_counts"],
    ),
    (
        "pingTimeout",
        &["engine_polling::wire_2_4_an_interval_shorter_than_the_timeout_still_waits_the_timeout"],
    ),
    (
        "upgradeTimeout",
        &["engine_upgrade::wire_2_3_3_the_time_for_an_upgrade_counts_from_its_101"],
    ),
    (
        "maxHttpBufferSize",
        &[
            "engine_limits::a_body_beyond_its_bytes_is_a_413_however_it_is_announced",
            "engine_websocket::wire_2_2_2_a_message_that_is_too_large_closes_with_1009",
        ],
    ),
    (
        "allowRequest",
        &[
            "http_app::allow_request_judges_every_handshake",
            "http_app::allow_request_may_think",
        ],
    ),
    (
        "transports",
        &["engine_http::wire_1_7_a_transport_that_is_switched_off_is_unknown"],
    ),
    (
        "allowUpgrades",
        &[
            "engine_polling::wire_2_1_4_no_upgrade_is_offered_where_none_is_allowed",
            "engine_upgrade::upgrades_that_are_not_offered_are_honoured",
        ],
    ),
    (
        "httpCompression",
        &["engine_compression::a_long_payload_is_written_as_the_client_takes_it"],
    ),
    (
        "initialPacket",
        &["engine_options::wire_1_1_the_initial_packet_follows_the_open_packet"],
    ),
    (
        "cookie",
        &["engine_options::wire_1_1_the_cookie_comes_with_the_polling_handshake_only"],
    ),
    (
        "cors",
        &["engine_http::wire_1_8_any_options_is_a_preflight"],
    ),
    (
        "maxBackpressure",
        &["engine_limits::a_websocket_with_too_large_a_backlog_is_dropped"],
    ),
];

const SERVER: &[Row] = &[
    (
        "new Server, listen",
        &["lifetime::several_listeners_serve_one_application"],
    ),
    (
        "attach",
        &["examples::another_http_server_hands_connections_over"],
    ),
    (
        "of(name)",
        &["sio_rooms::io_knows_its_sockets_and_other_namespaces"],
    ),
    (
        "of(RegExp), of(fn)",
        &[
            "sio_namespaces::a_namespace_comes_to_be_when_a_client_asks_for_it",
            "sio_namespaces::a_parent_knows_its_namespaces_by_name_and_request",
        ],
    ),
    (
        "use",
        &["handlers::middleware_is_a_chain_of_quick_and_slow"],
    ),
    (
        "sockets",
        &["sio_rooms::io_knows_its_sockets_and_other_namespaces"],
    ),
    (
        "to, in, except",
        &["sio_rooms::wire_2_8_2_whom_operators_mean"],
    ),
    (
        "emit, send",
        &["sio_operators::the_event_message_has_a_method_of_its_own"],
    ),
    (
        "emitWithAck",
        &["sio_operators::wire_2_7_5_a_broadcast_gathers_the_first_argument_of_each_answer"],
    ),
    (
        "serverSideEmit, serverSideEmitWithAck",
        &["sio_operators::other_nodes_are_told_nothing_as_long_as_there_are_none"],
    ),
    (
        "fetchSockets",
        &["sio_operators::the_sockets_that_are_meant_can_be_asked_for"],
    ),
    (
        "socketsJoin, socketsLeave",
        &["sio_operators::many_sockets_join_and_leave_rooms_at_once"],
    ),
    (
        "disconnectSockets",
        &["sio_operators::many_sockets_are_disconnected_at_once"],
    ),
    (
        "close",
        &["sio_lifecycle::server_shutting_down_without_a_packet"],
    ),
    (
        "event connection",
        &["sio_packets::wire_2_6_13_connect_is_written_before_the_handler_emits"],
    ),
    (
        "event new_namespace",
        &["sio_namespaces::a_namespace_comes_to_be_when_a_client_asks_for_it"],
    ),
    (
        "ParentNamespace",
        &["sio_namespaces::everyone_below_a_parent_can_be_reached"],
    ),
];

const OPERATORS: &[Row] = &[
    (
        "to(rooms), in",
        &["sio_operators::a_room_may_be_named_in_many_ways"],
    ),
    ("except", &["sio_rooms::wire_2_8_2_whom_operators_mean"]),
    (
        "compress",
        &["sio_compression::an_answer_is_compressed_unless_all_of_its_events_forbid_it"],
    ),
    (
        "volatile",
        &[
            "sio_rooms::wire_2_8_4_volatile_is_lost_for_a_client_that_polls_without_a_get",
            "sio_rooms::wire_2_8_4_volatile_is_lost_for_a_websocket_with_a_backlog",
        ],
    ),
    (
        "timeout",
        &["sio_operators::a_broadcast_that_is_not_answered_in_time_tells_what_came"],
    ),
    (
        "emit of a reserved name",
        &["handlers::errors_go_to_the_hook_and_the_connection_lives"],
    ),
    (
        "emitWithAck to nobody",
        &["sio_operators::wire_2_7_6_nobody_to_ask_is_an_empty_list_at_once"],
    ),
    (
        "emitWithAck and who leaves",
        &["sio_operators::wire_2_7_8_one_who_leaves_is_not_waited_for"],
    ),
    (
        "RemoteSocket",
        &["sio_operators::what_a_socket_shares_of_its_data_is_what_others_see"],
    ),
];

const SOCKET: &[Row] = &[
    (
        "id",
        &["sio_lifecycle::ids_are_not_sids_and_differ_by_namespace"],
    ),
    (
        "connected",
        &["handlers::a_socket_can_be_asked_between_turns"],
    ),
    (
        "recovered",
        &["sio_regressions::a_socket_that_came_back_knows_it_to_its_end"],
    ),
    (
        "handshake",
        &["sio_lifecycle::the_handshake_is_there_until_a_namespace_is_joined"],
    ),
    (
        "data",
        &["sio_lifecycle::data_live_as_long_as_their_socket"],
    ),
    ("rooms", &["sio_rooms::a_handler_sees_its_own_joins"]),
    ("on", &["handlers::arguments_are_taken_by_type"]),
    (
        "onAny",
        &["sio_namespaces::who_hears_everything_may_answer_or_end_the_socket_before_its_handler"],
    ),
    (
        "onAnyOutgoing",
        &["sio_namespaces::everything_that_is_sent_can_be_heard"],
    ),
    (
        "use",
        &["sio_namespaces::event_middleware_is_asked_about_each_packet_and_may_drop_it"],
    ),
    (
        "emit with ack",
        &["sio_acks::wire_2_7_2_one_counter_for_all_sockets_of_a_namespace"],
    ),
    (
        "timeout",
        &["sio_acks::wire_2_7_4_an_answer_or_a_timeout_but_not_both"],
    ),
    (
        "the ack callback",
        &["sio_acks::wire_2_7_1_one_event_gets_one_answer"],
    ),
    (
        "send",
        &["sio_operators::the_event_message_has_a_method_of_its_own"],
    ),
    (
        "join, leave",
        &["sio_rooms::a_room_lasts_from_its_first_member_to_its_last"],
    ),
    (
        "to, in, except, broadcast",
        &["sio_rooms::wire_2_8_2_whom_operators_mean"],
    ),
    (
        "volatile",
        &["sio_packets::wire_2_6_9_volatile_drops_a_packet_with_its_attachments"],
    ),
    (
        "compress",
        &["sio_compression::an_answer_is_compressed_unless_all_of_its_events_forbid_it"],
    ),
    (
        "disconnect",
        &["sio_lifecycle::the_namespace_is_ended_by_the_server"],
    ),
    (
        "disconnect(true)",
        &["sio_lifecycle::with_close_every_namespace_is_ended_and_the_connection"],
    ),
    (
        "events disconnecting, disconnect",
        &["sio_packets::wire_2_6_16_first_disconnecting_with_rooms_then_disconnect_without"],
    ),
    (
        "event error",
        &["sio_namespaces::an_error_hook_of_a_namespace_is_told_before_that_of_the_server"],
    ),
    (
        "reserved names from clients",
        &["sio_packets::wire_2_6_3_reserved_and_numeric_event_names"],
    ),
    (
        "adapter events",
        &["sio_namespaces::rooms_tell_when_they_are_created_joined_left_and_deleted"],
    ),
    (
        "conn.transport.name, event upgrade",
        &["sio_operators::an_upgrade_is_told_to_each_socket_of_the_client"],
    ),
    (
        "conn event drain",
        &["sio_operators::a_slow_client_is_told_of_when_all_that_waited_has_left"],
    ),
];

const ENGINE: &[Row] = &[
    (
        "clientsCount",
        &["engine_options::a_census_tells_what_everybody_is_doing"],
    ),
    (
        "generateId",
        &["engine_options::an_id_may_be_the_applications"],
    ),
    (
        "generateId that fails",
        &["engine_options::wire_1_5_a_handshake_without_an_id_is_a_bad_request"],
    ),
    (
        "use",
        &["http_app::on_request_answers_what_is_not_the_protocols"],
    ),
    (
        "close",
        &["engine_polling::shutting_down_tells_those_who_wait"],
    ),
    (
        "event connection_error",
        &["engine_options::wire_1_5_a_refusal_is_told_with_its_context"],
    ),
    (
        "event initial_headers",
        &["engine_options::a_handshakes_answer_has_the_applications_headers"],
    ),
    (
        "event headers",
        &["engine_options::configured_headers_are_on_every_answer_of_the_protocol"],
    ),
    (
        "socket events open, packet, packetCreate, heartbeat, upgrading, upgrade, close",
        &["engine_options::wire_1_5_what_happens_to_a_session_is_told"],
    ),
    (
        "socket event drain",
        &["engine_options::a_websocket_that_reads_again_is_told_drained"],
    ),
    (
        "socket event message",
        &["engine_polling::wire_2_1_1_each_message_comes_as_the_packet_of_its_kind"],
    ),
    (
        "send, close",
        &["engine_polling::wire_2_1_10_what_was_sent_before_the_close_arrives_first"],
    ),
];

const REASONS: &[Row] = &[
    (
        "transport error",
        &["sio_lifecycle::transport_error_when_the_client_breaks_the_transport"],
    ),
    (
        "transport close",
        &["sio_lifecycle::transport_close_when_the_client_goes"],
    ),
    (
        "forced close",
        &["sio_lifecycle::forced_close_when_the_server_can_close_at_once"],
    ),
    (
        "forced server close",
        &["sio_lifecycle::forced_server_close_when_the_transport_has_to_wait"],
    ),
    (
        "ping timeout",
        &["sio_lifecycle::ping_timeout_when_the_client_is_silent"],
    ),
    (
        "parse error",
        &["sio_lifecycle::parse_error_when_an_engine_packet_is_none"],
    ),
    (
        "server shutting down",
        &["sio_lifecycle::server_shutting_down_without_a_packet"],
    ),
    (
        "client namespace disconnect",
        &["sio_lifecycle::the_namespace_is_left_by_the_client"],
    ),
    (
        "server namespace disconnect",
        &["sio_lifecycle::the_namespace_is_ended_by_the_server"],
    ),
    (
        "which of them are recoverable",
        &[
            "sio_recovery::wire_2_9_7_who_left_on_purpose_or_was_put_out_has_nothing_to_come_back_to",
            "sio_recovery::a_timeout_of_the_heartbeat_is_a_loss_like_another",
        ],
    ),
];

const HTTP: &[Row] = &[
    (
        "the error table",
        &["engine_http::wire_1_7_the_error_table_over_http"],
    ),
    (
        "a refused upgrade",
        &["engine_http::wire_1_7_a_refused_websocket_is_told_in_plain_text"],
    ),
    (
        "the origin's characters",
        &["engine_options::wire_1_7_an_origin_that_is_none_is_a_bad_request"],
    ),
    (
        "a known session and another method",
        &["engine_http::wire_1_7_an_odd_method_of_a_known_session_gets_500"],
    ),
    (
        "X-XSS-Protection",
        &["engine_polling::old_internet_explorers_are_told_not_to_guess"],
    ),
    (
        "cors: any origin",
        &["engine_http::wire_1_8_any_origin_is_a_star_on_every_answer"],
    ),
    (
        "cors: one origin",
        &["engine_http::wire_1_8_a_fixed_origin_is_named_whoever_asks"],
    ),
    (
        "cors: a list",
        &["engine_http::wire_1_8_an_origin_of_a_list_is_named_to_itself_only"],
    ),
    (
        "cors: a function",
        &["engine_options::wire_1_8_an_origin_may_be_judged_by_a_function"],
    ),
    (
        "cors: preflightContinue",
        &["engine_options::wire_1_8_a_preflight_may_be_the_applications_to_answer"],
    ),
    (
        "no cors",
        &["engine_http::wire_1_8_without_cors_nothing_is_said_and_nothing_blocked"],
    ),
    (
        "the browser client",
        &[
            "client_files::a_name_of_no_file_is_the_protocols",
            "client_files::every_script_comes_in_every_coding",
            "client_files::every_map_comes_in_gzip",
            "client_files::the_client_is_served_only_where_it_was_asked_for",
            "client_files::the_official_client_may_be_served_instead",
        ],
    ),
];

/// What no row of the official table has.
const BEYOND: &[Row] = &[
    (
        "which origins may open a WebSocket",
        &[
            "engine_origin::a_websocket_is_for_the_servers_own_pages_and_those_of_cors",
            "engine_origin::a_websocket_of_the_applications_own_is_for_the_same_pages",
            "engine_origin::any_origin_opens_a_websocket_where_the_application_wants_it",
            "engine_server::a_page_of_another_origin_opens_no_websocket",
        ],
    ),
    (
        "overflow",
        &["sio_overflow::an_event_that_finds_the_backlog_full_is_dropped_whole"],
    ),
    (
        "volatile: the latest",
        &["sio_overflow::the_latest_volatile_event_waits_for_its_client"],
    ),
    (
        "shutdown(grace)",
        &["shutdown::goodbyes_are_spread_evenly_over_the_grace_period"],
    ),
    (
        "expires_in",
        &["sio_operators::a_socket_whose_time_is_over_is_warned_and_then_its_connection_ends"],
    ),
    (
        "adopt",
        &["lifetime::an_adopted_connection_goes_on_where_it_was_read_to"],
    ),
    (
        "turn",
        &["examples::a_loop_of_ones_own_serves_clients_and_datagrams"],
    ),
    (
        "systemd",
        &["systemd::a_server_takes_the_sockets_that_systemd_passes"],
    ),
    (
        "Unix domain sockets",
        &["tcp::a_unix_socket_serves_as_well"],
    ),
    (
        "socket.io-stream",
        &[
            "sio_streams::a_client_sends_chunk_by_chunk_and_each_is_a_credit",
            "sio_streams::a_client_is_sent_one_chunk_for_each_credit",
        ],
    ),
    ("IPv6", &["lifetime::a_server_listens_on_ipv6"]),
    (
        "Stats",
        &[
            "engine_options::refusals_are_counted_by_their_code",
            "engine_options::turns_are_measured_in_microseconds",
        ],
    ),
    (
        "a session that nobody came back to",
        &["sio_recovery::the_time_to_come_back_ends_and_is_told"],
    ),
];

#[test]
fn every_row_of_the_feature_table_has_its_tests() {
    let tables = [
        OPTIONS, SERVER, OPERATORS, SOCKET, ENGINE, REASONS, HTTP, BEYOND,
    ];
    for (row, tests) in tables.into_iter().flatten() {
        assert!(!tests.is_empty(), "{row} has no test");
        for test in *tests {
            let (file, name) = test.split_once("::").expect("file::name");
            let path = format!("{}/tests/{file}.rs", env!("CARGO_MANIFEST_DIR"));
            let text = std::fs::read_to_string(&path).expect("the file of a test");
            let is_there = ["", "#[cfg(feature = \"client\")]\n"]
                .iter()
                .any(|feature| text.contains(&format!("#[test]\n{feature}fn {name}() {{")));
            assert!(is_there, "{row}: there is no test {test}");
        }
    }
}
