//! Measurements, what they should be, and the table of both.

use std::io::Write;
use std::time::Duration;

use super::machine;

/// Numbers of one kind, a round each.
#[derive(Clone, Debug)]
pub(crate) struct Numbers {
    values: Vec<f64>,
    unit: Unit,
}

/// What the numbers are.
#[derive(Clone, Copy, Debug)]
enum Unit {
    Seconds,
    Bytes,
}

impl Numbers {
    /// Seconds.
    pub(crate) fn seconds() -> Numbers {
        Numbers { values: Vec::new(), unit: Unit::Seconds }
    }

    /// Bytes.
    pub(crate) fn bytes() -> Numbers {
        Numbers { values: Vec::new(), unit: Unit::Bytes }
    }

    /// Takes a time.
    pub(crate) fn time(&mut self, time: Duration) {
        self.values.push(time.as_secs_f64());
    }

    /// Takes an amount of memory.
    pub(crate) fn memory(&mut self, bytes: u64) {
        self.values.push(u32::try_from(bytes >> 10).map_or(f64::INFINITY, |kib| f64::from(kib) * 1024.0));
    }

    /// Whether nothing was measured.
    pub(crate) fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// The one in the middle.
    pub(crate) fn median(&self) -> f64 {
        let mut sorted = self.values.clone();
        sorted.sort_by(f64::total_cmp);
        let middle = sorted.len() / 2;
        match (sorted.get(middle.wrapping_sub(1)), sorted.get(middle)) {
            (Some(below), Some(above)) if sorted.len().is_multiple_of(2) => f64::midpoint(*below, *above),
            (_, Some(value)) => *value,
            (_, None) => f64::NAN,
        }
    }

    fn told(&self) -> String {
        let least = self.values.iter().copied().fold(f64::INFINITY, f64::min);
        let most = self.values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let show = |value: f64| match self.unit {
            Unit::Seconds if most < 0.1 => format!("{:.1} ms", value * 1e3),
            Unit::Seconds if most < 1.0 => format!("{:.0} ms", value * 1e3),
            Unit::Seconds => format!("{value:.2} s"),
            Unit::Bytes if most < 1e6 => format!("{:.1} KB", value / 1e3),
            Unit::Bytes => format!("{:.1} MB", value / 1e6),
        };
        match self.values.len() {
            0 => String::new(),
            1 => show(self.median()),
            _ => format!("{} ({} - {})", show(self.median()), show(least), show(most)),
        }
    }
}

/// What is wished of a number.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Target {
    /// At most so many times the stock one.
    Times(f64),
    /// Less than so much, in seconds or bytes.
    Below(f64),
    /// Told, and nothing wished of it.
    None,
}

/// The table.
pub(crate) struct Table {
    /// What stands above the two columns of numbers.
    heads: [&'static str; 2],
    rows: Vec<[String; 6]>,
    missed: usize,
}

impl Default for Table {
    fn default() -> Table {
        Table::of(["rsync", "headwater"])
    }
}

impl Table {
    /// A table that holds one thing against another; the targets are for the second one.
    pub(crate) fn of(heads: [&'static str; 2]) -> Table {
        Table { heads, rows: Vec::new(), missed: 0 }
    }

    /// How many targets were missed so far.
    pub(crate) fn missed(&self) -> usize {
        self.missed
    }

    /// Whether it has no rows.
    pub(crate) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Adds a row; `stock` has no numbers where there is nothing to compare with.
    pub(crate) fn row(&mut self, what: &str, stock: Option<&Numbers>, ours: &Numbers, target: Target) {
        // Nothing over nothing is no ratio: too little was done to be seen.
        let ratio = stock.map(|stock| ours.median() / stock.median()).filter(|ratio| !ratio.is_nan());
        let (wish, met) = match target {
            Target::Times(limit) => {
                let wish = if limit < 0.5 { format!("<= 1/{:.0}", 1.0 / limit) } else { format!("<= {limit} x") };
                (wish, ratio.map(|ratio| ratio <= limit))
            }
            Target::Below(limit) => {
                let mut wish = Numbers { values: Vec::new(), unit: ours.unit };
                wish.values.push(limit);
                (format!("< {}", wish.told()), Some(ours.median() < limit))
            }
            Target::None => (String::new(), None),
        };
        let told = match ratio {
            Some(ratio) if ratio < 0.001 => "0".to_owned(),
            Some(ratio) if ratio < 0.5 => format!("{ratio:.3} (1/{:.0})", 1.0 / ratio),
            Some(ratio) => format!("{ratio:.2}"),
            None => "-".to_owned(),
        };
        let verdict = match met {
            Some(true) => "met",
            Some(false) => "MISSED",
            None => "",
        };
        self.missed += usize::from(met == Some(false));
        let stock = stock.map_or("-".to_owned(), Numbers::told);
        self.rows.push([what.to_owned(), stock, ours.told(), told, wish, verdict.to_owned()]);
    }

    /// Prints it, below what it was measured with and above what is to be known about it.
    pub(crate) fn print(self, sample: &str, machine: &str, notes: &str) -> anyhow::Result<()> {
        let [first, second] = self.heads;
        let head = ["", first, second, "ratio", "target", ""].map(str::to_owned);
        let widths: Vec<usize> = (0..head.len())
            .map(|column| self.rows.iter().chain([&head]).filter_map(|row| row.get(column)).map(String::len).max())
            .map(Option::unwrap_or_default)
            .collect();
        let mut out = std::io::stdout().lock();
        writeln!(out, "\n{machine}{sample}\n")?;
        for row in [&head].into_iter().chain(&self.rows) {
            let cells: Vec<String> = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
            writeln!(out, "{}", cells.join("  ").trim_end())?;
        }
        let cores = machine::cores();
        writeln!(out, "\nMedian (least - most). {notes}")?;
        match self.missed {
            0 => writeln!(out, "All targets met on {cores} cores.")?,
            missed => writeln!(out, "MISSED: {missed} of the targets on {cores} cores.")?,
        }
        Ok(())
    }
}
