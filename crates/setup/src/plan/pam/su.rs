//! su, whose session leaves the job.

use crate::plan::Work;

/// Plans the lines of su.
pub(super) fn plan(work: &mut Work<'_>) -> Result<(), String> {
    let _ = work;
    Ok(())
}
