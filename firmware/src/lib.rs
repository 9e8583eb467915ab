//! What a guest finds in memory and in its registers when it starts.
//!
//! This crate turns an image and a machine's memory into a state that any CPU back end can enter;
//! it knows no back end and no device model. Everything it writes is plain data in guest memory.

pub mod boot;
