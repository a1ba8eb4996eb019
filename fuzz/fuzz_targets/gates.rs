//! Any text as a file of checks and stop rules: read or refused, never a panic.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    runlake::fuzzing::read_gates(text);
});
