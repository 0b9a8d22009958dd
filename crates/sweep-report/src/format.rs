//! Numbers as text, one way for every renderer: percent, percentage points, p values, counts. No locale, no clock.

use crate::report::Interval;

/// Where a number does not exist.
pub const NONE: &str = "—";

/// A share as percent with one decimal: `83.1`.
pub fn percent(share: f64) -> String {
    format!("{:.1}", share * 100.0)
}

/// A share as percent, or a dash.
pub fn percent_or_dash(share: Option<f64>) -> String {
    share.map_or_else(|| NONE.to_owned(), percent)
}

/// A difference of shares in percentage points with its sign: `+4.4`, `−0.2`, `0.0` for exactly nothing.
///
/// A tiny difference keeps its sign (`+0.0`), so that an interval that excludes 0 is seen to.
pub fn points(share: f64) -> String {
    signed(share * 100.0, 1)
}

/// A number with its sign and a true minus, to `decimals`; exactly 0 has none.
pub fn signed(value: f64, decimals: usize) -> String {
    let sign = if value > 0.0 {
        "+"
    } else if value < 0.0 {
        "−"
    } else {
        ""
    };
    format!("{sign}{:.decimals$}", value.abs())
}

/// An interval of a difference in percentage points: `[+2.4, +6.4]`.
pub fn points_interval(interval: Option<Interval>) -> String {
    interval.map_or_else(|| NONE.to_owned(), |i| format!("[{}, {}]", points(i.low), points(i.high)))
}

/// An interval of a share in percent: `[81.2, 85.0]`.
pub fn percent_interval(interval: Option<Interval>) -> String {
    interval
        .map_or_else(|| NONE.to_owned(), |i| format!("[{}, {}]", percent(i.low), percent(i.high)))
}

/// Mean and half-width in percent: `83.1 ±1.9`, or the mean alone where there is no interval.
pub fn mean_with_half_width(mean: Option<f64>, interval: Option<Interval>) -> String {
    match (mean, interval) {
        (Some(mean), Some(interval)) => {
            format!("{} ±{}", percent(mean), percent(interval.half_width()))
        }
        (Some(mean), None) => percent(mean),
        (None, _) => NONE.to_owned(),
    }
}

/// A p value with two significant digits; `< 0.001` below, never 0.
pub fn p_value(p: f64) -> String {
    if p < 0.001 {
        "< 0.001".to_owned()
    } else if p < 0.00995 {
        format!("{p:.4}")
    } else if p < 0.0995 {
        format!("{p:.3}")
    } else if p < 0.995 {
        format!("{p:.2}")
    } else {
        "1.0".to_owned()
    }
}

/// `p 0.012`, `p < 0.001`, or a dash.
pub fn p_label(p: Option<f64>) -> String {
    p.map_or_else(|| NONE.to_owned(), |p| format!("p {}", p_value(p)))
}

/// A number in as few digits as tell it apart: at most `decimals`, no trailing zeros.
pub fn short(value: f64, decimals: usize) -> String {
    let text = format!("{value:.decimals$}");
    if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        text
    }
}

/// `1 image`, `2 images`.
pub fn count(n: u64, singular: &str, plural: &str) -> String {
    if n == 1 { format!("1 {singular}") } else { format!("{n} {plural}") }
}

/// Seconds for people: `52 s`, `3 min 20 s`, `2 h 05 min`.
pub fn duration(seconds: f64) -> String {
    let s = seconds.max(0.0).round() as u64;
    match s {
        0..60 => format!("{s} s"),
        60..3600 => format!("{} min {:02} s", s / 60, s % 60),
        _ => format!("{} h {:02} min", s / 3600, s % 3600 / 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn p_has_two_digits_and_is_never_zero() {
        let shown: Vec<_> =
            [0.0, 0.0009, 0.001, 0.00571, 0.00996, 0.012, 0.05, 0.0996, 0.114, 0.996, 1.0]
                .map(p_value)
                .into();
        assert_eq!(
            shown,
            [
                "< 0.001", "< 0.001", "0.0010", "0.0057", "0.010", "0.012", "0.050", "0.10",
                "0.11", "1.0", "1.0"
            ]
        );
    }

    #[test]
    fn a_bound_close_to_zero_keeps_its_side() {
        assert_eq!(points_interval(Some(Interval { low: 0.0001, high: 0.02 })), "[+0.0, +2.0]");
        assert_eq!(points(-0.0001), "−0.0");
        assert_eq!(points(0.0), "0.0");
    }

    #[test]
    fn durations_read_naturally() {
        assert_eq!(
            [0.4, 59.6, 200.0, 7500.0].map(duration),
            ["0 s", "1 min 00 s", "3 min 20 s", "2 h 05 min"]
        );
    }
}
