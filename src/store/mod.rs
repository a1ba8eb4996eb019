pub mod cut;
pub mod delta;
pub mod error;
pub mod io;
pub mod layout;
pub mod live;
pub mod object;
pub mod segment;
