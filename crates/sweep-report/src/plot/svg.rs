//! The few SVG elements the figures need, with fixed number formatting, and axes with round ticks.

use std::fmt::Write as _;

/// Classes of all figures; light and dark.
pub const STYLE: &str = include_str!("figure.css");

/// A canvas that elements are appended to.
#[derive(Default)]
pub(crate) struct Canvas {
    body: String,
}

/// Where text hangs.
#[derive(Clone, Copy)]
pub(crate) enum Anchor {
    Start,
    Middle,
    End,
}

impl Anchor {
    fn name(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Middle => "middle",
            Self::End => "end",
        }
    }
}

/// A coordinate with at most one decimal: fixed bytes on every machine.
pub(crate) fn num(x: f64) -> String {
    let text = format!("{x:.1}");
    match text.strip_suffix(".0") {
        Some("-0") => "0".to_owned(),
        Some(whole) => whole.to_owned(),
        None => text,
    }
}

/// Text that is safe between tags and in attributes.
pub(crate) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            // Not allowed in XML at all.
            c if c.is_control() && c != '\n' && c != '\t' => {}
            c => out.push(c),
        }
    }
    out
}

impl Canvas {
    pub(crate) fn line(&mut self, class: &str, (x1, y1): (f64, f64), (x2, y2): (f64, f64)) {
        self.push(&format!(
            "<line class=\"{class}\" x1=\"{}\" y1=\"{}\" x2=\"{}\" y2=\"{}\"/>",
            num(x1),
            num(y1),
            num(x2),
            num(y2)
        ));
    }

    pub(crate) fn rect(&mut self, class: &str, (x, y): (f64, f64), (width, height): (f64, f64)) {
        let (width, height) = (width.max(0.0), height.max(0.0));
        self.push(&format!(
            "<rect class=\"{class}\" x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\"/>",
            num(x),
            num(y),
            num(width),
            num(height)
        ));
    }

    pub(crate) fn circle(&mut self, class: &str, (x, y): (f64, f64), radius: f64, tip: &str) {
        let title =
            if tip.is_empty() { String::new() } else { format!("<title>{}</title>", escape(tip)) };
        self.push(&format!(
            "<circle class=\"{class}\" cx=\"{}\" cy=\"{}\" r=\"{}\">{title}</circle>",
            num(x),
            num(y),
            num(radius)
        ));
    }

    pub(crate) fn text(&mut self, class: &str, (x, y): (f64, f64), anchor: Anchor, text: &str) {
        self.push(&format!(
            "<text class=\"{class}\" x=\"{}\" y=\"{}\" text-anchor=\"{}\">{}</text>",
            num(x),
            num(y),
            anchor.name(),
            escape(text)
        ));
    }

    /// A polyline, or a closed area.
    pub(crate) fn path(&mut self, class: &str, points: &[(f64, f64)], closed: bool) {
        let Some((first, rest)) = points.split_first() else { return };
        let mut d = format!("M{} {}", num(first.0), num(first.1));
        for (x, y) in rest {
            let _ = write!(d, "L{} {}", num(*x), num(*y));
        }
        if closed {
            d.push('Z');
        }
        self.push(&format!("<path class=\"{class}\" d=\"{d}\"/>"));
    }

    pub(crate) fn raw(&mut self, element: &str) {
        self.push(element);
    }

    pub(crate) fn finish(self) -> String {
        self.body
    }

    fn push(&mut self, element: &str) {
        self.body.push_str(element);
        self.body.push('\n');
    }
}

/// A linear scale from values to coordinates.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scale {
    low: f64,
    high: f64,
    from: f64,
    to: f64,
}

impl Scale {
    /// Maps `low..high` to `from..to`; an empty range is widened, so that one value has a place.
    pub(crate) fn new((low, high): (f64, f64), (from, to): (f64, f64)) -> Self {
        let (low, high) = if high > low { (low, high) } else { (low - 0.5, high + 0.5) };
        Self { low, high, from, to }
    }

    /// The coordinate of a value.
    pub(crate) fn at(&self, value: f64) -> f64 {
        self.from + (value - self.low) / (self.high - self.low) * (self.to - self.from)
    }

    /// About `wanted` round values within the range, and the decimals that tell them apart.
    pub(crate) fn ticks(&self, wanted: usize) -> (Vec<f64>, usize) {
        let raw = (self.high - self.low) / wanted.max(1) as f64;
        let magnitude = 10f64.powf(raw.log10().floor());
        let step = [1.0, 2.0, 5.0, 10.0]
            .into_iter()
            .map(|s| s * magnitude)
            .find(|s| *s >= raw * 0.999)
            .unwrap_or(magnitude * 10.0);
        let decimals = (-step.log10().floor()).max(0.0) as usize;
        let first = (self.low / step).ceil() as i64;
        let last = (self.high / step).floor() as i64;
        ((first..=last).take(64).map(|i| i as f64 * step).collect(), decimals)
    }
}

/// `text` in at most `chars` characters.
pub(crate) fn shorten(text: &str, chars: usize) -> String {
    if text.chars().count() <= chars {
        return text.to_owned();
    }
    let kept: String = text.chars().take(chars.saturating_sub(1)).collect();
    format!("{kept}…")
}

/// Width of a label column in pixels for text of 12 px.
pub(crate) fn label_width<'a>(labels: impl Iterator<Item = &'a str>) -> f64 {
    let longest = labels.map(|l| l.chars().count()).max().unwrap_or(0).min(MAX_LABEL);
    longest as f64 * 7.2 + 16.0
}

/// Characters of a label before it is shortened.
pub(crate) const MAX_LABEL: usize = 44;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_inside() {
        let (ticks, decimals) = Scale::new((81.3, 92.7), (0.0, 100.0)).ticks(6);
        assert_eq!(ticks, [82.0, 84.0, 86.0, 88.0, 90.0, 92.0]);
        assert_eq!(decimals, 0);
        let (ticks, decimals) = Scale::new((-0.7, 0.2), (0.0, 100.0)).ticks(5);
        assert_eq!((ticks.len(), decimals), (5, 1));
    }

    #[test]
    fn a_single_value_has_a_place() {
        let scale = Scale::new((90.0, 90.0), (0.0, 100.0));
        assert_eq!(scale.at(90.0), 50.0);
    }

    #[test]
    fn text_cannot_leave_its_element() {
        assert_eq!(escape("<script>\"a\" & b\u{7}"), "&lt;script&gt;&quot;a&quot; &amp; b");
    }
}
