#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| greyhound_fuzz::radius(data));
