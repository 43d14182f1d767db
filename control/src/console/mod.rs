//! The console: commands in the words of the product, prints to the letter.

pub mod accounts;
pub mod command;
pub mod front;
pub mod import;
pub mod line;
mod print;
mod show;
pub mod snapshot;
mod views;
pub mod wire;

pub use self::show::OPTIONS as PRINT_OPTIONS;
pub use self::views::LIVE as LIVE_PROPERTIES;
