//! Who may come in and what each gets: addresses from pools.

pub mod pool;
