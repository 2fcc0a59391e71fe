//! Spool directories and sockets that are trusted or not.

use super::*;

#[test]
fn trusts_no_directory_that_others_may_write_to() {
    for (mode, trusted) in [
        (0o755, true),
        (0o700, true),
        (0o757, false),
        (0o775, false),
        (0o1777, false),
    ] {
        let mut spool = Spool::new("trust");
        spool.fake(1, vec![owner(2001)], true);
        fs::set_permissions(&spool.dir, fs::Permissions::from_mode(mode)).expect("mode");
        if mode == 0o775 && fs::metadata(&spool.dir).expect("group").gid() == 0 {
            // The group root may write to root's files: give the directory to another group.
            if std::os::unix::fs::chown(&spool.dir, None, Some(65534)).is_err() {
                continue;
            }
        }
        let found = spool.census(true, 5000).steps;
        assert_eq!(found.own.len(), usize::from(trusted), "mode {mode:o}");
        assert_eq!(
            found.problem.is_none(),
            trusted,
            "mode {mode:o}: {:?}",
            found.problem
        );
        // Nor is a directory below such a one, unless that is sticky.
        let below = spool.dir.join("below");
        fs::create_dir(&below).expect("below");
        spool.node.spool_dirs = vec![below];
        let sound = trusted || mode == 0o1777;
        assert_eq!(
            spool.census(true, 5000).steps.problem.is_none(),
            sound,
            "below {mode:o}"
        );
    }
}

#[test]
fn trusts_sockets_of_root_and_slurmd_only() {
    let mut spool = Spool::new("owner");
    spool.fake(1, vec![owner(2001)], true);
    let me = spool.node.trusted.slurmd_uid.take();
    let steps = spool.census(true, 5000).steps;
    match me {
        // A directory and socket of root are trusted without SlurmdUser.
        Some(0) => assert_eq!(steps.own.len(), 1),
        _ => assert!(matches!(
            steps.problem,
            Some(DirectoryError::Untrusted { .. })
        )),
    }
}

#[test]
fn spool_directories_that_are_none() {
    let mut spool = Spool::new("none");
    fs::write(spool.dir.join("file"), "").expect("file");
    for (name, text) in [("missing", "find"), ("file", "read")] {
        spool.node.spool_dirs = vec![spool.dir.join(name)];
        let problem = spool
            .census(true, 5000)
            .steps
            .problem
            .expect(name)
            .to_string();
        assert!(
            problem.contains(text) && problem.contains(name),
            "{problem}"
        );
    }
}

#[test]
fn the_full_host_name_wins_over_the_short_one() {
    let mut spool = Spool::new("names");
    spool.node.names = vec!["n1.site".into(), "n1".into()];
    spool.node.spool_dirs = vec![spool.dir.clone(), spool.dir.clone()];
    spool.fake(4, vec![owner(2001)], true);
    assert_eq!(spool.census(true, 5000).steps.own.len(), 1);
    let _full = UnixListener::bind(spool.dir.join("n1.site_5.4294967292")).expect("bind");
    assert_eq!(spool.census(true, 100).steps.silent, [5]);
}

#[test]
fn slurm_user_may_own_the_directory_but_no_socket() {
    let mut spool = Spool::new("slurm-user");
    spool.fake(1, vec![owner(2001)], true);
    let me = spool.node.trusted.slurmd_uid.take();
    spool.node.trusted.slurm_user = me.map(|uid| uid.to_string());
    let steps = spool.census(true, 5000).steps;
    assert!(steps.problem.is_none(), "{:?}", steps.problem);
    // If root runs the test, the socket is root's.
    assert_eq!(steps.own.len(), usize::from(me == Some(0)));
}
