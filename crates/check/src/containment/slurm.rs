//! What Slurm is configured to constrain, and what it gave to a job.

use std::io;

use proto::conf::{self, Setting};
use proto::hostlist;

use super::probe::{Constraint, Slurm};
use crate::Spot;
use crate::host::Host;
use crate::host::slurm_conf::is_yes;

/// Reads cgroup.conf beside slurm.conf, and slurm.conf.
pub(super) fn settings(host: &Host) -> Slurm {
    let Ok(slurm) = host.slurm_conf() else {
        return Slurm::default();
    };
    let file = slurm.path.with_file_name("cgroup.conf");
    let file = file.to_string_lossy();
    let bytes = host.tree.read(file.as_ref()).unwrap_or_default();
    let gres = slurm.value("GresTypes").unwrap_or_default();
    Slurm {
        has_gpus: gres.split(',').any(|it| it.eq_ignore_ascii_case("gpu")),
        ..constraints(&file, &bytes, slurm.uses_task_cgroup())
    }
}

fn constraints(file: &str, bytes: &[u8], has_task_cgroup: bool) -> Slurm {
    let mut no_include = |_: &str, _: &str| Err(io::ErrorKind::NotFound.into());
    let (settings, _) = conf::settings(file, bytes, &mut no_include);
    let text = String::from_utf8_lossy(bytes);
    let constraint = |key: &str| {
        let mut lines = settings.iter().rev();
        let line = lines.find(|it| it.value(key).is_some());
        let value = line.and_then(|it| it.value(key)).unwrap_or_default();
        Constraint {
            is_on: is_yes(value) == Some(true) && has_task_cgroup,
            spot: Some(match line {
                None => Spot::file(file),
                Some(line) => spot(line, &text, key),
            }),
        }
    };
    Slurm {
        cores: constraint("ConstrainCores"),
        ram: constraint("ConstrainRAMSpace"),
        devices: constraint("ConstrainDevices"),
        has_gpus: false,
    }
}

fn spot(line: &Setting, text: &str, key: &str) -> Spot {
    let written = text.lines().nth(line.line.saturating_sub(1));
    let written = written.unwrap_or_default();
    let at = written.to_ascii_lowercase().find(&key.to_ascii_lowercase());
    let word = at.and_then(|at| written[at..].split_whitespace().next());
    let spot = Spot::line(&line.file, line.line, written.trim_end());
    spot.mark(word.unwrap_or_default())
}

/// The number of GPUs that a job has on this node, by `scontrol -d show job`; None if it does not say.
pub(super) fn gpus_of_job(printed: &str, node: &str) -> Option<u64> {
    let mut is_here = false;
    let mut is_told = false;
    let mut count = 0;
    for word in printed.split_whitespace() {
        let Some((key, value)) = word.split_once('=') else {
            continue;
        };
        match key {
            "Nodes" => {
                is_here = matches!(hostlist::position(value, node), Ok(Some(_)));
                is_told |= is_here;
            }
            "GRES" if is_here => {
                // A part of a GPU opens the device of the whole.
                if value
                    .split(',')
                    .any(|it| it.starts_with("shard") || it.starts_with("mps"))
                {
                    return None;
                }
                count += gpus_in(value)?;
            }
            _ => {}
        }
    }
    is_told.then_some(count)
}

/// Counts the GPUs in a list such as `gpu:a100:2(IDX:0,3),license:1`.
fn gpus_in(list: &str) -> Option<u64> {
    let mut count: u64 = 0;
    let mut depth = 0;
    let separates = |sign: char| {
        match sign {
            '(' => depth += 1,
            ')' => depth -= 1,
            _ => {}
        }
        sign == ',' && depth == 0
    };
    for gres in list.split(separates) {
        let gres = gres.split('(').next().unwrap_or_default();
        let mut parts = gres.split(':');
        if parts.next() == Some("gpu") {
            let number = parts.next_back().map_or(Some(1), |it| it.parse().ok())?;
            count = count.checked_add(number)?;
        }
    }
    Some(count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cgroup_conf_constrains() {
        let text = "CgroupPlugin=autodetect\n# all of it\nConstrainCores=yes\nconstrainramspace = no # yet\n";
        let on = |has_task_cgroup| {
            let it = constraints("/etc/slurm/cgroup.conf", text.as_bytes(), has_task_cgroup);
            (it.cores.is_on, it.ram.is_on, it.devices.is_on)
        };
        assert_eq!(on(true), (true, false, false));
        assert_eq!(on(false), (false, false, false));
        let it = constraints("c", text.as_bytes(), true);
        let ram = it.ram.spot.expect("a line");
        assert_eq!((ram.line, ram.mark), (Some(4), Some(0..17)));
        let devices = it.devices.spot.expect("the file");
        assert_eq!((devices.file.as_str(), devices.line), ("c", None));
    }

    #[test]
    fn the_gpus_of_a_job() {
        let printed = "JobId=7 JobName=x\n   NumNodes=2 Gres=(null)\n   JOB_GRES=gpu:3\n     \
                       Nodes=n1 CPU_IDs=0-1 Mem=200 GRES=gpu:a100:2(IDX:0,3)\n     \
                       Nodes=n[2-3] CPU_IDs=0 Mem=200 GRES=gpu:1(IDX:0)\n     Nodes=n4 CPU_IDs=0 Mem=1 GRES=\n";
        for (node, count) in [
            ("n1", Some(2)),
            ("n3", Some(1)),
            ("n4", Some(0)),
            ("n5", None),
        ] {
            assert_eq!(gpus_of_job(printed, node), count, "{node}");
        }
        for (list, count) in [
            ("", Some(0)),
            ("gpu:1", Some(1)),
            ("gpu", Some(1)),
            ("gpu:a:1(IDX:0),gpu:b:2(IDX:1-2),lic:9", Some(3)),
            ("gpu:many", None),
        ] {
            assert_eq!(gpus_in(list), count, "{list}");
        }
        let shared = "Nodes=n1 CPU_IDs=0 Mem=1 GRES=shard:4(0/4)";
        assert_eq!(gpus_of_job(shared, "n1"), None);
    }
}
