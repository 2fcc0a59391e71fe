use super::*;

#[test]
fn what_is_not_roots_alone_is_replaced() {
    let scratch = std::env::temp_dir().join(format!("run-{}", std::process::id()));
    let _ = fs::remove_dir_all(&scratch);
    fs::create_dir(&scratch).expect("make it");
    let mode = |path: &Path, mode| {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("mode");
    };
    mode(&scratch, 0o755);
    let dir = scratch.join("dir");
    let is_good = || own(&dir, &fs::symlink_metadata(&dir).expect("look"), true).is_ok();
    make(&dir).expect("make");
    fs::write(dir.join("note"), "").expect("write");
    mode(&dir, 0o755);
    make(&dir).expect("tighten");
    assert!(is_good() && dir.join("note").exists());
    mode(&dir, 0o770);
    make(&dir).expect("replace");
    assert!(is_good() && !dir.join("note").exists());
    fs::remove_dir(&dir).expect("remove");
    fs::write(&dir, "").expect("write");
    make(&dir).expect("replace");
    assert!(is_good());
    fs::remove_dir(&dir).expect("remove");
    std::os::unix::fs::symlink(&scratch, &dir).expect("link");
    make(&dir).expect("replace");
    assert!(is_good());
    // Where others can rename, nothing is safe.
    mode(&scratch, 0o777);
    mode(&dir, 0o777);
    let error = make(&dir)
        .expect_err("anybody can rename there")
        .to_string();
    for word in ["/dir must be", "mode 0777", "owner uid", "mv "] {
        assert!(error.contains(word), "{error}");
    }
    fs::remove_dir_all(&scratch).expect("clean up");
}

/// A lock that any user can take stops nobody; root's lock does, briefly.
#[test]
fn the_lock_of_who_replaces_a_directory() {
    let scratch = std::env::temp_dir().join(format!("run-lock-{}", std::process::id()));
    let _ = fs::remove_dir_all(&scratch);
    sys::make_dir(&scratch, 0o755).expect("make it");
    let dir = scratch.join("dir");
    let lock = scratch.join("dir.lock");
    let spoil = || {
        sys::make_dir(&dir, OWN).expect("make it");
        fs::set_permissions(&dir, fs::Permissions::from_mode(0o777)).expect("mode");
    };
    spoil();
    let users = File::open(&dir).expect("anybody may");
    sys::try_lock(&users).expect("nobody has it");
    make(&dir).expect("replace");
    let mode = fs::metadata(&lock).expect("it is made").mode();
    assert_eq!(mode & 0o7777, 0o600);
    spoil();
    let roots = File::open(&lock).expect("open");
    sys::try_lock(&roots).expect("nobody has it");
    let error = make(&dir).expect_err("another is at it").to_string();
    assert!(
        error.contains("run mv ") && error.contains("/dir must be"),
        "{error}"
    );
    drop(roots);
    make(&dir).expect("replace");
    // A link leads to a file that is not root's alone.
    spoil();
    fs::remove_file(&lock).expect("remove");
    std::os::unix::fs::symlink("/dev/null", &lock).expect("link");
    assert!(make(&dir).is_err());
    fs::remove_dir_all(&scratch).expect("clean up");
}

/// An update must not forget the owners of the stepds.
#[test]
fn a_checksum_is_the_same_in_all_releases() {
    for (bytes, sum) in [
        (&b""[..], 7),
        (b"1234567", 0xDC64_8361_BE45_C50F),
        (b"12345678", 0x7464_8361_1645_C50F),
        (b"123456789", 0x253A_E4C7_4FE1_B1A9),
    ] {
        assert_eq!(checksum(7, bytes), sum, "{bytes:?}");
    }
}
