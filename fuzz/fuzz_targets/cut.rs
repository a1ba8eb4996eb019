//! Any bytes as a cut and as a batch, with and without the digest that they should have, and as files of tables with checksums: one
//! of them or an error.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    runlake::fuzzing::read_cut(bytes);
    runlake::fuzzing::read_checksums(bytes);
});
