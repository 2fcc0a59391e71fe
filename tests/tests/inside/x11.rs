//! X11 forwarding: DISPLAY and XAUTHORITY of the login are the job's own, and lead to the display
//! of who submitted it: a fake one on node1, of which node2 sees nothing.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use lab::{Background, Cluster};
use tests::Module;

use crate::namespaces::{BOTH, same_environment};
use crate::place::{
    AS_IT_IS, FAKE_DISPLAY, Place, STRICT, Test, X_CLIENT, bare, inside, ssh, submit, use_module,
    wait_for, wait_for_file,
};

/// At each place.
pub const TESTS: &[(&str, Test)] = &[
    ("a login reaches the job's display", display),
    ("disable_x11=1 sets neither variable", disabled),
];

/// Where jobs have no namespaces of their own.
pub const MORE_TESTS: &[(&str, Test)] = &[
    ("a job of salloc --x11", of_salloc),
    ("without --x11 neither variable is set", without),
];

const COOKIE: &str = "5f0e2a6c1b7d49839ad4c8e6f1023b57";
/// Tells both variables of its environment and goes on.
const TELL: &str = "echo \"$SLURM_JOB_ID $DISPLAY $XAUTHORITY\" > /home/alice/.x11; \
                    mv /home/alice/.x11 /home/alice/x11; exec sleep 100000";

/// The fake display :7 on node1, with alice's cookie for it, and a job that forwards to it.
struct Forwarding {
    display: Background,
    job: Background,
}

impl Forwarding {
    fn start(cluster: &Cluster, command: &[&str]) -> Result<Self> {
        inside(cluster).remove("/home/alice/x11")?;
        let node = cluster.node(1);
        let argv = [FAKE_DISPLAY, "7", COOKIE];
        let display = node.command(&argv).user("alice").spawn()?;
        wait_for("the fake display", || {
            ensure!(display.stderr()?.is_empty(), "{}", display.stderr()?);
            Ok(display.stdout()?.contains("ready"))
        })?;
        node.run_as("alice", &["xauth", "-q", "add", ":7", ".", COOKIE])?
            .ok()?;
        let job = node
            .command(command)
            .user("alice")
            .env("DISPLAY", ":7")
            .spawn()?;
        Ok(Self { display, job })
    }

    /// The job's id and what it has in its environment.
    fn told(&mut self, cluster: &Cluster) -> Result<(u32, String, String)> {
        let told = wait_for_file(cluster, "/home/alice/x11")
            .with_context(|| format!("{:?}", self.job.stderr()))?;
        let words: Vec<&str> = told.split_whitespace().collect();
        let [job, display, authority] = words[..] else {
            anyhow::bail!("the job said '{told}'")
        };
        let job = job.parse().with_context(|| told.clone())?;
        cluster.wait_running(job)?;
        Ok((job, display.to_owned(), authority.to_owned()))
    }

    /// The job is to end by itself when its starter is told to.
    fn end(mut self, cluster: &Cluster) -> Result<()> {
        cluster.cancel_all()?;
        self.job.wait(Duration::from_secs(20))?;
        Ok(())
    }
}

fn display(_: &Place, cluster: &Cluster) -> Result<()> {
    let srun = ["srun", "--x11", "--nodelist=node2", "sh", "-c", TELL];
    let mut forwarding = Forwarding::start(cluster, &srun)?;
    let (job, display, authority) = forwarding.told(cluster)?;
    let of_job = format!("{job}\n{display}\n{authority}\n");
    for module in BOTH {
        use_module(cluster, module, STRICT)?;
        let login = ssh(
            cluster,
            "echo $SLURM_JOB_ID; echo $DISPLAY; echo $XAUTHORITY",
        )
        .output()?;
        ensure!(
            login.stdout == of_job,
            "{module:?}: the job has {of_job}{login}"
        );
        let client = ssh(cluster, X_CLIENT).output()?;
        ensure!(
            client.stdout == "welcome to fake display\n",
            "{module:?}: {client}\nthe display saw {}",
            forwarding.display.stdout()?
        );
        // The display does look at the cookie.
        let client = ssh(cluster, &format!("XAUTHORITY=$HOME/none {X_CLIENT}")).output()?;
        ensure!(client.stdout.starts_with("refused"), "{module:?}: {client}");
    }
    let seen = forwarding.display.stdout()?;
    let count = |start: &str| seen.lines().filter(|line| line.starts_with(start)).count();
    ensure!(
        // A client whose answer was lost has asked again.
        count("welcome") >= 2 && count("refused") >= 2,
        "the display saw {seen}"
    );

    let env = same_environment(cluster, STRICT)?;
    ensure!(env.contains(&format!("XAUTHORITY={authority}")), "{env:?}");
    let calls = [
        bare(cluster, BOTH[0], STRICT, AS_IT_IS)?,
        bare(cluster, BOTH[1], STRICT, AS_IT_IS)?,
    ];
    ensure!(calls[0].env == calls[1].env, "{calls:?}");
    forwarding.end(cluster)
}

fn disabled(_: &Place, cluster: &Cluster) -> Result<()> {
    let srun = ["srun", "--x11", "--nodelist=node2", "sh", "-c", TELL];
    let mut forwarding = Forwarding::start(cluster, &srun)?;
    let (job, _, _) = forwarding.told(cluster)?;
    let options = format!("{STRICT} disable_x11=1");
    let env = same_environment(cluster, &options)?;
    ensure!(env.contains(&format!("SLURM_JOB_ID={job}")), "{env:?}");
    ensure!(!has_display(&env), "{env:?}");
    forwarding.end(cluster)
}

fn has_display(env: &[String]) -> bool {
    env.iter()
        .any(|it| it.starts_with("DISPLAY=") || it.starts_with("XAUTHORITY="))
}

/// It has no step until the user makes one; the extern step forwards.
fn of_salloc(_: &Place, cluster: &Cluster) -> Result<()> {
    let salloc = [
        "salloc",
        "--x11",
        "--nodelist=node2",
        "srun",
        "sh",
        "-c",
        TELL,
    ];
    let mut forwarding = Forwarding::start(cluster, &salloc)?;
    let (_, display, _) = forwarding.told(cluster)?;
    for module in BOTH {
        use_module(cluster, module, STRICT)?;
        let client = ssh(cluster, &format!("echo $DISPLAY; {X_CLIENT}")).output()?;
        let expected = format!("{display}\nwelcome to fake display\n");
        ensure!(client.stdout == expected, "{module:?}: {display}: {client}");
    }
    forwarding.end(cluster)
}

fn without(_: &Place, cluster: &Cluster) -> Result<()> {
    submit(cluster, "exec sleep 100000")?;
    let env = same_environment(cluster, STRICT)?;
    ensure!(!has_display(&env), "{env:?}");
    let call = bare(cluster, Module::Ours, STRICT, AS_IT_IS)?;
    ensure!(
        call.env.as_object().is_some_and(|env| env.len() == 1),
        "{call:?}"
    );
    Ok(())
}
