//! The console: commands in the words of the product, prints to the letter.

pub mod command;
pub mod front;
mod print;
pub mod snapshot;
mod views;
pub mod wire;
