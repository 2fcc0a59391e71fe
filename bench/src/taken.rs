//! Reports of `pamcall --repeat` about its logins.

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::results::Sample;
use crate::stats::{median, percentile};

/// Costs of many logins, one entry each.
#[derive(Debug, Default)]
pub struct Taken {
    /// Wall-clock time.
    pub millis: Vec<f64>,
    cpu_millis: Vec<f64>,
    minflt: Vec<f64>,
    majflt: Vec<f64>,
}

impl Taken {
    /// Adds the lists of `pamcall --repeat`; all its logins must have returned this code.
    pub fn add(&mut self, answer: &Value, code: Option<i64>, count: usize) -> Result<()> {
        let list = |name: &str| -> Result<Vec<f64>> {
            let values = answer[name].as_array();
            let values = values.with_context(|| format!("pamcall: no {name}"))?;
            let numbers: Vec<f64> = values.iter().filter_map(Value::as_f64).collect();
            ensure!(numbers.len() == count, "pamcall: {name} is {values:?}");
            Ok(numbers)
        };
        if let Some(code) = code {
            let codes = list("code")?;
            let expected = code as f64;
            ensure!(
                codes.iter().all(|it| *it == expected),
                "codes other than {code}: {codes:?}"
            );
        }
        let millis = |micros: Vec<f64>| micros.into_iter().map(|it| it / 1e3);
        self.millis.extend(millis(list("micros")?));
        self.cpu_millis.extend(millis(list("cpu_micros")?));
        self.minflt.extend(list("minflt")?);
        self.majflt.extend(list("majflt")?);
        Ok(())
    }

    /// Medians and percentiles of all.
    pub fn sample(&self) -> Sample {
        Sample {
            logins: self.millis.len(),
            median_ms: median(&self.millis),
            p95_ms: percentile(&self.millis, 95.0),
            p99_ms: percentile(&self.millis, 99.0),
            cpu_ms: median(&self.cpu_millis),
            minflt: median(&self.minflt),
            majflt: median(&self.majflt),
            private_kib: None,
            syscalls: None,
            read_bytes: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn answers_add_up() {
        let answer = |code: i64| {
            json!({
                "micros": [1000, 3000], "cpu_micros": [500, 500],
                "minflt": [1, 2], "majflt": [0, 0], "code": [code, 6],
            })
        };
        let mut taken = Taken::default();
        taken.add(&answer(6), Some(6), 2).expect("good");
        taken.add(&answer(6), None, 2).expect("good");
        let sample = taken.sample();
        assert_eq!((sample.logins, sample.median_ms), (4, 2.0));
        assert_eq!((sample.cpu_ms, sample.minflt), (0.5, 1.5));
        let error = taken.add(&answer(0), Some(6), 2).expect_err("one got in");
        assert!(error.to_string().contains("[0.0, 6.0]"), "{error}");
        taken
            .add(&answer(6), Some(6), 3)
            .expect_err("one is missing");
    }
}
