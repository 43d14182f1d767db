//! The console: commands in the words of the product, prints to the letter.

pub mod snapshot;
