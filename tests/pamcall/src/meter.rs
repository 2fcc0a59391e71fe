//! Measures what a call costs in time and page faults.

use std::time::{Duration, Instant};

use anyhow::Result;
use rustix::time::{ClockId, clock_gettime};
use serde_json::Value;

use crate::process::ThisProcess;

/// Usage of the process when the call began.
pub struct Meter<'a> {
    process: &'a ThisProcess,
    faults: [u64; 2],
    cpu: Duration,
    start: Instant,
}

/// Cost of a call.
pub struct Cost {
    micros: u64,
    /// User and system time of this process.
    cpu_micros: u64,
    /// Page faults without and with reading from the disk.
    faults: [u64; 2],
}

impl<'a> Meter<'a> {
    pub fn start(process: &'a ThisProcess) -> Result<Self> {
        Ok(Self {
            faults: process.faults()?,
            process,
            cpu: cpu_time(),
            start: Instant::now(),
        })
    }

    pub fn stop(self) -> Result<Cost> {
        let (wall, cpu) = (self.start.elapsed(), cpu_time());
        let after = self.process.faults()?;
        Ok(Cost {
            micros: u64::try_from(wall.as_micros())?,
            cpu_micros: u64::try_from(cpu.saturating_sub(self.cpu).as_micros())?,
            faults: [0, 1].map(|it| after[it].saturating_sub(self.faults[it])),
        })
    }
}

impl Cost {
    pub fn put(&self, answer: &mut Value) {
        answer["micros"] = self.micros.into();
        answer["cpu_micros"] = self.cpu_micros.into();
        answer["minflt"] = self.faults[0].into();
        answer["majflt"] = self.faults[1].into();
    }
}

fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::try_from(time).unwrap_or_default()
}
