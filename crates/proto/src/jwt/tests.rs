use super::*;
use crate::ANYONE;

/// Tokens of real slurmds; the second is signed with a key of the set.
const OF_24_11: &str = include_str!("../../../../fuzz/corpus/jwt/24.11-token");
const OF_26_05: &str = include_str!("../../../../fuzz/corpus/jwt/26.05-token");
const KEY_SET: &[u8] = include_bytes!("../../../../fuzz/corpus/jwt/key-set");

/// RFC 7515, A.1.
const OF_THE_RFC: &str = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.\
    eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.\
    dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const KEY_OF_THE_RFC: &str =
    "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow";

/// The key of the lab's clusters that the tokens come from.
fn key() -> Vec<u8> {
    (0..64_u8)
        .map(|byte| byte.wrapping_mul(37).wrapping_add(11))
        .collect()
}

fn token(header: &str, body: &str) -> String {
    let part = |text: &str| Base64UrlUnpadded::encode_string(text.as_bytes());
    format!("{}.{}.AAAA", part(header), part(body))
}

#[test]
fn tokens_of_real_slurmds_are_valid() {
    for (token, expires, id) in [
        (OF_24_11, 1_795_531_698, None),
        (OF_26_05, 1_795_531_695, Some("key-1")),
    ] {
        let claims = claims(token).expect("real");
        assert_eq!((claims.uid, claims.restricted_to), (0, 0));
        assert_eq!(claims.expires, expires);
        assert_eq!(claims.key_id.as_deref(), id);
        assert_eq!(
            (claims.payload.len(), claims.payload.first()),
            (33, Some(&2))
        );
        assert!(verify(token, &key()));
        assert!(!verify(token, &key()[1..]));
        assert!(!verify(&format!("{token}A"), &key()));
    }
}

#[test]
fn the_token_of_the_rfc_is_valid() {
    let key = Base64UrlUnpadded::decode_vec(KEY_OF_THE_RFC).expect("base64");
    assert!(verify(OF_THE_RFC, &key));
    assert_eq!(claims(OF_THE_RFC), Err(JwtError::Missing("uid")));
}

#[test]
fn a_part_of_a_token_is_not_valid() {
    let (signed, _) = OF_26_05.rsplit_once('.').expect("parts");
    for length in 0..OF_26_05.len() {
        let part = &OF_26_05[..length];
        assert!(!verify(part, &key()), "{length}");
        assert_eq!(claims(part).is_ok(), length > signed.len(), "{length}");
    }
}

#[test]
fn a_token_of_ours_is_read_back() {
    let new = NewClaims {
        issued: 1_795_531_638,
        expires: 1_795_531_698,
        version: Version::V26_05,
        restricted_to: ANYONE,
        cluster: "a \"cluster\"",
        uid: 0,
        gid: 0,
        host: "node1",
        payload: b"\x02\xff\xfe\xfd",
    };
    for id in [None, Some("key\n1")] {
        let token = sign(id, &new, &key());
        assert!(verify(&token, &key()) && !verify(&token, b""));
        let read = claims(&token).expect("ours");
        let expected = Claims {
            uid: 0,
            restricted_to: ANYONE,
            payload: new.payload.into(),
            expires: new.expires,
            key_id: id.map(String::from),
        };
        assert_eq!(read, expected);
    }
}

#[test]
fn invalid_tokens_are_errors() {
    const HEADER: &str = "{\"alg\":\"HS256\"}";
    let plain = claims(&token(
        HEADER,
        "{\"uid\":1,\"ruid\":2,\"exp\":3,\"context\":\"sack\"}",
    ))
    .expect("plain");
    assert_eq!((plain.uid, plain.restricted_to, plain.expires), (1, 2, 3));
    assert!(plain.payload.is_empty());
    for (header, body, expected) in [
        ("{}", "{}", "\"alg\" is not HS256"),
        ("{\"alg\":\"none\"}", "{}", "\"alg\" is not HS256"),
        ("{\"alg\":1}", "{}", "header: byte 7: no string"),
        ("", "{}", "header: byte 0: no object"),
        (HEADER, "[]", "claims: byte 0: no object"),
        (HEADER, "{}x", "claims: byte 2: something follows"),
        (HEADER, "{}", "\"uid\" is missing"),
        (HEADER, "{\"uid\":1}", "\"ruid\" is missing"),
        (HEADER, "{\"uid\":1,\"ruid\":1}", "\"exp\" is missing"),
        (
            HEADER,
            "{\"uid\":1,\"ruid\":1,\"exp\":1}",
            "\"context\" is missing",
        ),
        (
            HEADER,
            "{\"uid\":1,\"ruid\":1,\"exp\":1,\"context\":\"net\"}",
            "\"context\" is not one of messages between daemons",
        ),
        (HEADER, "{\"uid\":-1}", "claims: byte 9: no user id"),
        (
            HEADER,
            "{\"uid\":4294967296}",
            "claims: byte 17: no user id",
        ),
        (HEADER, "{\"uid\":\"0\"}", "claims: byte 7: no digit"),
        (HEADER, "{\"exp\":1.5}", "claims: byte 10: no time"),
        (
            HEADER,
            "{\"uid\":0,\"uid\":0}",
            "claims: byte 14: a key comes twice",
        ),
        (
            HEADER,
            "{\"uid\":1,\"ruid\":1,\"exp\":1,\"payload\":\"A\"}",
            "\"payload\" is not base64",
        ),
    ] {
        let error = claims(&token(header, body)).expect_err("wrong");
        assert_eq!(error.to_string(), expected, "{header} {body}");
    }
    for wrong in ["", "a", "a.b", "a.b.c.d", "..."] {
        assert_eq!(claims(wrong), Err(JwtError::Parts), "{wrong}");
    }
    assert_eq!(claims("a=.b.c"), Err(JwtError::Base64("header")));
}

#[test]
fn a_key_set_is_read() {
    let read = keys(KEY_SET).expect("good");
    let [old, new] = &read[..] else {
        panic!("{read:?}")
    };
    assert_eq!(
        (old.id.as_deref(), old.default, old.expires),
        (Some("old"), false, Some(4_102_444_800))
    );
    assert_eq!(old.secret, b"secretsecretsecretsecret");
    assert_eq!(
        (new.id.as_deref(), new.default, new.expires),
        (Some("key-1"), true, None)
    );
    assert_eq!(new.secret, key());
    assert!(verify(OF_26_05, &new.secret));
    // The last byte is a newline.
    for length in 0..KEY_SET.len() - 1 {
        assert!(keys(&KEY_SET[..length]).is_err(), "{length}");
    }
}

#[test]
fn other_keys_are_ignored_and_invalid_ones_are_errors() {
    let count = |set: &str| keys(set.as_bytes()).map(|keys| keys.len());
    for (set, expected) in [
        (r#"{"keys":[]}"#, Ok(0)),
        (
            r#"{"x":[{}],"keys":[{"kty":"RSA","alg":"RS256","n":"x"}]}"#,
            Ok(0),
        ),
        (
            r#"{"keys":[{"kty":"OCT","alg":"hs256","k":"AAECAwQFBgcICQoLDA0ODw=="}]}"#,
            Ok(1),
        ),
        (
            r#"{"keys":[{"kty":"oct","alg":"HS256","k":"AAE="}]}"#,
            Err("a key is too short"),
        ),
        (
            r#"{"keys":[{"kty":"oct","alg":"HS256","k":""}]}"#,
            Err("a key is too short"),
        ),
        ("{}", Err("\"keys\" is missing")),
        ("[]", Err("key set: byte 0: no object")),
        (r#"{"keys":{}}"#, Err("key set: byte 8: no array")),
        (
            r#"{"keys":[{"kty":"oct","alg":"HS256"}]}"#,
            Err("\"k\" is missing"),
        ),
        (
            r#"{"keys":[{"kty":"oct","alg":"HS256","k":"*"}]}"#,
            Err("\"k\" is not base64"),
        ),
        (
            r#"{"keys":[{"kid":"a","kid":"b"}]}"#,
            Err("key set: byte 25: a key comes twice"),
        ),
        (
            r#"{"keys":[],"keys":[]}"#,
            Err("key set: byte 17: a key comes twice"),
        ),
    ] {
        let result = count(set).map_err(|error| error.to_string());
        assert_eq!(result, expected.map_err(String::from), "{set}");
    }
}
