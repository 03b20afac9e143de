//! `cargo xtask mpi --hosts`: three hosts on this machine. Each is a network namespace with a name and a temporary folder
//! of its own, and they see each other through a bridge alone. Open MPI starts its processes there through an agent in
//! place of ssh. Needs Linux, root, and `ip` and `tc` of iproute2.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use super::{Checks, Tools, WATCHDOG};
use crate::process::{on_path, output, run};
use crate::project::Project;
use crate::step::step;
use crate::Result;

const HOSTS: usize = 3;
/// Addresses of the hosts begin so; a range for documentation, which no real network has.
const NETWORK: &str = "192.0.2";
const SWITCH: &str = "transfer-switch";

/// Trains, evaluates and predicts on one, two and three hosts, and compares every bit.
pub fn hosts(project: &Project, tools: &Tools) -> Result<()> {
    for program in ["ip", "unshare"] {
        on_path(program, &project.root)
            .ok_or(format!("expected `{program}`, which makes hosts on this machine"))?;
    }
    if output(Command::new("id").arg("-u")).as_deref() != Some("0") {
        return Err("expected root, who may make network namespaces".to_owned());
    }
    let checks = super::prepare(project, tools)?;
    let hosts = Hosts::new(&checks)?;
    let processes = |n| hosts.command(tools, n, &checks.program);
    step("two and three hosts have the bits of one", "a minute", || {
        checks.same_bits(&[1, 2, HOSTS], &processes)
    })
}

/// The hosts; they go when this is dropped.
pub struct Hosts {
    agent: PathBuf,
}

impl Hosts {
    fn new(checks: &Checks<'_>) -> Result<Self> {
        let agent = checks.folder.join("agent");
        let text = format!(
            "#!/bin/sh\n# HOST COMMAND: runs a command on a host, as ssh does.\nhost=${{1##*.}}\nshift\n\
             export TMPDIR='{folder}/host'$host\nmkdir -p \"$TMPDIR\"\n\
             exec ip netns exec transfer-host-$host unshare --uts sh -c \"hostname host$host; $*\"\n",
            folder = checks.folder.display()
        );
        std::fs::write(&agent, text).map_err(|e| format!("cannot write the agent: {e}"))?;
        run(Command::new("chmod").arg("+x").arg(&agent), "making the agent a program")?;
        let hosts = Hosts { agent };
        // Those of a run that was killed.
        remove();
        ip(&["netns", "add", SWITCH])?;
        let inside = |name: &str, words: &[&str]| ip(&[&["-n", name], words].concat());
        inside(SWITCH, &["link", "add", "bridge", "type", "bridge"])?;
        inside(SWITCH, &["link", "set", "bridge", "up"])?;
        for i in 1..=HOSTS {
            let (host, port) = (format!("transfer-host-{i}"), format!("port{i}"));
            ip(&["netns", "add", &host])?;
            inside(&host, &["link", "add", "eth0", "type", "veth", "peer", "name", &port, "netns", SWITCH])?;
            inside(SWITCH, &["link", "set", &port, "master", "bridge", "up"])?;
            inside(&host, &["address", "add", &format!("{NETWORK}.{i}/24"), "dev", "eth0"])?;
            inside(&host, &["link", "set", "eth0", "up"])?;
            inside(&host, &["link", "set", "lo", "up"])?;
        }
        Ok(hosts)
    }

    /// `program` on the first so many hosts, one process each.
    pub fn command(&self, tools: &Tools, n: usize, program: &std::path::Path) -> Command {
        let mut command = tools.command(&self.agent);
        let list: Vec<String> = (1..=n).map(|i| format!("{NETWORK}.{i}:1")).collect();
        command.arg(format!("{NETWORK}.1")).arg("exec").arg(tools.programs.join("mpirun"));
        command.args(["--mca", "plm_rsh_agent"]).arg(&self.agent);
        command.args(["--prefix"]).arg(tools.programs.parent().unwrap_or(&tools.programs));
        command.args(["--host", &list.join(","), "-n", &n.to_string()]).args(["-x", "TRANSFER_THREADS"]);
        command.arg(program).env("TRANSFER_THREADS", "1").stdin(Stdio::null());
        command.envs([("OMPI_ALLOW_RUN_AS_ROOT", "1"), ("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1")]);
        command
    }
}

impl Drop for Hosts {
    fn drop(&mut self) {
        remove();
    }
}

fn remove() {
    let names = (1..=HOSTS).map(|i| format!("transfer-host-{i}")).chain([SWITCH.to_owned()]);
    for name in names {
        let mut command = Command::new("ip");
        command.args(["netns", "delete", &name]);
        crate::process::quietly(&mut command, WATCHDOG);
    }
}

fn ip(words: &[&str]) -> Result<()> {
    run(Command::new("ip").args(words), "making a host of a network namespace")
}
