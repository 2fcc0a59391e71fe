//! Messages of slurmd, for cases that a real one cannot produce.

use k12::{CustomRefKt128, ExtendableOutput, Update, XofReader};

/// Type of the reply that names a job.
pub const RESPONSE_CALLERID: u16 = 5036;
const RESPONSE_RC: u16 = 8001;
/// Flag of a message without a credential; Slurm 23.02 and later.
const NO_AUTH_CRED: u16 = 0x40;
/// Plugin number of auth/munge.
pub const MUNGE: u32 = 101;
/// Plugin number of auth/slurm.
pub const SLURM: u32 = 103;
const NONE: u32 = 100;
const NO_VAL: u32 = 0xffff_fffe;
const BATCH_STEP: u32 = 0xffff_fffb;

/// Payload of the credential for a message: its type, or since version 38 the hash of its body.
#[must_use]
pub fn payload(version: u16, kind: u16, body: &[u8]) -> Vec<u8> {
    if version < 38 << 8 {
        return [&[1], &kind.to_ne_bytes()[..]].concat();
    }
    let custom = kind.to_be_bytes();
    let mut hasher = CustomRefKt128::new_customized(&custom);
    hasher.update(body);
    let mut hash = [0; 32];
    hasher.finalize_xof().read(&mut hash);
    [&[2], &hash[..]].concat()
}

/// Body of the reply that names a job.
#[must_use]
pub fn body(version: u16, job: u32, node: Option<&str>) -> Vec<u8> {
    let mut body = Vec::new();
    let mut number = |it: u32| body.extend(it.to_be_bytes());
    if version >= 44 << 8 {
        [0, 0, job, BATCH_STEP, NO_VAL]
            .into_iter()
            .for_each(&mut number);
    } else {
        number(job);
    }
    number(0);
    match node {
        None => number(0),
        Some(name) => body.extend(string(name)),
    }
    body
}

/// Makes a whole message.
#[must_use]
pub fn message(
    version: u16,
    kind: u16,
    credential: Option<&(u32, String)>,
    body: &[u8],
) -> Vec<u8> {
    match credential {
        None => framed(version, NO_AUTH_CRED, kind, &[], body),
        Some((plugin, token)) => {
            let auth = [&plugin.to_be_bytes()[..], &string(token)].concat();
            framed(version, 0, kind, &auth, body)
        }
    }
}

/// Makes a message that should have a credential according to its flags, but has none.
#[must_use]
pub fn without_credential(version: u16, kind: u16, body: &[u8]) -> Vec<u8> {
    framed(version, 0, kind, &[], body)
}

/// Makes a message that claims to be root's, with the plugin that trusts everybody.
#[must_use]
pub fn by_auth_none(version: u16, kind: u16, body: &[u8]) -> Vec<u8> {
    let auth = [&NONE.to_be_bytes()[..], &[0; 8], &string("node3")].concat();
    framed(version, 0, kind, &auth, body)
}

fn framed(version: u16, flags: u16, kind: u16, auth: &[u8], body: &[u8]) -> Vec<u8> {
    let mut header = Vec::new();
    let mut short = |it: u16| header.extend(it.to_be_bytes());
    short(version);
    short(flags);
    if version < 38 << 8 {
        short(0);
    }
    short(kind);
    header.extend(length(body.len()));
    // No forwarding, no returned messages.
    header.extend([0; 4]);
    header.extend(if version < 36 << 8 {
        &[0; 6][..]
    } else {
        &[0; 2]
    });
    let rest = [&header, auth, body].concat();
    [&length(rest.len())[..], &rest].concat()
}

/// Makes a reply that reports a failure, without a credential.
#[must_use]
pub fn return_code(version: u16, code: u32) -> Vec<u8> {
    message(version, RESPONSE_RC, None, &code.to_be_bytes())
}

fn string(text: &str) -> Vec<u8> {
    [&length(text.len() + 1)[..], text.as_bytes(), &[0]].concat()
}

fn length(bytes: usize) -> [u8; 4] {
    let [_, _, _, _, low @ ..] = (bytes as u64).to_be_bytes();
    low
}

/// Formats bytes as hexadecimal digits.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|it| format!("{it:02x}")).collect()
}
