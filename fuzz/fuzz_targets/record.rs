//! Any bytes as a record, past the checksums of its frame: a record or an error, never a panic.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;

/// The beginning of a segment: what a writer writes before its first record.
static HEADER: LazyLock<Vec<u8>> = LazyLock::new(runlake::fuzzing::segment_header);

fuzz_target!(|input: (u8, &[u8])| {
    let (kind, payload) = input;
    runlake::fuzzing::read_record(&HEADER, kind, payload);
});
