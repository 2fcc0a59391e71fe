//! The Linux calls that std lacks: files in an open directory, sockets that never block or raise SIGPIPE, peer
//! credentials, passed descriptors, namespaces, mounts, resource limits, user look-ups, the privileges of the
//! process, and how a login gives them up.
//!
//! Calls go through rustix. `unsafe` code remains for what it lacks: clone(2) with its stack and signal mask,
//! getpwnam_r(3), getresuid(2), initgroups(3) and setuid(2) (rustix's change one thread), kill(2) of all, four ioctls, SO_PEERCRED
//! (rustix has no pid 0), sockets known by number only, and the name under which syslog(3) logs.

mod copy;
mod deadline;
mod files;
mod guard;
mod limits;
mod login;
mod mask;
mod mount;
mod namespace;
mod proc;
mod process;
mod proxy;
mod socket;
mod status;
mod stop;
mod tcp;
mod users;
mod watch;

pub use copy::{by_copy, bytes_by_copy};
pub use deadline::Deadline;
pub use files::{
    Directory, FileStatus, IS_LINK, NO_FOLLOW, identify, is_same_file, make_dir, read_identified,
    read_open, read_regular, read_with_metadata,
};
pub use guard::Guard;
pub use limits::{Limit, Resource, limit, limit_in, set_limit};
pub use login::{become_user, end_process, lead_session, take_standard_input};
pub use mount::{mount_tmpfs, unmount};
pub use namespace::{Namespace, pid_namespace, receive_descriptor};
pub use proc::{Proc, ProcessDir, ProcessStat};
pub use process::{
    effective_uid, hostname, is_file_size_limited, is_set_user_id, is_there, program_name,
    try_lock, try_lock_byte,
};
pub use proxy::{ProxyError, by_proxy};
pub use socket::{
    Interest, PeerCredentials, connect_unix, peer_credentials, poll, receive, send, send_datagram,
};
pub use status::ProcessStatus;
pub use stop::stop_all_of;
pub use tcp::{Connection, connect_error, connect_tcp, copy_of_tcp, tcp_connections};
pub use users::{UserLookupError, gid_of_group, gid_of_user, groups_of_user, uid_of_user};
pub use watch::Watch;
