//! QR codes as SVG. Knows nothing of what they say.

use std::fmt::Write as _;

use maud::{Markup, PreEscaped, html};
use qrcode::{Color, EcLevel, QrCode};

/// Light modules around the code, which readers need (ISO/IEC 18004).
const QUIET: usize = 4;

/// The code of a text, with what a screen reader says of it; nothing when the text is too long for one.
pub fn picture(text: &str, spoken: &str) -> Markup {
    let Ok(code) = QrCode::with_error_correction_level(text, EcLevel::M) else { return html! {} };
    let width = code.width();
    let size = width + 2 * QUIET;
    let mut path = String::new();
    for (index, color) in code.to_colors().into_iter().enumerate() {
        if color == Color::Dark {
            // Writing to a `String` cannot fail.
            let _ = write!(path, "M{} {}h1v1h-1z", index % width + QUIET, index / width + QUIET);
        }
    }
    // Dark on light in both themes: many readers take nothing else.
    html! {
        svg.qr viewBox={ "0 0 " (size) " " (size) } role="img" aria-label=(spoken) shape-rendering="crispEdges" {
            rect width=(size) height=(size) fill="#fff" {}
            path d=(PreEscaped(path)) fill="#000" {}
        }
    }
}
