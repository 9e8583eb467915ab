#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tests::fuzz::smmuv3_decode::smmuv3_decode(data));
