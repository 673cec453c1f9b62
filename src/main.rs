//! The `blackbox-daemon` command.

fn main() {}
