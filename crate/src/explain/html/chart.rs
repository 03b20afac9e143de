//! Curves as SVG.

use super::parts::text;

/// Size of the picture, and of its margins.
const SIZE: (f64, f64) = (360.0, 240.0);
const LEFT: f64 = 48.0;
const BOTTOM: f64 = 40.0;
const TOP: f64 = 24.0;
const RIGHT: f64 = 12.0;

/// A curve.
pub(super) struct Line {
    name: &'static str,
    points: Vec<(f64, f64)>,
    dots: bool,
}

impl Line {
    pub fn new(name: &'static str, x: &[f64], y: &[f64]) -> Self {
        let points = x.iter().copied().zip(y.iter().copied());
        Line { name, points: points.filter(|(x, y)| x.is_finite() && y.is_finite()).collect(), dots: false }
    }

    /// The points alone, without a line between them.
    pub fn dots(self) -> Self {
        Line { dots: true, ..self }
    }
}

/// Curves in one picture. `y` is the range of the vertical axis; without one it begins at 0 and holds all points.
pub(super) fn chart(title: &str, axes: (&str, &str), lines: &[Line], y: Option<(f64, f64)>) -> String {
    let points = || lines.iter().flat_map(|line| &line.points);
    let least = points().fold(f64::INFINITY, |least, point| least.min(point.0));
    let most = points().fold(f64::NEG_INFINITY, |most, point| most.max(point.0));
    let (from, to) = match least.is_finite() && least < most {
        true => (least, most),
        false => (0.0, most.max(1.0)),
    };
    let (low, high) =
        y.unwrap_or_else(|| (0.0, points().fold(1e-9, |most: f64, point| most.max(point.1)) * 1.05));
    let across = |x: f64| LEFT + (x - from) / (to - from) * (SIZE.0 - LEFT - RIGHT);
    let down = |y: f64| SIZE.1 - BOTTOM - (y - low) / (high - low) * (SIZE.1 - BOTTOM - TOP);
    let mut svg = format!(
        "<svg class=\"chart\" viewBox=\"0 0 {} {}\" role=\"img\" aria-label=\"{}\">\n",
        SIZE.0,
        SIZE.1,
        text(title)
    );
    // Between two epochs there is none.
    let whole = points().all(|(x, _)| x.fract() == 0.0);
    let mut before = f64::NAN;
    for step in 0..=4 {
        let part = f64::from(step) / 4.0;
        let (y, x) = (low + part * (high - low), from + part * (to - from));
        svg += &format!(
            "<path class=\"grid\" d=\"M{LEFT} {:.1}H{:.1}\"/><text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>\n",
            down(y),
            SIZE.0 - RIGHT,
            LEFT - 6.0,
            down(y) + 4.0,
            short(y)
        );
        let x = if whole { x.round() } else { x };
        if x != std::mem::replace(&mut before, x) {
            svg += &format!(
                "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>\n",
                across(x),
                SIZE.1 - BOTTOM + 16.0,
                short(x)
            );
        }
    }
    for (i, line) in lines.iter().enumerate() {
        let path: Vec<String> =
            line.points.iter().map(|&(x, y)| format!("{:.1} {:.1}", across(x), down(y))).collect();
        if line.dots || line.points.len() == 1 {
            for &(x, y) in &line.points {
                let (x, y) = (across(x), down(y));
                svg += &format!("<circle class=\"dot{i}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3.5\"/>\n");
            }
        } else if !path.is_empty() {
            svg += &format!("<path class=\"line{i}\" d=\"M{}\"/>\n", path.join("L"));
        }
        let x = LEFT + 110.0 * i as f64;
        svg += &format!(
            "<path class=\"line{i}\" d=\"M{x} 11h18\"/><text x=\"{}\" y=\"15\">{}</text>\n",
            x + 24.0,
            text(line.name)
        );
    }
    let middle = (LEFT + SIZE.0 - RIGHT) / 2.0;
    svg += &format!(
        "<text x=\"{middle}\" y=\"{}\" text-anchor=\"middle\">{}</text>\n<text transform=\"translate(12 {}) rotate(-90)\" \
         text-anchor=\"middle\">{}</text>\n</svg>\n",
        SIZE.1 - 6.0,
        text(axes.0),
        (TOP + SIZE.1 - BOTTOM) / 2.0,
        text(axes.1)
    );
    svg
}

/// A number beside an axis.
fn short(value: f64) -> String {
    let digits = if value.abs() >= 10.0 { 0 } else { 2 };
    let text = format!("{value:.digits$}");
    match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_curve_lies_inside_of_its_picture() {
        let line = Line::new("model", &[0.0, 0.5, 1.0, f64::NAN], &[0.0, 1.0, 0.25, 3.0]);
        let svg = chart("title <b>", ("x", "y"), &[line], Some((0.0, 1.0)));
        assert!(
            svg.contains("title &lt;b&gt;") && svg.contains("d=\"M48.0 200.0L198.0 24.0L348.0 156.0\""),
            "{svg}"
        );
        for (lines, y) in [(vec![], None), (vec![Line::new("one", &[1.0], &[5.0])], None)] {
            let svg = chart("t", ("x", "y"), &lines, y);
            assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
        }
        assert_eq!([0.0, 0.25, 1.5, 12.0, 0.5].map(short), ["0", "0.25", "1.5", "12", "0.5"]);
    }
}
