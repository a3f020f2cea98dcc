//! The llmup binary; see the library's crate documentation for the map.

fn main() {}
