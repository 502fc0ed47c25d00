//! Who is to blame for long waits: who held the lock of user space that was waited for, and what the thread
//! that ended the wait had itself waited for meanwhile. No probe of its own: `offcpu` measures it.

pub mod by_place;
pub mod chain_json;
pub mod chain_table;
pub mod chains;
pub mod drain;
pub mod findings;
pub mod held;
pub mod json;
pub mod rows;
pub mod table;
