//! User stories through the public API and the real binary. One test binary, since each one links the engine.

mod ask;
mod copies;
mod crash;
mod deletes;
mod docs;
mod imports;
mod log_and_ask;
mod phases;
mod processes;
mod program;
mod repl;
