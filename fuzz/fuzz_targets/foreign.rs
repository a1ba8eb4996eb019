//! Any bytes as a file of another tool; the first one chooses which: what can be read is, the rest is told.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Some((first, rest)) = bytes.split_first() else { return };
    let endings = ["db", "tfevents", "csv", "jsonl", "parquet"];
    let ending = endings[usize::from(*first) % endings.len()];
    let path = std::env::temp_dir().join(format!("runlake-fuzz-{}.{ending}", std::process::id()));
    std::fs::write(&path, rest).expect("the folder for temporary files can be written");
    runlake::fuzzing::read_foreign(&path);
});
