//! The llmup binary; the library's crate documentation has the map.

fn main() -> std::process::ExitCode {
    std::process::ExitCode::from(llmup::run())
}
