#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| emio::fuzzing::json::text(data));
