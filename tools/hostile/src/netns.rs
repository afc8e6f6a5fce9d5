//! A network of the test's own: a namespace for the server, a pair of interfaces, and loss on the
//! way between them.
//!
//! Not here: a network that can be had without being root (`proxy`). What always holds: what was
//! made is taken away when the value is dropped, and nothing outside the namespace is changed but
//! for the outer interface, which goes with it.

use std::{
    process::{self, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
};

/// Segments lost, each way, of a hundred.
const LOSS_PERCENT: u32 = 2;

pub struct Netns {
    name: String,
    /// What loses: `netem`, which delays as well, or `nft`, which does not.
    pub means: &'static str,
    /// The server's address.
    pub host: String,
}

impl Netns {
    /// `None` where it is not allowed, or the tools or the kernel's part of it are missing.
    pub fn make() -> Option<Netns> {
        static MADE: AtomicU32 = AtomicU32::new(0);
        let number = process::id().wrapping_add(MADE.fetch_add(1, Ordering::Relaxed)) % 16_384;
        let name = format!("hostile{number}");
        // Each has four addresses of a private network.
        let (third, fourth) = (number / 64, number % 64 * 4);
        let (own, host) = (
            format!("10.213.{third}.{}", fourth + 1),
            format!("10.213.{third}.{}", fourth + 2),
        );
        ip(&format!("netns add {name}"))?;
        let mut netns = Netns {
            name,
            means: "netem",
            host,
        };
        netns.connect(&own)?;
        netns.means = netns.lose()?;
        Some(netns)
    }

    /// What runs a program inside.
    pub fn wrapper(&self) -> Vec<String> {
        ["ip", "netns", "exec", &self.name].map(String::from).into()
    }

    fn connect(&self, own: &str) -> Option<()> {
        let Netns { name, host, .. } = self;
        let (outer, inner) = (self.outer(), "inner");
        ip(&format!(
            "link add {outer} type veth peer name {inner} netns {name}"
        ))?;
        ip(&format!("address add {own}/30 dev {outer}"))?;
        ip(&format!("link set {outer} up"))?;
        ip(&format!("-n {name} address add {host}/30 dev {inner}"))?;
        ip(&format!("-n {name} link set {inner} up"))?;
        ip(&format!("-n {name} link set lo up"))
    }

    fn lose(&self) -> Option<&'static str> {
        let netem = format!("root netem delay 25ms loss {LOSS_PERCENT}%");
        let here = format!("qdisc add dev {} {netem}", self.outer());
        if run("tc", &here).is_some() {
            self.inside("tc", &format!("qdisc add dev inner {netem}"))?;
            return Some("netem");
        }
        self.inside("nft", "add table inet loss")?;
        for hook in ["input", "output"] {
            let chain =
                format!("add chain inet loss {hook} {{ type filter hook {hook} priority 0; }}");
            let rule =
                format!("add rule inet loss {hook} numgen random mod 100 < {LOSS_PERCENT} drop");
            self.inside("nft", &chain)?;
            self.inside("nft", &rule)?;
        }
        Some("nft")
    }

    fn inside(&self, program: &str, words: &str) -> Option<()> {
        ip(&format!("netns exec {} {program} {words}", self.name))
    }

    fn outer(&self) -> String {
        // An interface's name has at most 15 characters.
        format!("{}o", self.name)
    }
}

impl Drop for Netns {
    fn drop(&mut self) {
        // The interfaces first: the kernel takes its time over a namespace's end.
        let _ = ip(&format!("link delete {}", self.outer()));
        let _ = ip(&format!("netns delete {}", self.name));
    }
}

fn ip(words: &str) -> Option<()> {
    run("ip", words)
}

fn run(program: &str, words: &str) -> Option<()> {
    let mut command = Command::new(program);
    command.args(words.split(' '));
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command.status().ok()?.success().then_some(())
}
