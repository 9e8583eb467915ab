//! Files of records: a zlib stream of them, as they lie in memory.

use std::io::Read;

use super::image::Record;

pub fn read(file: &[u8]) -> Vec<Record> {
    let mut bytes = Vec::new();
    flate2::read::ZlibDecoder::new(file).read_to_end(&mut bytes).unwrap();
    decode(&bytes)
}

/// Records as they lie in memory.
pub fn decode(bytes: &[u8]) -> Vec<Record> {
    let (words, _) = bytes.as_chunks::<8>();
    let words: Vec<u64> = words.iter().map(|bytes| u64::from_le_bytes(*bytes)).collect();
    words.as_chunks::<20>().0.iter().map(|record| Record(*record)).collect()
}
