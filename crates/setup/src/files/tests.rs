use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};

use super::*;

fn file(bytes: &[u8], mode: u32) -> State {
    let own = std::fs::metadata("/proc/self").expect("our own");
    State::new(Content::File {
        bytes: bytes.to_vec(),
        mode,
        uid: own.uid(),
        gid: own.gid(),
    })
}

fn names(dir: &Path) -> Vec<OsString> {
    let entries = std::fs::read_dir(dir).expect("list");
    let mut names: Vec<_> = entries.map(|it| it.expect("entry").file_name()).collect();
    names.sort();
    names
}

#[test]
fn a_file_comes_back_with_mode_attributes_and_time() {
    let dir = tempfile::tempdir().expect("a directory");
    let files = Files::open(Some(dir.path())).expect("a tree");
    let path = dir.path().join("a");
    std::fs::write(&path, "one").expect("write");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).expect("chmod");
    let value = b"here".to_vec();
    let opened = File::open(&path).expect("open");
    fs::fsetxattr(&opened, "user.note", &value, fs::XattrFlags::empty()).expect("set");
    let long_ago = std::time::UNIX_EPOCH + std::time::Duration::new(9, 8);
    opened.set_modified(long_ago).expect("set the time");
    let place = Path::new("/a");
    let before = files.state(place).expect("read").expect("it is there");
    assert_eq!(before.attributes.len(), 1, "{before:?}");
    let mut new = file(b"two", 0o600);
    new.attributes.clone_from(&before.attributes);
    files.put(place, &new).expect("put");
    let after = files.state(place).expect("read").expect("it is there");
    assert_eq!(after.content, new.content);
    assert_eq!(after.attributes, before.attributes);
    assert_ne!(after.modified, before.modified);
    files.put(place, &before).expect("put back");
    assert_eq!(files.state(place).expect("read"), Some(before));
    assert_eq!(names(dir.path()), ["a"]);
    files.remove(place).expect("remove");
    files.remove(place).expect("gone already");
    assert_eq!(files.state(place).expect("read"), None);
}

#[test]
fn a_link_is_written_through_or_replaced() {
    let dir = tempfile::tempdir().expect("a directory");
    std::fs::create_dir(dir.path().join("real")).expect("make it");
    std::fs::write(dir.path().join("real/file"), "one").expect("write");
    symlink("/real/file", dir.path().join("link")).expect("link");
    let files = Files::open(Some(dir.path())).expect("a tree");
    let link = |target: &str| Content::Link {
        target: target.into(),
    };
    let mut change = Change {
        path: "/link".into(),
        before: Some(file(b"one", 0o644).content),
        after: Some(file(b"two", 0o644).content),
        why: String::new(),
    };
    assert_eq!(files.place(&change).expect("it"), Path::new("/real/file"));
    change.after = None;
    files.place(&change).expect_err("neither file nor link");
    change.before = Some(link("/real/file"));
    change.after = Some(link("/real/other"));
    let place = files.place(&change).expect("it");
    assert_eq!(place, Path::new("/link"));
    files
        .put(&place, &State::new(link("/real/other")))
        .expect("put");
    let found = files.state(&place).expect("read").expect("a link");
    assert_eq!(found.content, link("/real/other"));
}

#[test]
fn no_link_leads_out_of_a_tree() {
    let outside = tempfile::tempdir().expect("a directory");
    std::fs::write(outside.path().join("file"), "theirs").expect("write");
    let dir = tempfile::tempdir().expect("a directory");
    symlink(outside.path(), dir.path().join("absolute")).expect("link");
    let up = Path::new("../../../../../..").join(outside.path().strip_prefix("/").expect("/"));
    symlink(up, dir.path().join("relative")).expect("link");
    symlink(outside.path().join("file"), dir.path().join("direct")).expect("link");
    let files = Files::open(Some(dir.path())).expect("a tree");
    let new = file(b"ours", 0o644);
    for place in ["/absolute/file", "/relative/file"] {
        let place = Path::new(place);
        assert!(files.put(place, &new).is_err(), "{place:?}");
        assert_eq!(files.state(place).expect("nothing"), None);
        files.remove(place).expect("nothing to do");
        assert!(files.make_dir(place, 0o755).is_err(), "{place:?}");
    }
    for place in ["file", "/../file", "/"] {
        let refused = files.put(Path::new(place), &new).expect_err("refused");
        assert_eq!(refused.kind(), io::ErrorKind::InvalidInput, "{place}");
    }
    // The link itself is replaced.
    files.put(Path::new("/direct"), &new).expect("put");
    let theirs = std::fs::read(outside.path().join("file")).expect("read");
    assert_eq!(theirs, b"theirs");
    assert_eq!(names(outside.path()), ["file"]);
}

#[test]
fn directories_are_made_with_their_mode_and_removed_if_empty() {
    let dir = tempfile::tempdir().expect("a directory");
    let files = Files::open(Some(dir.path())).expect("a tree");
    let place = Path::new("/a/b/file");
    let missing = files.missing_above(place);
    assert_eq!(missing, [Path::new("/a"), Path::new("/a/b")]);
    for it in &missing {
        files.make_dir(it, 0o755).expect("make");
        files.make_dir(it, 0o755).expect("there already");
    }
    let mode = std::fs::metadata(dir.path().join("a/b")).expect("stat");
    assert_eq!(mode.mode() & 0o7777, 0o755);
    assert!(!files.remove_dir(Path::new("/a")).expect("not empty"));
    assert!(files.remove_dir(Path::new("/a/b")).expect("empty"));
    assert!(files.remove_dir(Path::new("/a/b")).expect("gone"));
}

#[test]
fn what_is_no_file_is_refused() {
    let dir = tempfile::tempdir().expect("a directory");
    std::fs::create_dir(dir.path().join("a")).expect("make it");
    let files = Files::open(Some(dir.path())).expect("a tree");
    files.state(Path::new("/a")).expect_err("a directory");
    files
        .put(Path::new("/a"), &file(b"x", 0o600))
        .expect_err("a directory");
    assert_eq!(names(dir.path()), ["a"]);
}

#[test]
fn a_file_gets_no_access_list_from_its_directory() {
    let dir = tempfile::tempdir().expect("a directory");
    let files = Files::open(Some(dir.path())).expect("a tree");
    std::fs::write(dir.path().join("a"), "one").expect("write");
    // user::rwx, user:1000:rwx, group::r-x, mask::rwx, other::r-x, as in linux/posix_acl_xattr.h.
    let all = u32::MAX;
    let entries = [
        (1, 7, all),
        (2, 7, 1000),
        (4, 5, all),
        (16, 7, all),
        (32, 5, all),
    ];
    let mut list = 2_u32.to_le_bytes().to_vec();
    for (tag, rights, id) in entries {
        list.extend(u16::to_le_bytes(tag));
        list.extend(u16::to_le_bytes(rights));
        list.extend(u32::to_le_bytes(id));
    }
    let opened = File::open(dir.path()).expect("open");
    let name = "system.posix_acl_default";
    fs::fsetxattr(&opened, name, &list, fs::XattrFlags::empty()).expect("a file system with lists");
    let before = files.state(Path::new("/a")).expect("read");
    let new = file(b"two", 0o664);
    files.put(Path::new("/a"), &new).expect("put");
    let after = files.state(Path::new("/a")).expect("read").expect("there");
    assert_eq!(after.attributes, []);
    assert_eq!(after.content, new.content);
    assert!(before.is_some());
}
