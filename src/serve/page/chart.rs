//! Draws one quantity over time as inline SVG.
//!
//! The curve is in a nested drawing that is stretched to the available width. Labels and dots are outside of it,
//! positioned by percent, so that they keep their size on a phone. All coordinates are whole numbers from 0 to
//! [`SIDE`], for any sample values.

use crate::core::display::parsed::Value;
use crate::core::display::units::{bytes, cores, percent, span as age};
use crate::limits::CHART_SAMPLES_MAX;
use crate::serve::page::html::{clamped, element, number, put, tenths, text};

/// The width and height of the nested drawing, in its own units.
const SIDE: u64 = 1000;
/// The vertical position of the nested drawing, and its height, in pixels.
const TOP: u64 = 18;
const HEIGHT: u64 = 84;

/// A limit more than this many times the peak would flatten the curve, so it is only named in the text, not drawn.
const LIMIT_OVER_PEAK_MAX: u64 = 4;

/// The largest number of lines across a chart above the one at zero.
const GRID_LINES_MAX: u64 = 3;

/// What a quantity is measured in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unit {
    Bytes,
    BytesPerSecond,
    Millicores,
    Percent,
    Count,
    /// A number with decimals, which is drawn in thousandths.
    Thousandths,
}

impl Unit {
    /// Formats a value that was drawn.
    fn format(self, n: u64) -> String {
        match self {
            Self::Bytes => bytes(n),
            Self::BytesPerSecond => bytes(n) + "/s",
            Self::Millicores => cores(n),
            Self::Percent => percent(n),
            Self::Count => n.to_string(),
            Self::Thousandths => {
                let text = format!("{}.{:03}", n / 1000, n % 1000);
                text.trim_end_matches('0').trim_end_matches('.').to_owned()
            }
        }
    }

    /// Formats a number of a line.
    pub(super) fn format_number(self, value: f64) -> String {
        self.format(self.drawn(value))
    }

    /// Converts a number of a line to the whole number that is drawn.
    fn drawn(self, value: f64) -> u64 {
        clamped(if self == Self::Thousandths { value * 1e3 } else { value })
    }

    /// Returns the distance between the lines across a chart: a round number of the unit.
    fn step(self, highest: u64) -> u64 {
        let is_binary = matches!(self, Self::Bytes | Self::BytesPerSecond);
        let (mut step, mut n) = (if self == Self::Millicores { 10_u64 } else { 1 }, 0);
        while highest / step > GRID_LINES_MAX {
            // 1, 2, 5, 10, 20, and so on.
            step = if !is_binary && n % 3 == 1 { step / 2 * 5 } else { step * 2 };
            n += 1;
        }
        step
    }
}

/// A sample: how long before the newest sample it was taken, and its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sample {
    age_millis: u64,
    value: u64,
}

/// A chart.
#[derive(Clone, Copy, Debug)]
pub(super) struct Chart<'a> {
    /// The name of the quantity.
    pub(super) title: &'a str,
    /// The limit; drawn as a line if it is near the curve.
    pub(super) limit: Option<f64>,
    /// For each sample, how many seconds before the newest one it was taken; not a number if that is unknown.
    pub(super) ages: &'a [f64],
    /// The samples, newest last; an entry that is not a number is unknown.
    pub(super) values: &'a [Value],
    /// The unit of the values.
    pub(super) unit: Unit,
}

impl Chart<'_> {
    /// Draws the chart; writes nothing if no sample is known.
    pub(super) fn draw(&self, out: &mut String) {
        let samples = self.samples();
        let known = || samples.iter().flatten();
        let Some(peak) = known().max_by_key(|s| s.value).copied() else {
            return;
        };
        let lowest = known().map(|s| s.value).min().unwrap_or_default();
        let span = known().map(|s| s.age_millis).max().unwrap_or_default().max(1);
        let limit = self.limit.map(|limit| self.unit.drawn(limit)).filter(|limit| *limit > 0);
        let is_near = |limit: &u64| *limit <= peak.value.saturating_mul(LIMIT_OVER_PEAK_MAX);
        let drawn = limit.filter(is_near);
        let highest = peak.value.max(drawn.unwrap_or_default()).max(1);
        let scale = Scale { span, top: highest + highest / 12 };

        element(out, "<figure><figcaption><b>", self.title, "</b> ");
        let facts = self.facts(&samples, peak, lowest, limit);
        text(out, &facts);
        put(out, "</figcaption><svg class=\"c\" role=\"img\" height=\"122\">");
        element(out, "<title>", self.title, "</title><desc>");
        text(out, &facts);
        out.push_str(
            "</desc><svg y=\"18\" width=\"100%\" height=\"84\" viewBox=\"0 0 1000 1000\" ",
        );
        put(out, "preserveAspectRatio=\"none\"><path class=\"base\" d=\"M0 0V1000H1000\"/>");
        let step = self.unit.step(highest);
        let grid: Vec<u64> = (0..=highest / step).map(|n| n * step).collect();
        put(out, "<path class=\"grid\" d=\"M500 0V1000");
        for value in &grid {
            put(out, "M0 ");
            number(out, scale.y(*value));
            put(out, "H1000");
        }
        put(out, "\"/>");
        for run in samples.split(Option::is_none).filter(|run| !run.is_empty()) {
            scale.curve(out, run);
        }
        if let Some(limit) = drawn {
            put(out, "<path class=\"limit\" d=\"M0 ");
            number(out, scale.y(limit));
            put(out, "H1000\"/>");
        }
        put(out, "</svg>");
        for value in grid {
            put(out, "<text class=\"a\" x=\"-6\" y=\"");
            number(out, pixels(scale.y(value)) + 4);
            element(out, "\" text-anchor=\"end\">", &self.unit.format(value), "</text>");
        }
        if let Some(limit) = drawn {
            let y = pixels(scale.y(limit)) - 4;
            label(out, 0, y, "start", "limit ", &self.unit.format(limit));
        }
        scale.mark(out, peak, &self.unit.format(peak.value), drawn.is_some());
        label(out, 0, 118, "start", "\u{2212}", &age(span.div_ceil(1000)));
        label(out, SIDE / 2, 118, "middle", "\u{2212}", &age(span.div_ceil(2000)));
        label(out, SIDE, 118, "end", "last sample", "");
        put(out, "</svg></figure>");
    }

    /// Returns the samples to draw: the newest ones, up to a limit.
    fn samples(&self) -> Vec<Option<Sample>> {
        let count = self.values.len().min(self.ages.len());
        let from = count.saturating_sub(CHART_SAMPLES_MAX);
        let pairs = self.values[from..count].iter().zip(&self.ages[from..count]);
        pairs
            .map(|(value, age)| {
                let Value::Number(value) = value else {
                    return None;
                };
                let is_finite = value.is_finite() && age.is_finite();
                is_finite.then(|| Sample {
                    age_millis: clamped(age * 1e3),
                    value: self.unit.drawn(*value),
                })
            })
            .collect()
    }

    /// Describes the chart in words.
    fn facts(
        &self,
        samples: &[Option<Sample>],
        peak: Sample,
        lowest: u64,
        limit: Option<u64>,
    ) -> String {
        let unit = |value| self.unit.format(value);
        let mut facts = String::new();
        if let Some(last) = samples.iter().rev().flatten().next() {
            facts.push_str(&unit(last.value));
            facts.push_str(" at the last sample, ");
        }
        if lowest == peak.value {
            facts = unit(lowest) + " all the time";
        } else {
            facts.push_str("between ");
            facts.push_str(&unit(lowest));
            facts.push_str(" and ");
            facts.push_str(&unit(peak.value));
        }
        if let Some(limit) = limit {
            facts.push_str("; limit ");
            facts.push_str(&unit(limit));
        }
        facts
    }
}

/// Converts samples to coordinates in the nested drawing.
struct Scale {
    /// The age of the oldest sample.
    span: u64,
    /// The value at the upper edge.
    top: u64,
}

impl Scale {
    fn x(&self, sample: Sample) -> u64 {
        SIDE - (sample.age_millis.min(self.span) * SIDE / self.span).min(SIDE)
    }

    fn y(&self, value: u64) -> u64 {
        SIDE - (value.min(self.top) * SIDE / self.top).min(SIDE)
    }

    /// Draws consecutive known samples: the area below them, and the line.
    fn curve(&self, out: &mut String, run: &[Option<Sample>]) {
        let (Some(Some(first)), Some(Some(last))) = (run.first(), run.last()) else {
            return;
        };
        put(out, "<path class=\"area\" d=\"M");
        number(out, self.x(*first));
        put(out, " 1000");
        self.points(out, run, "L");
        out.push('L');
        number(out, self.x(*last));
        put(out, " 1000Z\"/><path class=\"line\" d=\"");
        self.points(out, run, "M");
        if run.len() == 1 {
            // A line from a point to itself: its round ends show as a dot.
            self.points(out, run, "L");
        }
        put(out, "\"/>");
    }

    fn points(&self, out: &mut String, run: &[Option<Sample>], first: &'static str) {
        let mut command = first;
        for sample in run.iter().flatten() {
            put(out, command);
            number(out, self.x(*sample));
            out.push(' ');
            number(out, self.y(sample.value));
            command = "L";
        }
    }

    /// Marks the peak. Its label points towards the middle, where it collides neither with the label of a limit nor,
    /// usually, with the curve.
    fn mark(&self, out: &mut String, peak: Sample, value: &str, has_limit: bool) {
        let (x, y) = (self.x(peak), pixels(self.y(peak.value)));
        put(out, "<circle r=\"3.5\" cx=\"");
        tenths(out, x);
        put(out, "%\" cy=\"");
        number(out, y);
        put(out, "\"/>");
        let is_late = x >= SIDE / 2;
        let place = match y < TOP + HEIGHT / 3 {
            // On the same height as the label of a limit, which starts at the left.
            true if is_late || !has_limit => TOP - 6,
            true => y + 17,
            false => y - 8,
        };
        label(out, x, place, if is_late { "end" } else { "start" }, "peak ", value);
    }
}

/// Converts a height in the nested drawing to pixels in the outer one.
fn pixels(y: u64) -> u64 {
    TOP + y * HEIGHT / SIDE
}

fn label(
    out: &mut String,
    x: u64,
    y: u64,
    anchor: &'static str,
    before: &'static str,
    value: &str,
) {
    put(out, "<text x=\"");
    tenths(out, x);
    put(out, "%\" y=\"");
    number(out, y);
    put(out, "\" text-anchor=\"");
    put(out, anchor);
    put(out, "\">");
    element(out, before, value, "</text>");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draw(ages: &[f64], values: &[Option<f64>], limit: Option<f64>) -> String {
        let mut out = String::new();
        let values: Vec<_> = values.iter().map(|v| v.map_or(Value::Null, Value::Number)).collect();
        Chart { title: "Memory", limit, ages, values: &values, unit: Unit::Bytes }.draw(&mut out);
        out
    }

    #[test]
    fn the_curve_ends_at_the_right_and_gaps_are_left_open() {
        let values = [Some(0.0), Some(50.0), None, Some(96.0), Some(24.0)];
        let svg = draw(&[20.0, 15.0, 10.0, 5.0, 0.0], &values, Some(96.0));
        // The upper edge is a twelfth above the peak.
        assert!(svg.contains("class=\"line\" d=\"M0 1000L250 520\"/>"), "{svg}");
        assert!(svg.contains("class=\"line\" d=\"M750 77L1000 770\"/>"), "{svg}");
        assert!(svg.contains("class=\"limit\" d=\"M0 77H1000\"/>"), "{svg}");
        for label in [
            ">peak 96 B<",
            ">limit 96 B<",
            ">\u{2212}20 s<",
            ">\u{2212}10 s<",
            ">last sample<",
            ">0 B<",
            ">32 B<",
            ">64 B<",
        ] {
            assert!(svg.contains(label), "{label}: {svg}");
        }
        assert!(svg.contains("24 B at the last sample, between 0 B and 96 B; limit 96 B"), "{svg}");
    }

    #[test]
    fn a_far_limit_is_told_and_does_not_press_the_curve_flat() {
        let svg = draw(&[5.0, 0.0], &[Some(10.0), Some(12.0)], Some(1000.0));
        assert!(!svg.contains("class=\"limit\"") && svg.contains("limit 1000 B"), "{svg}");
    }

    #[test]
    fn no_sample_makes_a_coordinate_that_is_no_number_of_the_drawing() {
        let wild = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -1.0, 0.0, 1e300, f64::MAX, 1.5];
        for a in wild {
            for b in wild {
                for limit in wild {
                    let svg = draw(&[a, b, 0.0], &[Some(b), Some(a), Some(1.0)], Some(limit));
                    for part in svg.split("d=\"").skip(1) {
                        let path = part.split('"').next().unwrap();
                        for n in
                            path.split(['M', 'L', 'H', 'V', 'Z', ' ']).filter(|n| !n.is_empty())
                        {
                            assert!(n.parse::<u64>().unwrap() <= SIDE, "{path}");
                        }
                    }
                    assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
                }
            }
        }
        assert_eq!(draw(&[], &[], Some(1.0)), "");
        assert_eq!(draw(&[0.0, 0.0], &[None, Some(f64::NAN)], None), "");
    }

    #[test]
    fn a_chart_has_a_bound_whatever_comes() {
        let ages: Vec<f64> = (0..10_000).map(|n| f64::from(10_000 - n)).collect();
        let values: Vec<_> = ages.iter().map(|age| Some(age * 1e9)).collect();
        let svg = draw(&ages, &values, Some(1.0));
        assert!(svg.len() < CHART_SAMPLES_MAX * 20 + 1500, "{}", svg.len());
    }
}
