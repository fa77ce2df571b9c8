//! What every name that becomes part of a request has to be.

/// Panics unless `text` is one line of visible characters without a segment that leads elsewhere, and short.
pub fn assert_plain(text: &str) {
    assert!(text.len() <= 4_096, "{} bytes", text.len());
    let strange = |c: char| c.is_control() || c.is_whitespace() || matches!(c, '%' | '?' | '\\');
    assert!(!text.contains(strange), "{text:?}");
    assert!(!text.split('/').any(|part| matches!(part, "." | "..")), "{text:?}");
}
