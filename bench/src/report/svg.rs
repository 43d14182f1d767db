//! Bars in groups, drawn as SVG that fits into a page.

use std::fmt::Write;

use super::escaped;

/// A chart: in each group the same series, side by side.
#[derive(Clone, Debug, Default)]
pub(super) struct Bars {
    pub(super) title: String,
    pub(super) unit: &'static str,
    pub(super) series: Vec<String>,
    pub(super) groups: Vec<Group>,
    /// For figures of which some are a hundred times others.
    pub(super) logarithmic: bool,
}

#[derive(Clone, Debug)]
pub(super) struct Group {
    pub(super) label: String,
    /// A figure for each series, if it has one.
    pub(super) figures: Vec<Option<f64>>,
}

/// Maps figures to heights in the plot.
struct Scale {
    low: f64,
    high: f64,
    logarithmic: bool,
}

impl Bars {
    /// The chart as an `<svg>` element; nothing if there is no figure to draw.
    pub(super) fn svg(&self) -> Option<String> {
        let figures = self.groups.iter().flat_map(|group| &group.figures);
        let figures = figures.copied().flatten().filter(|figure| *figure > 0.0);
        let scale = Scale::over(figures, self.logarithmic)?;
        let mut svg = String::new();
        // Writing to a String cannot fail.
        let _ = self.draw(&scale, &mut svg);
        Some(svg)
    }

    fn draw(&self, scale: &Scale, svg: &mut String) -> std::fmt::Result {
        let plot_width = WIDTH - LEFT - RIGHT;
        let rows_of_legend = self.series.len().div_ceil(LEGEND_COLUMNS);
        let height = TOP + PLOT_HEIGHT + 40.0 + 18.0 * rows_of_legend as f64;
        let title = escaped(&self.title);
        writeln!(
            svg,
            "<svg viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" aria-label=\"{title}\">\n\
             <text class=\"title\" x=\"{LEFT}\" y=\"18\">{title}, {}</text>",
            escaped(self.unit)
        )?;
        for figure in scale.marks() {
            let y = TOP + PLOT_HEIGHT * (1.0 - scale.height(figure));
            writeln!(
                svg,
                "<line x1=\"{LEFT}\" x2=\"{}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>\
                 <text class=\"mark\" x=\"{}\" y=\"{:.1}\">{}</text>",
                WIDTH - RIGHT,
                LEFT - 6.0,
                y + 4.0,
                short(figure)
            )?;
        }
        let group_width = plot_width / self.groups.len().max(1) as f64;
        let bar_width = group_width * 0.8 / self.series.len().max(1) as f64;
        for (number, group) in self.groups.iter().enumerate() {
            let left = LEFT + group_width * number as f64;
            writeln!(
                svg,
                "<text class=\"group\" x=\"{:.1}\" y=\"{:.1}\">{}</text>",
                left + group_width / 2.0,
                TOP + PLOT_HEIGHT + 16.0,
                escaped(&group.label)
            )?;
            for (series, figure) in group.figures.iter().enumerate() {
                let Some(figure) = figure else { continue };
                let bar_height = PLOT_HEIGHT * scale.height(*figure);
                writeln!(
                    svg,
                    "<rect x=\"{:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{bar_height:.1}\" \
                     fill=\"{}\"><title>{}: {}</title></rect>",
                    left + group_width * 0.1 + bar_width * series as f64,
                    TOP + PLOT_HEIGHT - bar_height,
                    bar_width * 0.92,
                    COLOURS[series % COLOURS.len()],
                    escaped(&self.series[series]),
                    short(*figure)
                )?;
            }
        }
        for (number, series) in self.series.iter().enumerate() {
            let column = (number % LEGEND_COLUMNS) as f64;
            let row = (number / LEGEND_COLUMNS) as f64;
            let x = LEFT + plot_width / LEGEND_COLUMNS as f64 * column;
            let y = TOP + PLOT_HEIGHT + 30.0 + 18.0 * row;
            writeln!(
                svg,
                "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"12\" height=\"12\" fill=\"{}\"/>\
                 <text x=\"{:.1}\" y=\"{:.1}\">{}</text>",
                COLOURS[number % COLOURS.len()],
                x + 17.0,
                y + 10.0,
                escaped(series)
            )?;
        }
        svg.push_str("</svg>\n");
        Ok(())
    }
}

impl Scale {
    fn over(figures: impl Iterator<Item = f64> + Clone, logarithmic: bool) -> Option<Self> {
        let high = figures.clone().reduce(f64::max)?;
        let low = if logarithmic {
            // A decade below the smallest, so that its bar is seen.
            10f64.powf(figures.reduce(f64::min)?.log10().floor() - 1.0)
        } else {
            0.0
        };
        Some(Self {
            low,
            high: high * 1.05,
            logarithmic,
        })
    }

    /// 0 at the bottom, 1 at the top.
    fn height(&self, figure: f64) -> f64 {
        let part = if self.logarithmic {
            (figure.max(self.low) / self.low).log10() / (self.high / self.low).log10()
        } else {
            figure / self.high
        };
        part.clamp(0.0, 1.0)
    }

    /// Round figures for the lines behind the bars.
    fn marks(&self) -> Vec<f64> {
        let next: Box<dyn Fn(f64) -> f64> = if self.logarithmic {
            Box::new(|mark| mark * 10.0)
        } else {
            let step = round_step(self.high / 5.0);
            Box::new(move |mark| mark + step)
        };
        let marks = std::iter::successors(Some(self.low), |mark| Some(next(*mark)));
        marks.take_while(|mark| *mark <= self.high).collect()
    }
}

/// 1, 2 or 5 times a power of ten, not below `least`.
fn round_step(least: f64) -> f64 {
    let power = 10f64.powf(least.log10().floor());
    let factors = [1.0, 2.0, 5.0, 10.0];
    let factor = factors.into_iter().find(|factor| factor * power >= least);
    factor.unwrap_or(10.0) * power
}

fn short(figure: f64) -> String {
    let text = format!("{figure:.3}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    text.to_owned()
}

const WIDTH: f64 = 760.0;
const LEFT: f64 = 64.0;
const RIGHT: f64 = 12.0;
const TOP: f64 = 30.0;
const PLOT_HEIGHT: f64 = 220.0;
const LEGEND_COLUMNS: usize = 4;

/// Told apart by most eyes, on white and on black (Okabe and Ito).
const COLOURS: [&str; 7] = [
    "#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#999999",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn bars(figures: &[Option<f64>]) -> Bars {
        Bars {
            title: "a < b".to_owned(),
            unit: "ns",
            series: vec!["one".to_owned(), "two".to_owned()],
            groups: vec![Group {
                label: "64".to_owned(),
                figures: figures.to_vec(),
            }],
            logarithmic: false,
        }
    }

    #[test]
    fn each_figure_has_its_bar() {
        let svg = bars(&[Some(100.0), None]).svg().unwrap();
        assert_eq!(svg.matches("<title>one: 100</title>").count(), 1, "{svg}");
        // A bar, and two samples of colour in the legend.
        assert_eq!(svg.matches("<rect").count(), 3, "{svg}");
        assert!(svg.contains("a &lt; b") && !svg.contains("a < b"));
    }

    #[test]
    fn without_figures_there_is_no_chart() {
        assert_eq!(bars(&[None, None]).svg(), None);
    }

    #[test]
    fn the_highest_bar_nearly_fills_the_plot() {
        for logarithmic in [false, true] {
            let figures = [3.0, 40.0, 5000.0];
            let scale = Scale::over(figures.into_iter(), logarithmic).unwrap();
            let heights = figures.map(|figure| scale.height(figure));
            assert!(heights.is_sorted() && heights[2] > 0.9 && heights[2] < 1.0);
            assert!(
                (3..=7).contains(&scale.marks().len()),
                "{:?}",
                scale.marks()
            );
        }
    }

    #[test]
    fn steps_are_round() {
        let steps = [0.3, 1.0, 1.1, 4.0, 7.0].map(round_step);
        let expected = [0.5, 1.0, 2.0, 5.0, 10.0];
        assert!(
            steps
                .iter()
                .zip(expected)
                .all(|(step, it)| (step - it).abs() < 1e-9),
            "{steps:?}"
        );
    }
}
