pub mod action;
pub mod digest;
pub mod journal;
pub mod record;
pub mod vtd;
#[cfg(test)]
mod tests;
