//! Reads the values of arguments: sizes, times, fractions. The errors say what was expected.

/// `160` or `120x160`: height and width in pixels.
pub fn image_size(text: &str) -> Result<(usize, usize), String> {
    let (h, w) = text.split_once(['x', 'X']).unwrap_or((text, text));
    let side = |s: &str| s.trim().parse().ok().filter(|n| (32..=4096).contains(n));
    match (side(h), side(w)) {
        (Some(h), Some(w)) => Ok((h, w)),
        _ => Err("expected 32 to 4096 pixels, such as 160, or height and width, such as 120x160".into()),
    }
}

/// `60s`, `10m`, `2h`.
pub fn time(text: &str) -> Result<std::time::Duration, String> {
    let text = text.trim();
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match &text[digits.len()..] {
        "" | "s" => Some(1.0),
        "m" | "min" => Some(60.0),
        "h" => Some(3600.0),
        _ => None,
    };
    let seconds = unit.zip(digits.parse::<f64>().ok()).map(|(unit, number)| unit * number);
    let seconds = seconds.filter(|seconds| (1.0..=1e7).contains(seconds));
    let seconds = seconds.ok_or("expected a time of at least a second, such as 60s, 10m or 2h")?;
    Ok(std::time::Duration::from_secs_f64(seconds))
}

/// A fraction from 0 to 1, both included.
pub fn share(text: &str) -> Result<f32, String> {
    let share = text.parse().ok().filter(|share| (0.0..=1.0).contains(share));
    share.ok_or_else(|| "expected a fraction from 0 to 1, such as 0.5".into())
}

/// Percentage points from 0 to 100.
pub fn points(text: &str) -> Result<f64, String> {
    let points = text.parse().ok().filter(|points| (0.0..=100.0).contains(points));
    points.ok_or_else(|| "expected percentage points from 0 to 100, such as 0.5".into())
}

/// A number of folds, or 0 for none.
pub fn folds(text: &str) -> Result<u32, String> {
    let folds = text.parse().ok().filter(|folds| *folds == 0 || (2..=100).contains(folds));
    folds.ok_or_else(|| "expected 2 to 100 folds, such as 5, or 0".into())
}

/// Whether photographs may be called unknown.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Unknown {
    /// As the model says.
    On,
    Off,
    /// So many of the known ones.
    Rate(f64),
}

/// `on`, `off`, or a fraction.
pub fn unknown(text: &str) -> Result<Unknown, String> {
    match text {
        "on" => Ok(Unknown::On),
        "off" => Ok(Unknown::Off),
        other => other
            .parse()
            .ok()
            .filter(|rate: &f64| *rate > 0.0 && *rate < 1.0)
            .map(Unknown::Rate)
            .ok_or_else(|| "expected on, off, or a fraction between 0 and 1, such as 0.05".into()),
    }
}

/// A fraction between 0 and 1, both excluded.
pub fn part(text: &str) -> Result<f32, String> {
    let part = text.parse().ok().filter(|&part: &f32| part > 0.0 && part < 1.0);
    part.ok_or_else(|| "expected a number between 0 and 1, both excluded, such as 0.2".into())
}

/// The fraction of photographs that may be left out, from 0 to 1, both included.
pub fn left_out(text: &str) -> Result<f32, String> {
    let part = text.parse().ok().filter(|part: &f32| (0.0..=1.0).contains(part));
    part.ok_or_else(|| "expected a number from 0 to 1, such as 0.1".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_parts_are_read_or_refused() {
        assert_eq!(image_size("160"), Ok((160, 160)));
        assert_eq!(image_size("120x96"), Ok((120, 96)));
        for wrong in ["", "31", "4097", "160x", "x160", "1e2", "-160", "160x160x3"] {
            assert!(image_size(wrong).is_err(), "{wrong}");
        }
        assert_eq!(part("0.25"), Ok(0.25));
        for wrong in ["0", "1", "nan", "-0.1", "half"] {
            assert!(part(wrong).is_err(), "{wrong}");
        }
        assert_eq!((left_out("0"), left_out("1")), (Ok(0.0), Ok(1.0)));
        assert_eq!(
            (unknown("on"), unknown("off"), unknown("0.1")),
            (Ok(Unknown::On), Ok(Unknown::Off), Ok(Unknown::Rate(0.1)))
        );
        assert!(["0", "1", "nan", "yes", ""].into_iter().all(|wrong| unknown(wrong).is_err()));
        for wrong in ["1.01", "nan", "-0.1", "10%"] {
            assert!(left_out(wrong).is_err(), "{wrong}");
        }
    }
}
