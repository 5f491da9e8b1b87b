//! Small charts as SVG, drawn by the server. Colours come from the style sheet, sizes from attributes: no inline style.

use maud::{Markup, html};

/// Bars, oldest left, with the highest value as the scale.
pub fn bars(values: &[u32], label: &str) -> Markup {
    let highest = values.iter().copied().max().unwrap_or(0).max(1);
    let (width, height) = (values.len() * 10, 72.0);
    let bar = |value: u32| f64::from(value) / f64::from(highest) * (height - 4.0);
    html! {
        svg.spark viewBox=(format!("0 0 {width} {height}")) preserveAspectRatio="none" role="img" aria-label=(label) {
            line.ref x1="0" x2=(width) y1=(height - 0.5) y2=(height - 0.5) stroke="currentColor" stroke-width="1" {}
            @for (i, value) in values.iter().enumerate() {
                @if *value > 0 {
                    rect x=(i * 10 + 1) width="8" y=(format!("{:.1}", height - bar(*value)))
                        height=(format!("{:.1}", bar(*value))) fill="currentColor" {}
                }
            }
        }
    }
}

/// Parts of a whole side by side: passed on, recorded only, refused. The numbers stand beside it in words.
pub fn mix(parts: [u32; 3]) -> Markup {
    let sum = f64::from(parts.iter().sum::<u32>().max(1));
    let classes = ["good", "note", "bad"];
    let before = |index: usize| f64::from(parts[..index].iter().sum::<u32>()) / sum * 100.0;
    html! {
        span.mix aria-hidden="true" {
            svg viewBox="0 0 100 10" preserveAspectRatio="none" {
                @for (index, (part, class)) in parts.iter().zip(classes).enumerate() {
                    @let width = f64::from(*part) / sum * 100.0;
                    @let from = before(index);
                    @if *part > 0 {
                        rect class=(class) x=(format!("{from:.2}")) width=(format!("{width:.2}")) y="0" height="10" {}
                    }
                }
            }
        }
    }
}
