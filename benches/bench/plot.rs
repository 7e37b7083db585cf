//! Lines over two logarithmic axes, as SVG.
//!
//! On a card of its own colour, so that it can be read on a light page and on a dark one.

use std::fmt;

/// A plot.
pub(crate) struct Plot {
    pub(crate) title: &'static str,
    pub(crate) x: &'static str,
    pub(crate) y: &'static str,
    pub(crate) lines: Vec<Line>,
}

/// One line in it; values are positive.
pub(crate) struct Line {
    pub(crate) label: String,
    pub(crate) points: Vec<(usize, f64)>,
}

/// Size of the card.
const SIZE: (f64, f64) = (720.0, 400.0);
/// The part of it that lines are drawn in: left, top, right, bottom.
const AREA: (f64, f64, f64, f64) = (80.0, 50.0, 540.0, 340.0);
/// Told apart also by those who do not see all colours (Okabe and Ito).
const COLOURS: [&str; 6] = ["#000000", "#d55e00", "#0072b2", "#cc79a7", "#009e73", "#e69f00"];
/// And without any.
const DASHES: [&str; 6] = ["", "8 3", "", "2 3", "6 2 2 2", "3 2"];
/// Distance of labels that would otherwise stand on one another.
const LABEL_HEIGHT: f64 = 16.0;

/// Whole decades around some values.
#[derive(Clone, Copy)]
struct Axis {
    first: f64,
    last: f64,
}

impl Axis {
    fn around(values: impl Iterator<Item = f64> + Clone) -> Self {
        let low = values.clone().fold(f64::INFINITY, f64::min).log10();
        let high = values.fold(f64::NEG_INFINITY, f64::max).log10();
        if low > high {
            return Self { first: 0.0, last: 1.0 };
        }
        // A little more than the values need is no reason for another decade.
        let (first, last) = ((low + 0.02).floor(), (high - 0.02).ceil());
        Self { first, last: last.max(first + 1.0) }
    }

    /// Where a value is between start (0) and end (1).
    fn place(self, value: f64) -> f64 {
        (value.log10() - self.first) / (self.last - self.first)
    }

    fn decades(self) -> impl Iterator<Item = f64> {
        std::iter::successors(Some(self.first), |decade| Some(decade + 1.0))
            .take_while(move |decade| *decade <= self.last)
    }
}

fn number(instances: usize) -> f64 {
    u32::try_from(instances).map_or(f64::from(u32::MAX), f64::from)
}

/// 1, 10, 100, 1k, 10k, 100k, 1M; also 0.1.
fn decade_text(decade: f64) -> String {
    match 10_f64.powf(decade) {
        value if value >= 999_999.0 => format!("{:.0}M", value / 1e6),
        value if value >= 999.0 => format!("{:.0}k", value / 1e3),
        value if value >= 0.99 => format!("{value:.0}"),
        value => format!("{value:.3}").trim_end_matches('0').to_owned(),
    }
}

impl fmt::Display for Plot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let points = || self.lines.iter().flat_map(|line| &line.points);
        let (x, y) = (Axis::around(points().map(|point| number(point.0))), Axis::around(points().map(|point| point.1)));
        let ((width, height), (left, top, right, bottom)) = (SIZE, AREA);
        let across = |value| left + x.place(value) * (right - left);
        let up = |value| bottom - y.place(value) * (bottom - top);
        writeln!(
            f,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" \
             height=\"{height}\" font-family=\"sans-serif\" font-size=\"13\" fill=\"#24292f\">"
        )?;
        writeln!(f, "<rect width=\"{width}\" height=\"{height}\" rx=\"8\" fill=\"#ffffff\"/>")?;
        writeln!(f, "<text x=\"{left}\" y=\"28\" font-size=\"15\" font-weight=\"bold\">{}</text>", self.title)?;
        let middle = f64::midpoint(left, right);
        writeln!(f, "<text x=\"{middle}\" y=\"{}\" text-anchor=\"middle\">{}</text>", bottom + 42.0, self.x)?;
        let middle = f64::midpoint(top, bottom);
        let turned = format!("x=\"20\" y=\"{middle}\" transform=\"rotate(-90 20 {middle})\"");
        writeln!(f, "<text {turned} text-anchor=\"middle\">{}</text>", self.y)?;
        for decade in x.decades() {
            let at = across(10_f64.powf(decade));
            writeln!(f, "<path d=\"M{at:.1} {top}V{bottom}\" stroke=\"#d0d7de\"/>")?;
            let (y, text) = (bottom + 20.0, decade_text(decade));
            writeln!(f, "<text x=\"{at:.1}\" y=\"{y}\" text-anchor=\"middle\">{text}</text>")?;
        }
        for decade in y.decades() {
            let at = up(10_f64.powf(decade));
            writeln!(f, "<path d=\"M{left} {at:.1}H{right}\" stroke=\"#d0d7de\"/>")?;
            let (x, y, text) = (left - 8.0, at + 4.0, decade_text(decade));
            writeln!(f, "<text x=\"{x}\" y=\"{y:.1}\" text-anchor=\"end\">{text}</text>")?;
        }
        self.write_lines(f, &across, &up)?;
        writeln!(f, "</svg>")
    }
}

impl Plot {
    fn write_lines(
        &self,
        f: &mut fmt::Formatter<'_>,
        across: &dyn Fn(f64) -> f64,
        up: &dyn Fn(f64) -> f64,
    ) -> fmt::Result {
        let styles = COLOURS.iter().zip(DASHES).cycle();
        let mut labels = Vec::new();
        for (line, (colour, dashes)) in self.lines.iter().zip(styles) {
            let places: Vec<_> = line.points.iter().map(|(x, y)| (across(number(*x)), up(*y))).collect();
            let Some((end_x, end_y)) = places.last() else { continue };
            let path: Vec<_> = places.iter().map(|(x, y)| format!("{x:.1} {y:.1}")).collect();
            writeln!(
                f,
                "<path d=\"M{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\" stroke-dasharray=\"{dashes}\"/>",
                path.join("L")
            )?;
            for (x, y) in &places {
                writeln!(f, "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3\" fill=\"{colour}\"/>")?;
            }
            labels.push((*end_y, *end_x, colour, &line.label));
        }
        labels.sort_by(|a, b| a.0.total_cmp(&b.0));
        let mut lowest = 0.0;
        for (y, x, colour, label) in labels {
            let y = f64::max(y + 4.0, lowest + LABEL_HEIGHT);
            lowest = y;
            writeln!(f, "<text x=\"{:.1}\" y=\"{y:.1}\" fill=\"{colour}\">{label}</text>", x + 10.0)?;
        }
        Ok(())
    }
}
