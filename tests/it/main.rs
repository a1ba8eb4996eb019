//! User stories through the public API and the real binary. One test binary, since each one links the engine.

mod ask;
mod coming_from;
mod copies;
mod crash;
mod deletes;
mod disk_full;
mod docs;
mod exports;
mod gates;
mod goals;
mod hostile;
mod imports;
mod killed;
mod killed_imports;
mod log_and_ask;
mod phases;
mod processes;
mod program;
mod repl;
mod report_pages;
mod report_values;
mod reports;
mod reproducing;
mod samples;
mod sources;
mod watching;
