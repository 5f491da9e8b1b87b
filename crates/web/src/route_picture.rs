//! A node on the ground and the gateways that heard it, as far as their places are known to whoever looks. A
//! picture of the server's, to the scale that holds them all, north up; the map has the rest.

use insight::Place;
use maud::{Markup, html};

/// Width of the picture in its own units.
const WIDTH: f64 = 640.0;
/// Height of the picture in its own units.
const HEIGHT: f64 = 300.0;
/// Room for names around the places.
const MARGIN: f64 = 56.0;
/// Metres of a degree of latitude.
const DEGREE_M: f64 = 111_195.0;
/// Less than this across is drawn as this, m: a room is no map.
const SPAN_MIN_M: f64 = 500.0;

/// A gateway that heard the node.
#[derive(Debug, Clone, PartialEq)]
pub struct Hearer {
    /// What it is called.
    pub name: String,
    /// Where it said it is.
    pub place: Place,
    /// Whether its line is dashed; the caption says what that means.
    pub is_dashed: bool,
}

/// The picture with what its lines mean; nothing when the sender's place is not known, or nobody's else.
pub fn picture(sender: &str, from: Option<Place>, hearers: &[Hearer], caption: &str) -> Markup {
    let Some(from) = from.filter(|_| !hearers.is_empty()) else { return html! {} };
    let ground = Ground::of(from, hearers);
    let farthest = hearers.iter().map(|hearer| hearer.place.distance_m(&from)).fold(0.0, f64::max);
    let (x, y) = ground.at(&from);
    html! {
        figure.way {
            svg viewBox=(format!("0 0 {WIDTH} {HEIGHT}")) role="img"
                aria-label=(format!("Where {sender} is and the {} gateways that heard it, up to {} away", hearers.len(), kilometres(farthest))) {
                @for hearer in hearers {
                    @let (to_x, to_y) = ground.at(&hearer.place);
                    line.far[hearer.is_dashed] x1=(short(x)) y1=(short(y)) x2=(short(to_x)) y2=(short(to_y)) {}
                }
                @for hearer in hearers {
                    @let (to_x, to_y) = ground.at(&hearer.place);
                    circle.gateway cx=(short(to_x)) cy=(short(to_y)) r="7" {}
                    (name(&hearer.name, to_x, to_y))
                }
                circle.sender cx=(short(x)) cy=(short(y)) r="7" {}
                (name(sender, x, y))
                (ground.scale())
            }
            figcaption.soft.small { (caption) " Places as they were told last within a week." }
        }
    }
}

fn name(text: &str, x: f64, y: f64) -> Markup {
    let (anchor, shift) = if x > WIDTH * 0.66 { ("end", -12.0) } else { ("start", 12.0) };
    html! { text x=(short(x + shift)) y=(short(y + 4.0)) text-anchor=(anchor) { (text) } }
}

fn kilometres(metres: f64) -> String {
    if metres < 1_000.0 { format!("{metres:.0} m") } else { format!("{:.1} km", metres / 1_000.0) }
}

fn short(value: f64) -> String {
    format!("{value:.1}")
}

/// How places become points: metres east and north of a middle, to one scale.
struct Ground {
    middle: (f64, f64),
    units_per_m: f64,
}

impl Ground {
    fn of(from: Place, hearers: &[Hearer]) -> Self {
        let places = || hearers.iter().map(|hearer| hearer.place).chain([from]);
        let bounds = |of: fn(&Place) -> f64| {
            places()
                .map(|place| of(&place))
                .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| (low.min(v), high.max(v)))
        };
        let ((south, north), (west, east)) =
            (bounds(|place| place.latitude), bounds(|place| place.longitude));
        let middle = ((south + north) / 2.0, (west + east) / 2.0);
        let high_m = (north - south) * DEGREE_M;
        let wide_m = (east - west) * DEGREE_M * middle.0.to_radians().cos();
        let units_per_m = ((WIDTH - 4.0 * MARGIN) / wide_m.max(SPAN_MIN_M))
            .min((HEIGHT - 2.0 * MARGIN) / high_m.max(SPAN_MIN_M));
        Self { middle, units_per_m }
    }

    fn at(&self, place: &Place) -> (f64, f64) {
        let (latitude, longitude) = self.middle;
        let east_m = (place.longitude - longitude) * DEGREE_M * latitude.to_radians().cos();
        let north_m = (place.latitude - latitude) * DEGREE_M;
        (WIDTH / 2.0 + east_m * self.units_per_m, HEIGHT / 2.0 - north_m * self.units_per_m)
    }

    /// A bar of a round length, a fifth of the width at most.
    fn scale(&self) -> Markup {
        let longest_m = WIDTH / 5.0 / self.units_per_m;
        let power = 10_f64.powf(longest_m.log10().floor());
        let metres =
            [5.0, 2.0, 1.0].into_iter().map(|n| n * power).find(|m| *m <= longest_m).unwrap_or(power);
        let end = 16.0 + metres * self.units_per_m;
        html! {
            line.scale x1="16" y1=(HEIGHT - 16.0) x2=(short(end)) y2=(HEIGHT - 16.0) {}
            text.scale x=(short(end + 8.0)) y=(HEIGHT - 12.0) { (kilometres(metres)) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(latitude: f64, longitude: f64) -> Place {
        Place { latitude, longitude, error_m: 0.0 }
    }

    #[test]
    fn everything_lies_within_the_picture_to_one_scale() {
        let from = at(39.1, -94.6);
        let far = [at(39.4, -94.4), at(39.05, -94.9), at(39.1, -94.6)];
        let hearers: Vec<Hearer> =
            far.into_iter().map(|place| Hearer { name: "KC".into(), place, is_dashed: false }).collect();
        let ground = Ground::of(from, &hearers);
        for hearer in &hearers {
            let (x, y) = ground.at(&hearer.place);
            assert!(
                (MARGIN - 1.0..=WIDTH - MARGIN + 1.0).contains(&x)
                    && (MARGIN - 1.0..=HEIGHT - MARGIN + 1.0).contains(&y),
                "{x} {y}"
            );
        }
        let ((x1, y1), (x2, y2)) = (ground.at(&from), ground.at(&hearers[0].place));
        let drawn_m = (x2 - x1).hypot(y2 - y1) / ground.units_per_m;
        assert!((drawn_m / from.distance_m(&hearers[0].place) - 1.0).abs() < 0.01, "{drawn_m}");
        let text = picture("<b>", Some(from), &hearers, "Who heard it.").into_string();
        assert!(text.contains("20.0 km") && text.contains("&lt;b&gt;"), "{text}");
        assert!(text.contains("Who heard it. Places as"), "{text}");
    }

    #[test]
    fn without_places_there_is_no_picture_and_one_room_is_no_division_by_zero() {
        let hearer = Hearer { name: "KC".into(), place: at(39.1, -94.6), is_dashed: false };
        assert_eq!(picture("a", None, std::slice::from_ref(&hearer), "").into_string(), "");
        assert_eq!(picture("a", Some(at(39.1, -94.6)), &[], "").into_string(), "");
        let text = picture("a", Some(at(39.1, -94.6)), &[hearer], "").into_string();
        assert!(text.contains("320.0") && !text.contains("NaN"), "{text}");
    }
}
