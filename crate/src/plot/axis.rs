//! Ranges and ticks of a chart's axes.

/// About `count` round numbers from `low` to `high`: steps of 1, 2 or 5 times a power of ten.
pub fn ticks(low: f64, high: f64, count: usize) -> Vec<f64> {
    let step = step(low, high, count);
    let (first, last) = ((low / step - 1e-6).ceil() as i64, (high / step + 1e-6).floor() as i64);
    (first..=last).map(|i| i as f64 * step).collect()
}

/// The distance between two ticks.
pub fn step(low: f64, high: f64, count: usize) -> f64 {
    let rough = ((high - low) / count.max(1) as f64).max(f64::MIN_POSITIVE);
    let power = 10f64.powf(rough.log10().floor());
    let factor = [1.0, 2.0, 5.0, 10.0].into_iter().find(|f| f * power >= rough * 0.999).unwrap_or(10.0);
    factor * power
}

/// A tick's number with just the digits that tell it from its neighbours.
pub fn tick_text(value: f64, step: f64) -> String {
    if value.abs() >= 1e5 {
        return format!("{value:.1e}").replace(".0e", "e");
    }
    let digits = (-step.log10() - 1e-9).ceil().clamp(0.0, 6.0) as usize;
    format!("{value:.digits$}")
}

/// The epochs that have a tick: all of them while they fit, then every second, fifth, tenth, …
pub fn epoch_ticks(epochs: usize) -> Vec<f64> {
    const FIT: usize = 20;
    let step = (0..)
        .flat_map(|power| [1, 2, 5].map(|factor| factor * 10usize.pow(power)))
        .find(|step| epochs / step <= FIT)
        .unwrap_or(epochs);
    (1..=epochs).filter(|e| e % step == 0).map(|e| e as f64).collect()
}

/// The tutorial's range of accuracies: up to 1, from a little under the lowest, and after
/// fine-tuning from 0.8, or lower where something lies lower. Curves that never leave the last
/// twentieth have it to themselves.
pub fn accuracy_range(lowest: f64, fine_tuned: bool) -> (f64, f64) {
    let under = lowest - (0.05 * (1.0 - lowest)).max(0.005);
    let low = ((under * 100.0).floor() / 100.0).max(0.0);
    (if fine_tuned && lowest < 0.95 { low.min(0.8) } else { low }, 1.0)
}

/// The tutorial's range of losses, 0 to 1, extended where something lies outside, and less where all of
/// it would lie on the axis.
pub fn loss_range(lowest: f64, highest: f64) -> (f64, f64) {
    let round_up = |v: f64| {
        let step = step(0.0, v, 10);
        (v * 1.02 / step).ceil() * step
    };
    let low = if lowest < 0.0 { -round_up(-lowest) } else { 0.0 };
    let whole = highest > 1.0 || (highest > 0.0 && highest < 0.15);
    (low, if whole { round_up(highest) } else { 1.0 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_the_tutorials_while_everything_lies_inside() {
        assert_eq!(accuracy_range(0.93, true), (0.8, 1.0));
        assert_eq!(accuracy_range(0.7, false), (0.68, 1.0));
        assert_eq!(loss_range(0.04, 0.92), (0.0, 1.0));
        assert_eq!(loss_range(0.0, 0.0), (0.0, 1.0));
    }

    #[test]
    fn ranges_grow_where_something_lies_outside() {
        assert_eq!(accuracy_range(0.5, true), (0.47, 1.0));
        assert_eq!(accuracy_range(0.0, false), (0.0, 1.0));
        assert_eq!(accuracy_range(1.0, false), (0.99, 1.0));
        let (low, high) = loss_range(-0.3, 2.31);
        assert!(low < -0.3 && high > 2.31 && high < 3.0, "{low} {high}");
        let (_, high) = loss_range(0.0, 1e12);
        assert!(high > 1e12 && high < 2e12);
    }

    #[test]
    fn ranges_shrink_where_curves_would_lie_on_the_edge() {
        assert_eq!(accuracy_range(0.985, true), (0.98, 1.0));
        let (low, high) = loss_range(0.02, 0.045);
        assert!(low == 0.0 && high > 0.045 && high < 0.06, "{high}");
    }

    #[test]
    fn ticks_are_round_and_inside() {
        let text = |low, high| -> Vec<String> {
            ticks(low, high, 5).into_iter().map(|t| tick_text(t, step(low, high, 5))).collect()
        };
        assert_eq!(text(0.8, 1.0), ["0.80", "0.85", "0.90", "0.95", "1.00"]);
        assert_eq!(text(0.0, 1.0), ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]);
        assert_eq!(text(0.0, 3.0), ["0", "1", "2", "3"]);
        assert_eq!(text(0.0, 1.2e6), ["0", "5e5", "1e6"]);
        assert_eq!(tick_text(-2.5e7, 5e6), "-2.5e7");
    }

    #[test]
    fn epochs_have_whole_ticks_however_many_there_are() {
        assert_eq!(epoch_ticks(1), [1.0]);
        assert_eq!(epoch_ticks(10).len(), 10);
        assert_eq!(epoch_ticks(20).len(), 20);
        assert_eq!(epoch_ticks(25)[..2], [2.0, 4.0]);
        assert!(epoch_ticks(100_000).len() <= 20);
    }
}
