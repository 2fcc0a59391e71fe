//! A fake slurmd: a Perl script that gives prepared answers. For what a real one can't be made to
//! say; the credentials in it are real, made by munged or slurmd on one of the nodes.

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use lab::{Background, Node, Suite};
pub use tests::rpc::{
    MUNGE, RESPONSE_CALLERID, SLURM, body, by_auth_none, hex, message, payload, return_code,
    without_credential,
};

/// Takes connection after connection: reads a message, writes it to its output in hexadecimal
/// digits, and answers with the first answer for the message's version. An answer: the version (0:
/// any), how the connection goes on (`close`, `hang`; `drip`: the bytes come one by one), and the
/// bytes in hexadecimal digits.
const PERL: &str = r#"
use strict; use Socket; $| = 1; $SIG{PIPE} = 'IGNORE';
my ($port, @answers) = @ARGV; my @kept;
socket(my $l, PF_INET, SOCK_STREAM, 0) or die $!;
setsockopt($l, SOL_SOCKET, SO_REUSEADDR, 1);
bind($l, sockaddr_in($port, INADDR_ANY)) or die $!; listen($l, 64) or die $!;
print "ready\n";
sub take { my ($c, $n) = @_; my $b = '';
  while (length $b < $n) { sysread($c, $b, $n - length $b, length $b) or last } $b }
while (accept(my $c, $l)) {
  my $m = take($c, unpack('N', take($c, 4)) || 0);
  print unpack('H*', $m), "\n";
  my $asked = length $m > 1 ? unpack('n', $m) : 0;
  for (@answers) {
    my ($version, $then, $hex) = split /:/;
    next if $version && $version != $asked;
    my @bytes = pack('H*', $hex // '');
    @bytes = split //, $bytes[0] if $then eq 'drip';
    for (@bytes) { syswrite($c, $_); select undef, undef, undef, 0.1 if @bytes > 1 }
    push @kept, $c if $then eq 'hang';
    last;
  }
}
"#;

/// One answer of the fake.
#[derive(Debug, Clone)]
pub struct Answer {
    /// To messages of that version only.
    pub to: Option<u16>,
    /// The bytes.
    pub bytes: Vec<u8>,
    /// How they come.
    pub then: Then,
}

/// What becomes of the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Then {
    /// It ends after the answer.
    Close,
    /// It stays open.
    Hang,
    /// The answer's bytes come one by one, ten in a second.
    Drip,
}

impl Answer {
    /// These bytes to every message, then the end.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Self {
        Self {
            to: None,
            bytes: bytes.into(),
            then: Then::Close,
        }
    }

    /// Only to messages of that version.
    pub fn to(mut self, version: u16) -> Self {
        self.to = Some(version);
        self
    }
}

/// A fake slurmd that runs.
pub struct Fake(Background);

impl Fake {
    /// Starts it on that node as that user: slurmd's port is no privileged one.
    pub fn start(node: &Node, user: &str, answers: &[Answer]) -> Result<Self> {
        let mut argv = vec![
            "perl".to_owned(),
            "-e".to_owned(),
            PERL.to_owned(),
            "6818".to_owned(),
        ];
        for it in answers {
            let then = match it.then {
                Then::Close => "close",
                Then::Hang => "hang",
                Then::Drip => "drip",
            };
            argv.push(format!("{}:{then}:{}", it.to.unwrap_or(0), hex(&it.bytes)));
        }
        let argv: Vec<&str> = argv.iter().map(String::as_str).collect();
        let mut fake = node.command(&argv).user(user).spawn()?;
        lab::poll::until_true("the fake slurmd", Duration::from_secs(60), || {
            ensure!(fake.is_running()?, "it ended: {}", fake.stderr()?);
            Ok(fake.stdout()?.contains("ready"))
        })?;
        Ok(Self(fake))
    }

    /// The versions of the messages that came.
    pub fn versions(&self) -> Result<Vec<u16>> {
        let text = self.0.stdout()?;
        let mut versions = Vec::new();
        for line in text.lines().filter(|line| *line != "ready") {
            let digits = line.get(..4).context("a message without a version")?;
            versions.push(u16::from_str_radix(digits, 16).context("a message's version")?);
        }
        Ok(versions)
    }

    /// Ends it and waits until its port is free.
    pub fn stop(mut self) -> Result<()> {
        self.0.signal(rustix::process::Signal::KILL)?;
        self.0
            .wait(Duration::from_secs(5))?
            .context("the fake slurmd does not end")?;
        Ok(())
    }
}

/// Whose word a credential is, and for what.
#[derive(Debug, Clone)]
pub struct Credential<'a> {
    /// Who has it made.
    pub by: &'a str,
    /// Only root may decode it, as slurmd does for who asked as root.
    pub restricted: bool,
    /// What it says of the message.
    pub payload: Vec<u8>,
}

impl Credential<'_> {
    /// Has munged of that node make it.
    pub fn munge(&self, node: &Node) -> Result<(u32, String)> {
        let argv = match self.restricted {
            true => &["munge", "--restrict-uid=0"][..],
            false => &["munge"],
        };
        let command = node.command(argv).user(self.by).stdin(&*self.payload);
        Ok((MUNGE, command.output()?.ok()?.trim().to_owned()))
    }

    /// Has slurmd of that node make it, through its socket for that.
    pub fn sack(&self, node: &Node) -> Result<(u32, String)> {
        const SACK: &str = r#"
use strict; use Socket; local $/; my $payload = pack('H*', $ARGV[1]);
socket(my $s, PF_UNIX, SOCK_STREAM, 0) or die $!;
connect($s, sockaddr_un('/run/slurm/sack.socket')) or die $!;
my $body = pack('NNN', 64001, $ARGV[0], length $payload) . $payload;
syswrite($s, pack('nN', 42 << 8, 4 + length $body) . $body);
my $answer = ''; 1 while sysread($s, $answer, 65536, length $answer) and
  (length $answer < 4 or length $answer < 4 + unpack('N', $answer));
print unpack('Z*', substr($answer, 4));
"#;
        let reader = if self.restricted { "0" } else { "4294967295" };
        let argv = ["perl", "-e", SACK, reader, &hex(&self.payload)];
        let token = node.command(&argv).user(self.by).output()?.ok()?;
        ensure!(token.contains('.'), "the SACK socket gave '{token}'");
        Ok((SLURM, token.trim().to_owned()))
    }
}

/// That token with root's claims, its signature as it was, or with none and "alg": "none".
pub fn forged(credential: &(u32, String), unsigned: bool) -> Result<(u32, String)> {
    let [header, claims, signature] = credential.1.split('.').collect::<Vec<_>>()[..] else {
        bail!("no token: {}", credential.1)
    };
    let text = String::from_utf8(from_base64url(claims)?).context("a token's claims")?;
    let start = text.find("\"uid\":").context("a token without a uid")? + 6;
    let end = start + text[start..].find([',', '}']).context("a token's end")?;
    let claims = base64url(format!("{}0{}", &text[..start], &text[end..]).as_bytes());
    let token = match unsigned {
        true => format!("{}.{claims}.", base64url(br#"{"alg":"none","typ":"JWT"}"#)),
        false => format!("{header}.{claims}.{signature}"),
    };
    Ok((credential.0, token))
}

const BASE64URL: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

fn base64url(bytes: &[u8]) -> String {
    let mut text = String::new();
    for group in bytes.chunks(3) {
        let at = |index: usize| u32::from(group.get(index).copied().unwrap_or(0));
        let bits = at(0) << 16 | at(1) << 8 | at(2);
        for shift in [18, 12, 6, 0].into_iter().take(group.len() + 1) {
            text.push(char::from(BASE64URL[(bits >> shift & 63) as usize]));
        }
    }
    text
}

fn from_base64url(text: &str) -> Result<Vec<u8>> {
    let (mut bytes, mut bits, mut count) = (Vec::new(), 0u32, 0);
    for sign in text.bytes() {
        let value = BASE64URL.iter().position(|it| *it == sign);
        bits = bits << 6 | value.context("no base64url")? as u32;
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push((bits >> count & 255) as u8);
        }
    }
    Ok(bytes)
}

/// The version before that suite's own.
pub fn version_before(suite: Suite) -> u16 {
    suite.protocol() - 0x100
}
