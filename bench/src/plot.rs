//! A small SVG writer: curves and dots over axes.
//!
//! Every picture has its own background, which changes together with its colours when the reader's theme
//! does, so it is readable on light and dark pages.

use std::fmt::Write as _;

/// Width of all pictures, in user units; GitHub shows them about that wide.
pub const WIDTH: f64 = 820.0;
const STYLE: &str = "\
<style>
  svg { font-family: system-ui, -apple-system, 'Segoe UI', Helvetica, Arial, sans-serif; }
  .card { fill: #ffffff; stroke: #d1d9e0; }
  text { fill: #1f2328; font-size: 14px; }
  .title { font-size: 17px; font-weight: 600; }
  .small { fill: #59636e; font-size: 13px; }
  .grid { stroke: #d1d9e0; stroke-width: 1; }
  .axis { stroke: #59636e; stroke-width: 1; }
  .schedmd { stroke: #bc4c00; fill: #bc4c00; }
  .ours { stroke: #0969da; fill: #0969da; }
  .floor { stroke: #6e7781; fill: #6e7781; }
  .curve { fill: none; stroke-width: 2.5; stroke-linejoin: round; }
  .dashed { stroke-dasharray: 7 5; }
  .hollow { fill: #ffffff; stroke-width: 2; }
  text.schedmd, text.ours, text.floor { stroke: none; font-weight: 600; }
  @media (prefers-color-scheme: dark) {
    .card { fill: #0d1117; stroke: #3d444d; }
    text { fill: #f0f6fc; }
    .small { fill: #9198a1; }
    .grid { stroke: #2f353d; }
    .axis { stroke: #9198a1; }
    .schedmd { stroke: #f0883e; fill: #f0883e; }
    .ours { stroke: #4493f8; fill: #4493f8; }
    .floor { stroke: #9198a1; fill: #9198a1; }
    .curve { fill: none; }
    .hollow { fill: #0d1117; }
  }
</style>
";

/// Owner of a curve or dot; the class of that name in the style has the colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Color {
    /// SchedMD's module.
    SchedMd,
    /// Ours.
    Ours,
    /// Neither.
    Floor,
}

impl Color {
    fn class(self) -> &'static str {
        match self {
            Self::SchedMd => "schedmd",
            Self::Ours => "ours",
            Self::Floor => "floor",
        }
    }
}

/// Position of a text in relation to its point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Anchor {
    /// The text begins there.
    Start,
    /// The text is centred there.
    Middle,
    /// The text ends there.
    End,
}

/// A picture that is being drawn.
#[derive(Debug)]
pub struct Picture {
    body: String,
    height: f64,
    title: String,
}

impl Picture {
    /// Makes an empty picture with a title and a line below it.
    pub fn new(height: f64, title: &str, subtitle: &str) -> Self {
        let mut picture = Self {
            body: String::new(),
            height,
            title: format!("{title}. {subtitle}"),
        };
        picture.text((24.0, 34.0), Anchor::Start, "title", title);
        picture.text((24.0, 56.0), Anchor::Start, "small", subtitle);
        picture
    }

    /// Draws a text with a class of the style.
    pub fn text(&mut self, (x, y): (f64, f64), anchor: Anchor, class: &str, text: &str) {
        let anchor = match anchor {
            Anchor::Start => "start",
            Anchor::Middle => "middle",
            Anchor::End => "end",
        };
        let _ = writeln!(
            self.body,
            r#"<text x="{x:.1}" y="{y:.1}" text-anchor="{anchor}" class="{class}">{}</text>"#,
            escaped(text)
        );
    }

    /// Draws a text in a curve's colour.
    pub fn label(&mut self, at: (f64, f64), anchor: Anchor, color: Color, text: &str) {
        self.text(at, anchor, color.class(), text);
    }

    /// Draws a straight line with a class of the style.
    pub fn line(&mut self, from: (f64, f64), to: (f64, f64), class: &str) {
        let _ = writeln!(
            self.body,
            r#"<line x1="{:.1}" y1="{:.1}" x2="{:.1}" y2="{:.1}" class="{class}"/>"#,
            from.0, from.1, to.0, to.1
        );
    }

    /// Draws a line in a dot's colour.
    pub fn whisker(&mut self, from: (f64, f64), to: (f64, f64), color: Color) {
        self.line(from, to, &format!("{} curve", color.class()));
    }

    /// Draws a curve through the points, with a dot at each.
    pub fn curve(&mut self, points: &[(f64, f64)], color: Color, dashed: bool) {
        let mut path = String::new();
        for (x, y) in points {
            let _ = write!(path, "{x:.1},{y:.1} ");
        }
        let dashes = if dashed { " dashed" } else { "" };
        let _ = writeln!(
            self.body,
            r#"<polyline points="{}" class="{} curve{dashes}"/>"#,
            path.trim_end(),
            color.class()
        );
        for point in points {
            self.dot(*point, color, false);
        }
    }

    /// Draws one dot, filled or not.
    pub fn dot(&mut self, (x, y): (f64, f64), color: Color, hollow: bool) {
        let hollow = if hollow { " hollow" } else { "" };
        let _ = writeln!(
            self.body,
            r#"<circle cx="{x:.1}" cy="{y:.1}" r="4.5" class="{}{hollow}"/>"#,
            color.class()
        );
    }

    /// Returns the whole file.
    pub fn finish(self) -> String {
        let Self {
            body,
            height,
            title,
        } = self;
        let title = escaped(&title);
        let (width, height_in) = (WIDTH - 1.0, height - 1.0);
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{height}\" \
             viewBox=\"0 0 {WIDTH} {height}\" role=\"img\">\n<title>{title}</title>\n{STYLE}\
             <rect x=\"0.5\" y=\"0.5\" width=\"{width}\" height=\"{height_in}\" rx=\"8\" \
             class=\"card\"/>\n{body}</svg>\n"
        )
    }
}

/// A logarithmic scale that maps a range of values to a range of places.
#[derive(Debug, Clone, Copy)]
pub struct LogScale {
    /// Exponents of ten at both ends.
    decades: (f64, f64),
    places: (f64, f64),
}

impl LogScale {
    /// Makes a scale from one whole decade to another, around all values; one decade if there are no values.
    pub fn around(values: impl IntoIterator<Item = f64>, places: (f64, f64)) -> Self {
        let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
        for value in values.into_iter().filter(|it| *it > 0.0) {
            low = low.min(value.log10().floor());
            high = high.max(value.log10().ceil());
        }
        if low > high {
            (low, high) = (0.0, 1.0);
        }
        Self {
            decades: (low, high.max(low + 1.0)),
            places,
        }
    }

    /// The place of a value above zero.
    pub fn place(&self, value: f64) -> f64 {
        let (low, high) = self.decades;
        let (start, end) = self.places;
        start + (value.log10() - low) / (high - low) * (end - start)
    }

    /// The powers of ten on the scale.
    pub fn ticks(&self) -> Vec<f64> {
        let (low, high) = self.decades;
        (low as i32..=high as i32)
            .map(|power| 10f64.powi(power))
            .collect()
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decades_around_all_values() {
        let scale = LogScale::around([0.3, 45.0], (0.0, 300.0));
        assert_eq!(scale.ticks(), [0.1, 1.0, 10.0, 100.0]);
        assert!((scale.place(1.0) - 100.0).abs() < 1e-9);
        assert!((scale.place(100.0) - 300.0).abs() < 1e-9);
        let upwards = LogScale::around([1.0, 10.0], (300.0, 0.0));
        assert!((upwards.place(1.0) - 300.0).abs() < 1e-9);
        assert_eq!(LogScale::around([], (0.0, 1.0)).ticks(), [1.0, 10.0]);
        assert_eq!(LogScale::around([1.0], (0.0, 1.0)).ticks(), [1.0, 10.0]);
        assert_eq!(
            LogScale::around([-1.0, 0.0], (0.0, 1.0)).ticks(),
            [1.0, 10.0]
        );
    }

    #[test]
    fn a_picture_is_closed_and_escaped() {
        let mut picture = Picture::new(100.0, "a < b & c", "below");
        picture.curve(&[(1.0, 2.0), (3.0, 4.0)], Color::Ours, true);
        let svg = picture.finish();
        assert!(svg.contains("a &lt; b &amp; c"), "{svg}");
        assert!(svg.contains(r#"points="1.0,2.0 3.0,4.0" class="ours curve dashed""#));
        assert!(svg.ends_with("</svg>\n"));
        assert_eq!(svg.matches("<circle").count(), 2);
    }
}
