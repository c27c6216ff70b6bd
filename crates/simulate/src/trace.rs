//! A load over time, second by second.

use tidemill_model::{Error, Result};

/// Arrivals per second, and the times at which the source cannot be asked.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Trace {
    /// Its name.
    pub name: String,
    /// Records that arrive in each second.
    pub arrivals: Vec<f64>,
    /// Seconds (from, to) in which nothing can be read and all facts of the source are unknown.
    pub outages: Vec<(usize, usize)>,
}

impl Trace {
    /// A trace without outages.
    pub fn new(name: &str, arrivals: Vec<f64>) -> Trace {
        Trace { name: name.to_owned(), arrivals, outages: Vec::new() }
    }

    /// Parses `second,records_per_second` lines, with an optional heading. A rate holds until the next line; the last
    /// line ends the trace.
    ///
    /// # Errors
    /// With the line number: a line that is not two numbers, seconds that do not increase, a negative rate, or an empty
    /// file.
    pub fn from_csv(name: &str, text: &str) -> Result<Trace> {
        let mut arrivals: Vec<f64> = Vec::new();
        let mut present = None;
        for (index, line) in text.lines().enumerate() {
            let Some((second, rate)) = csv_line(line) else {
                if line.trim().is_empty() || (index == 0 && present.is_none()) {
                    continue;
                }
                return Err(wrong_line(name, index, "is not `second,records_per_second`; write two numbers"));
            };
            if second < arrivals.len() || (present.is_some() && second == arrivals.len()) {
                return Err(wrong_line(name, index, "goes back in time; sort the lines by their second"));
            }
            arrivals.resize(second, present.unwrap_or(0.0));
            present = Some(rate);
        }
        let Some(last) = present else {
            return Err(Error::user(format!("{name}: no line `second,records_per_second`; write at least one")));
        };
        arrivals.push(last);
        Ok(Trace::new(name, arrivals))
    }

    /// Length in seconds.
    pub fn seconds(&self) -> usize {
        self.arrivals.len()
    }

    /// All records.
    pub fn records(&self) -> f64 {
        self.arrivals.iter().sum()
    }

    /// Whether the source is out in this second.
    pub fn is_out(&self, second: usize) -> bool {
        self.outages.iter().any(|&(from, to)| (from..to).contains(&second))
    }
}

fn csv_line(line: &str) -> Option<(usize, f64)> {
    let (second, rate) = line.split_once(',')?;
    let (second, rate): (f64, f64) = (second.trim().parse().ok()?, rate.trim().parse().ok()?);
    ((0.0..1e9).contains(&second) && (0.0..f64::INFINITY).contains(&rate)).then_some((second as usize, rate))
}

fn wrong_line(name: &str, index: usize, what: &str) -> Error {
    Error::user(format!("{name}:{}: the line {what}", index + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &str) {
        let seen = match Trace::from_csv("t.csv", text) {
            Ok(trace) => format!("{:?}", trace.arrivals),
            Err(error) => error.to_string(),
        };
        assert_eq!(seen, expected, "{text:?}");
    }

    #[test]
    fn a_csv_is_seconds_and_rates() {
        check("second,rate\n0,5\n1,6\n3,7\n", "[5.0, 6.0, 6.0, 7.0]");
        check("2,5\n", "[0.0, 0.0, 5.0]");
        check("0, 1.5 \n\n1,2\n", "[1.5, 2.0]");
        check("0,5\nx,6\n", "t.csv:2: the line is not `second,records_per_second`; write two numbers");
        check("0,5\n1,-6\n", "t.csv:2: the line is not `second,records_per_second`; write two numbers");
        check("3,5\n3,6\n", "t.csv:2: the line goes back in time; sort the lines by their second");
        check("second,rate\n", "t.csv: no line `second,records_per_second`; write at least one");
    }
}
