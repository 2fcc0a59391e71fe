//! slurm.conf and cgroup.conf.
