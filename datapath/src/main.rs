//! The datapath process.

fn main() {}
