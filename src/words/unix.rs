//! What Unix says of its user's language: nothing beyond the variables. macOS's terminals set LANG from its settings.

/// No other source.
pub(super) fn locale() -> Option<String> {
    None
}
