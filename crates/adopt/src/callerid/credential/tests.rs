use super::*;

#[test]
fn auth_info() {
    let parse = Info::parse;
    let none = Info::default();
    for (text, socket, ttl, disable_sack) in [
        ("", None, 0, false),
        ("socket=/x/y", Some("/x/y"), 0, false),
        ("ttl=7,socket=/x,cred_expire=30", Some("/x"), 7, false),
        ("/x/munge.socket", Some("/x/munge.socket"), 0, false),
        ("disable_sack,use_client_ids", None, 0, true),
        ("socket=", None, 0, false),
        ("ttl=x", None, 0, false),
    ] {
        let expected = Info {
            socket,
            ttl,
            disable_sack,
        };
        assert_eq!(parse(text), expected, "{text}");
    }
    assert_eq!(parse("use_client_ids"), none);
}

#[test]
fn the_type_stands_with_or_without_its_prefix() {
    for (written, kind) in [
        (None, "munge"),
        (Some("auth/munge"), "munge"),
        (Some("munge"), "munge"),
        (Some("auth/slurm"), "slurm"),
        (Some("slurm"), "slurm"),
        (Some("auth/none"), "AuthType auth/none"),
    ] {
        let mut node = Node::default();
        node.conf.auth_type = written.map(str::to_owned);
        let found = match Authority::of(&node) {
            Ok(Authority::Munge { .. }) => "munge".to_owned(),
            Ok(Authority::Slurm { .. }) => "slurm".to_owned(),
            Err(error) => error.to_string(),
        };
        assert!(found.contains(kind), "{written:?}: {found}");
    }
}

#[test]
fn unrestricted_only_where_slurm_was_old() {
    let issuer = |restricted_to| Issuer {
        uid: 0,
        restricted_to,
        payload: Vec::new(),
    };
    let us = sys::effective_uid();
    for (restricted_to, version, good) in [
        (us, Version::V26_05, true),
        (us, Version::V19_05, true),
        (proto::ANYONE, Version::V21_08, true),
        (proto::ANYONE, Version::V22_05, false),
        (us + 1, Version::V19_05, false),
        (us + 1, Version::V26_05, false),
    ] {
        assert_eq!(
            issuer(restricted_to).is_for_us(version),
            good,
            "{restricted_to} {version}"
        );
    }
}
