//! What a call took of time, memory and page faults.

use std::time::{Duration, Instant};

use anyhow::Result;
use rustix::time::{ClockId, clock_gettime};
use serde_json::Value;

use crate::process::ThisProcess;

/// What the process had used when the call began.
pub struct Meter<'a> {
    process: &'a ThisProcess,
    faults: [u64; 2],
    cpu: Duration,
    start: Instant,
}

/// What a call took.
pub struct Cost {
    micros: u64,
    /// Processor time of this process, user's and system's.
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
