#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tests::fuzz::smmuv3::smmuv3(data));
