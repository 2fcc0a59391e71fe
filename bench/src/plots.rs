//! The pictures: time by jobs of others, by size of slurm.conf, and of whole ssh logins.

use crate::jobs;
use crate::plot::{Anchor, Color, LogScale, Picture, WIDTH};
use crate::results::{Results, Row, Sample, SuiteResults};
use crate::ssh;

const HEIGHT: f64 = 440.0;
/// Positions of the axes.
const LEFT: f64 = 90.0;
const RIGHT: f64 = WIDTH - 165.0;
const TOP: f64 = 84.0;
const BOTTOM: f64 = HEIGHT - 68.0;

/// Draws all pictures that the results suffice for; returns file names and contents.
pub fn all(results: &Results) -> Vec<(String, String)> {
    let mut files = Vec::new();
    for suite in &results.suites {
        let release = suite.release();
        files.extend(by_jobs(suite).map(|svg| (format!("jobs-{release}.svg"), svg)));
        files.extend(by_conf(suite).map(|svg| (format!("conf-{release}.svg"), svg)));
    }
    files.extend(of_ssh(results).map(|svg| ("ssh.svg".into(), svg)));
    files
}

/// Net medians in milliseconds, SchedMD's and ours.
fn net(row: Option<&Row>) -> [Option<f64>; 2] {
    let Some(row) = row else { return [None; 2] };
    let Some(floor) = &row.floor else {
        return [None; 2];
    };
    // A logarithmic axis has no place for values at or below the floor.
    [&row.schedmd, &row.ours].map(|sample| {
        let net = sample.as_ref()?.median_ms - floor.median_ms;
        (net > 0.0).then_some(net)
    })
}

const COLORS: [(Color, &str); 2] = [(Color::SchedMd, "SchedMD"), (Color::Ours, "slurm-adopt")];

/// One curve: its points are a place on the x axis and milliseconds.
struct Curve {
    color: Color,
    dashed: bool,
    points: Vec<(f64, f64)>,
    label: String,
}

fn by_jobs(suite: &SuiteResults) -> Option<String> {
    let (own, title) = (0, "Login time by jobs of other users on the node");
    // Zero has its own place, left of the logarithmic part.
    let place = |others: u32| match others {
        0 => LEFT + 40.0,
        others => {
            let decades = f64::from(others).log10() / 3.0;
            LEFT + 130.0 + decades * (RIGHT - LEFT - 130.0)
        }
    };
    let curve = |index: usize| -> Curve {
        let (color, name) = COLORS[index];
        let points = jobs::OTHERS.iter().filter_map(|others| {
            let millis = net(suite.row(&jobs::id(*others, own)))[index]?;
            Some((place(*others), millis))
        });
        Curve {
            color,
            dashed: false,
            points: points.collect(),
            label: name.into(),
        }
    };
    let curves = [curve(0), curve(1)];
    let first = net(suite.row(jobs::FIRST_ID))[1];
    let subtitle = "The user has no job here. Median, less the same login with pam_permit alone.";
    let mut axes = Axes::new(&format!("{title}, Slurm {}", suite.release()), subtitle);
    let scale = axes.scale(
        curves
            .iter()
            .flat_map(|it| &it.points)
            .map(|it| it.1)
            .chain(first),
    )?;
    for others in [0, 1, 10, 100, 1000] {
        axes.x_tick(place(others), &thousands(others));
    }
    axes.x_label("jobs of other users");
    if let Some(first) = first {
        let at = (place(100), scale.place(first));
        axes.picture.dot(at, Color::Ours, true);
        let beside = (at.0 + 12.0, at.1 + 5.0);
        axes.picture
            .label(beside, Anchor::Start, Color::Ours, "the first login ever");
    }
    Some(axes.finish(&curves, scale))
}

fn by_conf(suite: &SuiteResults) -> Option<String> {
    let place = |nodes: u32| {
        let decades = f64::from(nodes).log10() / 5.0;
        LEFT + 40.0 + decades * (RIGHT - LEFT - 80.0)
    };
    // The first of a module's two curves is solid, the second dashed.
    let curve = |index: usize, form: &str, dashed: bool, what: &str| -> Curve {
        let (color, name) = COLORS[index];
        let rows = [(1, "one"), (10_000, "10000"), (100_000, "100000")];
        let points = rows.into_iter().filter_map(|(nodes, size)| {
            let id = match nodes {
                1 => form.replace("lines-", "").replace("range-", ""),
                _ => form.to_owned(),
            };
            let row = suite.row(&id.replace('*', size));
            Some((place(nodes), net(row)[index]?))
        });
        Curve {
            color,
            dashed,
            points: points.collect(),
            label: format!("{name}, {what}"),
        }
    };
    let curves = [
        curve(0, "conf-lines-*", false, "lines"),
        curve(0, "conf-range-*", true, "ranges"),
        curve(1, "conf-lines-*-first", false, "first"),
        curve(1, "conf-lines-*", true, "later"),
    ];
    let subtitle = "No job on the node. Median, less pam_permit. Ours: a first login that reads lines, and later ones.";
    let title = format!(
        "Login time by size of slurm.conf, Slurm {}",
        suite.release()
    );
    let mut axes = Axes::new(&title, subtitle);
    let scale = axes.scale(curves.iter().flat_map(|it| &it.points).map(|it| it.1))?;
    for nodes in [1, 10, 100, 1_000, 10_000, 100_000] {
        axes.x_tick(place(nodes), &thousands(nodes));
    }
    axes.x_label("nodes in slurm.conf: a NodeName line each, or a range of names");
    Some(axes.finish(&curves, scale))
}

/// A picture with the time scale at its left.
struct Axes {
    picture: Picture,
}

impl Axes {
    fn new(title: &str, subtitle: &str) -> Self {
        Self {
            picture: Picture::new(HEIGHT, title, subtitle),
        }
    }

    /// Draws the time scale in milliseconds; `None` if there is nothing to show.
    fn scale(&mut self, millis: impl Iterator<Item = f64>) -> Option<LogScale> {
        let millis: Vec<f64> = millis.collect();
        if millis.is_empty() {
            return None;
        }
        let scale = LogScale::around(millis, (BOTTOM, TOP));
        for tick in scale.ticks() {
            let y = scale.place(tick);
            self.picture.line((LEFT, y), (RIGHT, y), "grid");
            let at = (LEFT - 10.0, y + 5.0);
            self.picture.text(at, Anchor::End, "small", &time(tick));
        }
        self.picture.line((LEFT, BOTTOM), (RIGHT, BOTTOM), "axis");
        Some(scale)
    }

    fn x_tick(&mut self, x: f64, text: &str) {
        self.picture.line((x, BOTTOM), (x, BOTTOM + 6.0), "axis");
        let at = (x, BOTTOM + 23.0);
        self.picture.text(at, Anchor::Middle, "small", text);
    }

    fn x_label(&mut self, text: &str) {
        let at = (f64::midpoint(LEFT, RIGHT), BOTTOM + 50.0);
        self.picture.text(at, Anchor::Middle, "", text);
    }

    /// Draws the curves, with their names at their ends, spaced so that they do not overlap.
    fn finish(mut self, curves: &[Curve], scale: LogScale) -> String {
        let mut labels = Vec::new();
        for curve in curves {
            let points: Vec<_> = curve
                .points
                .iter()
                .map(|(x, millis)| (*x, scale.place(*millis)))
                .collect();
            self.picture.curve(&points, curve.color, curve.dashed);
            if let (Some((x, y)), Some((_, millis))) = (points.last(), curve.points.last()) {
                labels.push((*x, *y, curve, time(*millis)));
            }
        }
        labels.sort_by(|one, other| one.1.total_cmp(&other.1));
        let mut lowest = f64::NEG_INFINITY;
        for (x, y, curve, millis) in labels {
            /// Height of two lines of text.
            const TALL: f64 = 36.0;
            // The second line stays above the axis.
            let y = (y - 2.0).min(BOTTOM - 24.0).max(lowest + TALL);
            lowest = y;
            self.picture
                .label((x + 12.0, y), Anchor::Start, curve.color, &curve.label);
            let below = (x + 12.0, y + 16.0);
            self.picture.text(below, Anchor::Start, "small", &millis);
        }
        self.picture.finish()
    }
}

/// Draws dots for both modules and the floor, each with a line to the 95th percentile.
fn of_ssh(results: &Results) -> Option<String> {
    let rows = ssh_rows(results);
    let all = rows.iter().flat_map(|(_, row)| samples(row));
    let most = all
        .filter_map(|(_, sample)| Some(sample?.p95_ms))
        .fold(0.0, f64::max);
    if most <= 0.0 {
        return None;
    }
    const EACH: f64 = 56.0;
    let bottom = 112.0 + EACH * rows.len() as f64;
    let subtitle = "Public key, median and 95th percentile (line); starts at zero.";
    let mut picture = Picture::new(bottom + 62.0, "The whole of 'ssh host true'", subtitle);
    let step = step_of(most);
    let steps = (most / step).ceil();
    let place = |millis: f64| START + millis / (steps * step) * (END - START);
    for number in 0..=steps as u32 {
        let x = place(f64::from(number) * step);
        picture.line((x, 100.0), (x, bottom), "grid");
        let text = format!("{:.0} ms", f64::from(number) * step);
        picture.text((x, bottom + 22.0), Anchor::Middle, "small", &text);
    }
    legend(&mut picture);
    for (index, (name, row)) in rows.iter().enumerate() {
        let middle = 112.0 + EACH * (index as f64 + 0.5) - 6.0;
        picture.text((START - 16.0, middle + 5.0), Anchor::End, "", name);
        for (line, (color, sample)) in samples(row).into_iter().enumerate() {
            let Some(sample) = sample else { continue };
            let y = middle + (line as f64 - 1.0) * 14.0;
            let median = place(sample.median_ms);
            picture.whisker((median, y), (place(sample.p95_ms), y), color);
            picture.dot((median, y), color, false);
        }
    }
    Some(picture.finish())
}

/// The rows of all suites, with their names.
fn ssh_rows(results: &Results) -> Vec<(String, &Row)> {
    let mut rows = Vec::new();
    for suite in &results.suites {
        for (id, what) in [
            (ssh::ADOPTED_ID, "into a job"),
            (ssh::DENIED_ID, "kept out"),
        ] {
            let found = suite.row(id);
            rows.extend(found.map(|row| (format!("{}, {what}", suite.release()), row)));
        }
    }
    rows
}

fn samples(row: &Row) -> [(Color, Option<&Sample>); 3] {
    [
        (Color::Floor, row.floor.as_ref()),
        (Color::SchedMd, row.schedmd.as_ref()),
        (Color::Ours, row.ours.as_ref()),
    ]
}

/// Where the times of [`of_ssh`] begin and end.
const START: f64 = 170.0;
const END: f64 = WIDTH - 40.0;

/// Tells above the rows whose dots have which color.
fn legend(picture: &mut Picture) {
    for (right, color, name) in [
        (0.0, Color::Floor, "pam_permit, pam_deny"),
        (220.0, Color::SchedMd, "SchedMD"),
        (340.0, Color::Ours, "slurm-adopt"),
    ] {
        let x = START + right;
        picture.dot((x, 80.0), color, false);
        picture.label((x + 12.0, 85.0), Anchor::Start, color, name);
    }
}

/// A round number of which four to eight cover the whole.
fn step_of(whole: f64) -> f64 {
    let rough = whole / 8.0;
    let power = 10f64.powf(rough.log10().floor());
    let round = [1.0, 2.0, 5.0, 10.0].into_iter();
    let mut fitting = round.map(|it| it * power).filter(|it| *it >= rough);
    fitting.next().unwrap_or(power * 10.0)
}

fn time(millis: f64) -> String {
    match millis {
        ..0.0995 => format!("{:.0} us", millis * 1e3),
        ..1.0 => format!("{} ms", (millis * 100.0).round() / 100.0),
        ..10.0 => format!("{} ms", (millis * 10.0).round() / 10.0),
        ..1000.0 => format!("{millis:.0} ms"),
        _ => format!("{} s", (millis / 100.0).round() / 10.0),
    }
}

fn thousands(number: u32) -> String {
    match number {
        ..1000 => number.to_string(),
        _ => format!("{},{:03}", number / 1000, number % 1000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::tests::{row, suite};
    use crate::results::{About, ModuleFile};

    #[test]
    fn times_in_words() {
        for (millis, text) in [
            (0.01, "10 us"),
            (0.1, "0.1 ms"),
            (0.456, "0.46 ms"),
            (1.0, "1 ms"),
            (12.34, "12 ms"),
            (1234.0, "1.2 s"),
            (10_000.0, "10 s"),
        ] {
            assert_eq!(time(millis), text);
        }
        assert_eq!([1, 1000, 100_000].map(thousands), ["1", "1,000", "100,000"]);
        assert_eq!([80.0, 300.0, 412.0].map(step_of), [10.0, 50.0, 100.0]);
    }

    #[test]
    fn only_what_was_measured_is_drawn() {
        let jobs = suite(vec![
            row("jobs-0-0", [1.0, 11.0, 2.0, 0.0]),
            // Ours is below the floor: no place on the axis.
            row("jobs-10-0", [1.0, 21.0, 0.5, 0.0]),
            row("jobs-500-0", [1.0, 501.0, 3.0, 0.0]),
        ]);
        let results = Results {
            about: About::default(),
            module: ModuleFile::default(),
            suites: vec![jobs],
        };
        let files = all(&results);
        let names: Vec<&str> = files.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["jobs-26.05.svg"]);
        let svg = &files[0].1;
        assert_eq!(svg.matches("<circle").count(), 3 + 2, "{svg}");
        assert!(svg.contains("500 ms"), "{svg}");
    }
}
