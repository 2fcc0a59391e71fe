use super::*;

#[test]
fn patterns_match_as_in_a_shell() {
    for (pattern, text, expected) in [
        ("*.conf", "a.conf", true),
        ("*.conf", "a.conf.bak", false),
        ("a?c", "abc", true),
        ("a?c", "ac", false),
        ("*", "", true),
        ("*a*b", "xaxb", true),
        ("*a*b", "xaxbx", false),
        ("a*", "a", true),
        ("", "a", false),
        ("**", "", true),
    ] {
        assert_eq!(
            is_match(pattern.as_bytes(), text.as_bytes()),
            expected,
            "{pattern} {text}"
        );
    }
}

#[test]
fn what_is_no_file_is_not_opened() {
    let dir = tempfile::tempdir().expect("a directory");
    // To open a socket fails in another way; to open a device may do something.
    let _socket = std::os::unix::net::UnixListener::bind(dir.path().join("socket")).expect("bind");
    let tree = Tree::at(dir.path()).expect("a tree");
    let kind = |it: io::Result<Vec<u8>>| it.expect_err("no file").kind();
    assert_eq!(kind(tree.read("/socket")), io::ErrorKind::InvalidInput);
    assert_eq!(kind(tree.tail("/socket", 9)), io::ErrorKind::InvalidInput);
    assert_eq!(kind(tree.read("/")), io::ErrorKind::InvalidInput);
    let why = tree.read("/").expect_err("no file").to_string();
    assert_eq!(why, "not a regular file");
    assert_eq!(kind(tree.read("/none")), io::ErrorKind::NotFound);
    assert!(tree.attribute("/socket", "user.x").is_none());
}

#[test]
fn many_stars_take_no_time() {
    let pattern = b"*a".repeat(50);
    let text = [b'a'; 255];
    assert!(!is_match(&[&pattern[..], b"b"].concat(), &text));
}

#[test]
fn each_component_of_a_pattern_may_have_signs() {
    let dir = tempfile::tempdir().expect("a directory");
    for file in ["a/x.d/1.conf", "a/y.d/2.conf", "a/y.d/.3.conf", "b/z.d/4"] {
        let file = dir.path().join(file);
        std::fs::create_dir_all(file.parent().expect("a parent")).expect("make it");
        std::fs::write(file, "").expect("write");
    }
    let tree = Tree::at(dir.path()).expect("a tree");
    for (pattern, expected) in [
        ("/a/*/*.conf", &["/a/x.d/1.conf", "/a/y.d/2.conf"][..]),
        ("/?/y.d/.*", &["/a/y.d/.3.conf"]),
        ("/*/z.d/4", &["/b/z.d/4"]),
        ("/a/none", &[]),
        ("/none/*", &[]),
    ] {
        let expected: Vec<PathBuf> = expected.iter().map(PathBuf::from).collect();
        assert_eq!(tree.matches(pattern), expected, "{pattern}");
    }
}

#[test]
fn links_stay_within_the_tree() {
    let dir = tempfile::tempdir().expect("a directory");
    let root = dir.path();
    std::fs::create_dir_all(root.join("usr/lib")).expect("make it");
    std::fs::write(root.join("usr/lib/file"), "0123456789").expect("write");
    std::os::unix::fs::symlink("/usr/lib", root.join("lib")).expect("link");
    std::os::unix::fs::symlink("/dev/null", root.join("mask")).expect("link");
    let tree = Tree::at(root).expect("a tree");
    let real = tree.resolve("/lib/file").expect("it is there");
    assert_eq!(real, Path::new("/usr/lib/file"));
    assert!(tree.resolve("/mask").is_err(), "the tree has no /dev");
    let target = tree.link_target("/mask").expect("a link");
    assert_eq!(target, Path::new("/dev/null"));
    assert!(tree.link_target("/usr").is_err(), "no link");
    assert!(tree.link_status("/mask").expect("it is there").is_symlink());
    assert_eq!(tree.tail("/lib/file", 3).expect("read"), b"789");
    assert_eq!(tree.tail("/lib/file", 99).expect("read").len(), 10);
    assert!(tree.tail("/usr", 3).is_err(), "a directory");
}
