//! Tokens of auth/slurm, which are JSON Web Tokens with HS256, and the keys that sign them.
//!
//! Source: Slurm 23.11 to 26.05, `src/plugins/auth/slurm` (`internal.c`, `util.c`); slurm.jwks from
//! 24.05 on.

use std::fmt;

use base64ct::{Base64UrlUnpadded, Encoding};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::json::{Json, write_string};
use crate::version::Version;

pub use crate::json::JsonError;

/// Length of the shortest key that Slurm accepts, in bytes.
pub const SHORTEST_KEY: usize = 16;

const ALGORITHM: &str = "HS256";
/// Contexts of tokens between daemons: made by the daemon itself or by its SACK socket. Tokens with
/// other contexts (srun, jobs) are signed with the same key but are in users' hands.
const CONTEXTS: [&str; 2] = ["auth", "sack"];

/// Reason why a text is not a valid token or key set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JwtError {
    /// The token does not have three parts with dots between them.
    Parts,
    /// This part is not base64.
    Base64(&'static str),
    /// This part is not the expected JSON.
    Json {
        /// The part.
        part: &'static str,
        /// The cause.
        error: JsonError,
    },
    /// This key is missing.
    Missing(&'static str),
    /// The signature is not by HS256.
    Algorithm,
    /// The token is not for messages between daemons.
    Context,
    /// A key is too short.
    ShortKey,
}

impl fmt::Display for JwtError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Parts => f.write_str("not three parts with dots between them"),
            Self::Base64(what) => write!(f, "\"{what}\" is not base64"),
            Self::Json { part, error } => write!(f, "{part}: {error}"),
            Self::Missing(what) => write!(f, "\"{what}\" is missing"),
            Self::Algorithm => write!(f, "\"alg\" is not {ALGORITHM}"),
            Self::Context => f.write_str("\"context\" is not one of messages between daemons"),
            Self::ShortKey => f.write_str("a key is too short"),
        }
    }
}

/// The content of a token. Only [`verify`] or a SACK socket can tell whether it is genuine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claims {
    /// The user who had it made.
    pub uid: u32,
    /// The only user who may use it, or [`crate::ANYONE`].
    pub restricted_to: u32,
    /// The payload that binds it to a message ([`crate::hash`]); empty if it has none.
    pub payload: Vec<u8>,
    /// When it expires, in seconds since 1970.
    pub expires: u64,
    /// The name of the key that signed it, if there are several.
    pub key_id: Option<String>,
}

/// Reads a token without checking its signature.
///
/// # Errors
/// [`JwtError`]; also if a claim that slurmd's own check needs is missing or has another type.
pub fn claims(token: &str) -> Result<Claims, JwtError> {
    let (signed, _) = token.rsplit_once('.').ok_or(JwtError::Parts)?;
    let (header, body) = signed.split_once('.').ok_or(JwtError::Parts)?;
    if body.contains('.') {
        return Err(JwtError::Parts);
    }
    let (mut algorithm, mut key_id) = (None, None);
    object(header, "header", &mut |json, key| {
        match key {
            "alg" => algorithm = Some(json.string()?),
            "kid" => key_id = Some(json.string()?),
            _ => json.skip()?,
        }
        Ok(())
    })?;
    if algorithm.as_deref() != Some(ALGORITHM) {
        return Err(JwtError::Algorithm);
    }
    let (mut uid, mut restricted_to, mut expires, mut payload) = (None, None, None, String::new());
    let mut context = None;
    object(body, "claims", &mut |json, key| {
        match key {
            "uid" => uid = Some(user(json)?),
            "ruid" => restricted_to = Some(user(json)?),
            "exp" => expires = Some(time(json)?),
            "payload" => payload = json.string()?,
            "context" => context = Some(json.string()?),
            _ => json.skip()?,
        }
        Ok(())
    })?;
    let claims = Claims {
        uid: uid.ok_or(JwtError::Missing("uid"))?,
        restricted_to: restricted_to.ok_or(JwtError::Missing("ruid"))?,
        payload: decode_any(&payload, "payload")?,
        expires: expires.ok_or(JwtError::Missing("exp"))?,
        key_id,
    };
    match context.ok_or(JwtError::Missing("context"))? {
        context if CONTEXTS.contains(&context.as_str()) => Ok(claims),
        _ => Err(JwtError::Context),
    }
}

/// Reads the JSON object in this part of a token.
fn object(
    part: &str,
    name: &'static str,
    member: &mut dyn FnMut(&mut Json<'_>, &str) -> Result<(), JsonError>,
) -> Result<(), JwtError> {
    let text = decode(part, name)?;
    Json::read(&text, |json| json.object(member))
        .map_err(|error| JwtError::Json { part: name, error })
}

fn decode(text: &str, what: &'static str) -> Result<Vec<u8>, JwtError> {
    Base64UrlUnpadded::decode_vec(text).map_err(|_| JwtError::Base64(what))
}

/// Decodes base64 of either alphabet, with or without padding: a token's payload uses the alphabet
/// that is not for URLs.
fn decode_any(text: &str, what: &'static str) -> Result<Vec<u8>, JwtError> {
    let for_urls = |character| match character {
        '+' => '-',
        '/' => '_',
        other => other,
    };
    let text: String = text.trim_end_matches('=').chars().map(for_urls).collect();
    decode(&text, what)
}

fn user(json: &mut Json<'_>) -> Result<u32, JsonError> {
    match json.number()?.map(u32::try_from) {
        Some(Ok(id)) => Ok(id),
        _ => json.error("no user id"),
    }
}

fn time(json: &mut Json<'_>) -> Result<u64, JsonError> {
    match json.number()? {
        Some(seconds) => Ok(seconds),
        None => json.error("no time"),
    }
}

/// The content of a token that we make.
#[derive(Debug, Clone, Copy)]
pub struct NewClaims<'a> {
    /// The time now, in seconds since 1970.
    pub issued: u64,
    /// When it expires, in seconds since 1970.
    pub expires: u64,
    /// The protocol version of its message.
    pub version: Version,
    /// The only user who may use it, or [`crate::ANYONE`].
    pub restricted_to: u32,
    /// ClusterName.
    pub cluster: &'a str,
    /// Our user.
    pub uid: u32,
    /// Our group.
    pub gid: u32,
    /// This host's name.
    pub host: &'a str,
    /// The payload that binds it to its message ([`crate::hash::payload`]).
    pub payload: &'a [u8],
}

/// Makes a token as slurmd does: `key` is the content of slurm.key, or the bytes of a key of slurm.jwks
/// with the name `key_id`.
#[must_use]
pub fn sign(key_id: Option<&str>, claims: &NewClaims<'_>, key: &[u8]) -> String {
    let mut header = String::from("{\"alg\":\"HS256\",\"typ\":\"JWT\"");
    if let Some(id) = key_id {
        header.push_str(",\"kid\":");
        write_string(&mut header, id);
    }
    header.push('}');
    let mut body = String::from("{\"context\":\"auth\"");
    for (name, number) in [
        ("iat", claims.issued),
        ("exp", claims.expires),
        ("ver", claims.version.number().into()),
        ("ruid", claims.restricted_to.into()),
        ("uid", claims.uid.into()),
        ("gid", claims.gid.into()),
    ] {
        add(&mut body, name);
        body.push_str(&number.to_string());
    }
    let not_for_urls = |character| match character {
        '-' => '+',
        '_' => '/',
        other => other,
    };
    let payload = Base64UrlUnpadded::encode_string(claims.payload);
    let mut payload: String = payload.chars().map(not_for_urls).collect();
    while payload.len() % 4 != 0 {
        payload.push('=');
    }
    for (name, text) in [
        ("cluster", claims.cluster),
        ("host", claims.host),
        ("payload", &payload),
    ] {
        add(&mut body, name);
        write_string(&mut body, text);
    }
    body.push('}');
    let mut token = Base64UrlUnpadded::encode_string(header.as_bytes());
    token.push('.');
    token.push_str(&Base64UrlUnpadded::encode_string(body.as_bytes()));
    let signature = signature(token.as_bytes(), key).map(|mac| mac.finalize().into_bytes());
    let signature = signature.as_deref().unwrap_or_default();
    token.push('.');
    token.push_str(&Base64UrlUnpadded::encode_string(signature));
    token
}

fn add(body: &mut String, name: &str) {
    body.push(',');
    write_string(body, name);
    body.push(':');
}

/// The signature; never None, because HMAC accepts a key of any length.
fn signature(signed: &[u8], key: &[u8]) -> Option<Hmac<Sha256>> {
    let mut mac = Hmac::new_from_slice(key).ok()?;
    mac.update(signed);
    Some(mac)
}

/// Whether this key signed the token by HS256. [`claims`] checks the algorithm in the header.
#[must_use]
pub fn verify(token: &str, key: &[u8]) -> bool {
    let Some((signed, theirs)) = token.rsplit_once('.') else {
        return false;
    };
    match (
        signature(signed.as_bytes(), key),
        decode(theirs, "signature"),
    ) {
        // In constant time.
        (Some(ours), Ok(theirs)) => ours.verify_slice(&theirs).is_ok(),
        _ => false,
    }
}

/// A key of slurm.jwks.
#[derive(Clone, PartialEq, Eq)]
pub struct Key {
    /// Its name in the header of tokens.
    pub id: Option<String>,
    /// Its bytes.
    pub secret: Vec<u8>,
    /// Whether it is the key to sign with.
    pub default: bool,
    /// When it expires, in seconds since 1970.
    pub expires: Option<u64>,
}

/// Leaves out the secret.
impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key")
            .field("id", &self.id)
            .field("default", &self.default)
            .field("expires", &self.expires)
            .finish_non_exhaustive()
    }
}

/// Reads the HS256 keys in slurm.jwks (RFC 7517); ignores others.
///
/// # Errors
/// [`JwtError`], also for an HS256 key without its bytes.
pub fn keys(jwks: &[u8]) -> Result<Vec<Key>, JwtError> {
    let mut keys = None;
    Json::read(jwks, |json| {
        json.object(&mut |json, key| {
            if key != "keys" {
                return json.skip();
            }
            let mut read = Vec::new();
            json.array(&mut |json| {
                read.push(RawKey::read(json)?);
                Ok(())
            })?;
            keys = Some(read);
            Ok(())
        })
    })
    .map_err(|error| JwtError::Json {
        part: "key set",
        error,
    })?;
    let keys = keys.ok_or(JwtError::Missing("keys"))?;
    keys.into_iter().filter_map(RawKey::key).collect()
}

/// A key as written in the file.
#[derive(Default)]
struct RawKey {
    kind: Option<String>,
    algorithm: Option<String>,
    secret: Option<String>,
    id: Option<String>,
    usage: Option<String>,
    expires: Option<u64>,
}

impl RawKey {
    fn read(json: &mut Json<'_>) -> Result<Self, JsonError> {
        let mut raw = Self::default();
        json.object(&mut |json, key| {
            let text = match key {
                "kty" => &mut raw.kind,
                "alg" => &mut raw.algorithm,
                "k" => &mut raw.secret,
                "kid" => &mut raw.id,
                "use" => &mut raw.usage,
                "exp" => {
                    raw.expires = Some(time(json)?);
                    return Ok(());
                }
                _ => return json.skip(),
            };
            *text = Some(json.string()?);
            Ok(())
        })?;
        Ok(raw)
    }

    fn key(self) -> Option<Result<Key, JwtError>> {
        let is = |text: &Option<String>, word: &str| {
            text.as_deref()
                .is_some_and(|it| it.eq_ignore_ascii_case(word))
        };
        if !is(&self.kind, "oct") || !is(&self.algorithm, ALGORITHM) {
            return None;
        }
        let Some(secret) = self.secret else {
            return Some(Err(JwtError::Missing("k")));
        };
        // RFC 7518 has no padding; accept it anyway.
        let key = |secret| Key {
            id: self.id,
            secret,
            default: is(&self.usage, "default"),
            expires: self.expires,
        };
        Some(match decode_any(&secret, "k") {
            Ok(secret) if secret.len() < SHORTEST_KEY => Err(JwtError::ShortKey),
            secret => secret.map(key),
        })
    }
}

#[cfg(test)]
mod tests;
