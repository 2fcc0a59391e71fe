//! The resource limits of a job's step, taken over into a login (`limits=job`).
//!
//! Slurm gives the processes of a step those that the user had where they submitted, as far as
//! PropagateResourceLimits says so, and else its daemons' (`slurmstepd/ulimits.c`); sshd's own come from
//! its service and pam_limits.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use proto::stepd;
use sys::{Deadline, Limit, Resource};

use crate::exchange::{self, Broken};
use crate::log::{Log, said};
use crate::stepd::Census;

/// Steps whose processes have the limits of the job: the batch step's number from 20.11 on, and before;
/// the interactive step's; the first of srun. Source: `slurm/slurm.h`.
const STEPS: [u32; 6] = [0xFFFF_FFFB, 0xFFFF_FFFE, 0xFFFF_FFFA, 0, 1, 2];

/// Less than that would be root's own process in trouble: sshd's monitor has these limits too.
fn floor(resource: Resource) -> u64 {
    match resource {
        Resource::OpenFiles => 256,
        Resource::Stack => 1 << 20,
        _ => 0,
    }
}

/// The limits of a job's own process, or none.
#[derive(Debug, Default)]
pub struct JobLimits(Vec<(Resource, Limit)>);

impl JobLimits {
    /// Those of a process of the job, or if there is none here of its slurmstepd. What can't be had is
    /// logged, and keeps nobody out.
    #[inline(never)]
    pub fn ask(census: &Census, job: u32, deadline: &Deadline, log: Log<'_>) -> Self {
        let found = census.socket_of(job).map(|socket| {
            let (pid, owner) = model(census, &socket, job, deadline)?;
            let limits: io::Result<Vec<_>> = Resource::ALL
                .into_iter()
                .map(|it| Ok((it, sys::limit_of(pid, it)?)))
                .collect();
            // Its number may be another's by now.
            match fs::metadata(format!("/proc/{pid}")) {
                Ok(found) if found.uid() == owner => limits.map_err(said),
                _ => Err("its process is gone".to_owned()),
            }
        });
        match found {
            Some(Ok(limits)) => Self(limits),
            None => Self::default(),
            Some(Err(cause)) => {
                log.error(|| format!("the limits of job {job}: {cause}"));
                Self::default()
            }
        }
    }

    /// Gives them to this process.
    #[inline(never)]
    pub fn set(self, log: Log<'_>) {
        for (resource, limit) in self.0 {
            let soft = limit.soft.max(floor(resource)).min(limit.hard);
            match sys::set_limit(resource, Limit { soft, ..limit }) {
                Ok(()) => log.debug(|| format!("{resource}: {soft}, at most {}", limit.hard)),
                Err(error) => log.error(|| format!("the limit {resource} of the job: {error}")),
            }
        }
    }
}

/// The process whose limits are taken, and the uid that it has.
#[inline(never)]
fn model(
    census: &Census,
    extern_socket: &Path,
    job: u32,
    deadline: &Deadline,
) -> Result<(i32, u32), String> {
    let beside = |step: u32| -> Option<PathBuf> {
        let name = extern_socket.file_name()?.to_str()?;
        let (node_and_job, _) = name.rsplit_once('.')?;
        Some(extern_socket.with_file_name(format!("{node_and_job}.{step}")))
    };
    for path in STEPS.into_iter().filter_map(beside) {
        match first_process(census, &path, deadline) {
            Ok(Some(pid)) => return Ok((pid, census.uid())),
            Ok(None) => {}
            Err(Broken::Failed(error)) if is_nobody(&error) => {}
            Err(Broken::Silent) => return Err(format!("{}: no answer", path.display())),
            Err(broken) => return Err(format!("{}: {broken}", path.display())),
        }
    }
    let stepd = sys::connect_unix(extern_socket).and_then(|it| sys::peer_credentials(&it));
    match stepd {
        Ok(peer) if census.trusts(peer.uid) && peer.pid > 0 => Ok((peer.pid, peer.uid)),
        Ok(_) => Err("no process of it to be seen".to_owned()),
        Err(error) => Err(format!("slurmstepd of job {job}: {error}")),
    }
}

fn is_nobody(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused
    )
}

/// The first process of a step, as its stepd says.
#[inline(never)]
fn first_process(census: &Census, path: &Path, deadline: &Deadline) -> Result<Option<i32>, Broken> {
    let socket = sys::connect_unix(path)?;
    let peer = sys::peer_credentials(&socket)?;
    if !census.trusts(peer.uid) {
        return Err(Broken::Nonsense(format!("uid {} listens there", peer.uid)));
    }
    sys::send(&socket, &stepd::ask_processes())?;
    let mut opening = [0; stepd::PROCESSES_ANSWER];
    exchange::read_exactly(&socket, &mut opening, deadline)?;
    let nonsense = |error: proto::DecodeError| Broken::Nonsense(said(error));
    if stepd::read_owned_processes(&opening, census.uid()).map_err(nonsense)? == 0 {
        return Ok(None);
    }
    let mut first = [0; 4];
    exchange::read_exactly(&socket, &mut first, deadline)?;
    match i32::from_ne_bytes(first) {
        pid @ 1.. => Ok(Some(pid)),
        pid => Err(Broken::Nonsense(format!("a process's number is {pid}"))),
    }
}
