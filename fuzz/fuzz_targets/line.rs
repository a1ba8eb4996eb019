//! Any text as a line for `runlake log`: a line or the reason why not, never a panic.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let _ = runlake::fuzzing::read_line(text);
});
