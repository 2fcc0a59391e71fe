//! Throwaway real Slurm clusters on one machine, for the demo and the tests.
//!
//! ```no_run
//! use lab::{Cluster, Suite};
//!
//! # fn main() -> anyhow::Result<()> {
//! let cluster = Cluster::new(Suite::Trixie).start()?;
//! let job = cluster.submit("alice", &["--wrap", "sleep 1000"])?;
//! let login = cluster.node(1).ssh("alice", "node1", &["cat", "/proc/self/cgroup"])?;
//! assert!(login.stdout.contains(&format!("job_{job}/step_extern")));
//! # Ok(())
//! # }
//! ```
//!
//! Everything runs as root in namespaces and cgroups of its own. It ends with the [`Cluster`], or with the
//! process that holds it, however that process ends. See `lab/README.md`.

#![forbid(unsafe_code)]

pub mod agent;
pub mod builder;
pub mod cgroup;
pub mod cluster;
pub mod command;
pub mod config;
pub mod init;
pub mod jobs;
pub mod keeper;
pub mod node;
pub mod paths;
pub mod poll;
mod qemu;
pub mod roots;
pub mod selinux;
pub mod suite;
pub mod systemd_node;
pub mod users;
pub mod vm;
pub mod wire;

pub use builder::ClusterBuilder;
pub use cluster::Cluster;
pub use command::{Background, Command, Output, Status};
pub use node::Node;
pub use selinux::Policy;
pub use suite::Suite;
pub use systemd_node::SystemdNode;
pub use users::User;
