//! Any bytes as a segment: a prefix of records or an error, never a panic, and no more memory than the bytes ask for.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    runlake::fuzzing::scan_segment(bytes);
});
