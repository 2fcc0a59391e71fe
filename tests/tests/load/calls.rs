//! One process that calls PAM again and again, as a daemon that keeps it loaded would.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use tests::{Call, Module, record};

use crate::crowd::{Crowd, name};

/// Calls of each kind: so many that the pages in which libc's heap comes to rest (28 KiB were seen) are little
/// beside what a leak would take.
const CALLS: u32 = 10_000;

/// What the process may grow by between a tenth of the calls and all, in KiB: a few pages that
/// libc's heap comes to rest in, and less than the smallest block of it, 32 bytes, each time.
fn most_kib(count: u32) -> u64 {
    16 + u64::from(count) / 200
}

/// A client that connects and stays: `$0` the port.
const CLIENT: &str = "for turn in $(seq 500); do
    if exec 3<>/dev/tcp/10.88.0.1/$0; then exec cat <&3; fi; sleep 0.02
done 2>/dev/null";

/// Memory, descriptors, threads and signals stay as they are, whatever the answer.
pub fn without_end(crowd: &mut Crowd) -> Result<()> {
    crowd.settle().context("start the jobs that stay")?;
    let [own, none, several] = [20, 21, 22];
    let jobs = [
        crowd.submit(own)?,
        crowd.submit(several)?,
        crowd.submit(several)?,
    ];
    let called = call_all(crowd, CALLS, [own, none, several]);
    crowd.cancel(&jobs)?;
    called
}

fn call_all(crowd: &Crowd, count: u32, [own, none, several]: [usize; 3]) -> Result<()> {
    for (what, user, port, code) in [
        ("one job of their own", own, None, 0),
        ("no job", none, None, 6),
        (
            "two jobs, the caller asked each time",
            several,
            Some(4100),
            0,
        ),
    ] {
        let answer = call(crowd, user, port, count).context(what)?;
        let codes = json!({ code.to_string(): count });
        ensure!(answer["codes"] == codes, "{what}: {}", answer["codes"]);
        let grown = compare(&answer["marks"], most_kib(count))
            .with_context(|| format!("{what}: {answer}"))?;
        record(
            &format!("account calls in one process, {what}"),
            &crowd.versions()?,
            &format!(
                "{count} calls: {grown} KiB more memory after the last than after a tenth of them; descriptors, threads and signals the same"
            ),
        )?;
    }
    Ok(())
}

fn call(crowd: &Crowd, user: usize, port: Option<u16>, count: u32) -> Result<Value> {
    let mut call = Call::new(&name(user), "log_level=quiet action_adopt_failure=deny");
    call.wrapper = Some(format!("exec \"$@\" --within {count}"));
    call.accept = port.map(|port| format!("10.88.0.1:{port}"));
    let _client = match port {
        Some(port) => {
            let argv = ["bash", "-c", CLIENT, &port.to_string()];
            Some(crowd.cluster.node(2).command(&argv).spawn()?)
        }
        None => None,
    };
    let command = call.command(crowd.target(), Module::Ours)?;
    let told = command
        .time_limit(Duration::from_secs(600))
        .output()?
        .ok()?;
    serde_json::from_str(&told).with_context(|| format!("pamcall said {told}"))
}

/// The growth in KiB between the two marks.
fn compare(marks: &Value, most: u64) -> Result<u64> {
    let [early, late] = [&marks[0], &marks[1]];
    for name in ["fds", "threads", "signals"] {
        ensure!(
            !early[name].is_null() && early[name] == late[name],
            "{name} differ"
        );
    }
    let rss = |mark: &Value| mark["rss_kib"].as_u64().context("no rss_kib");
    let grown = rss(late)?.saturating_sub(rss(early)?);
    ensure!(grown <= most, "grown by {grown} KiB");
    Ok(grown)
}
