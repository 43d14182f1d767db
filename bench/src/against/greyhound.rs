//! The product at both ends.

use anyhow::{Context, Result};
use greyhound_tests::machine::UPLINK;
use greyhound_tests::process::{Greyhound, Up};
use greyhound_tests::tunnel::{CLIENT_CONFIG, INNER_CLIENT, INNER_SERVER, SERVER_CONFIG};
use greyhound_tests::wait::wait_until;

use super::{Ends, START, Track, Tunnel};

/// A concentrator and its client.
#[derive(Debug)]
pub(super) struct Pair {
    // Dropped in this order: the client hangs up while the server is there.
    client: Greyhound,
    server: Greyhound,
    ends: Ends,
}

impl Pair {
    pub(super) fn start(track: &Track, offload: bool) -> Result<Self> {
        // Each end begins with another core: on one machine they would meet on the first.
        let forward = track.cores.iter();
        let backward = track.cores.iter().rev();
        let server = arguments(offload, forward);
        let client = arguments(offload, backward);
        let server: Vec<&str> = server.iter().map(String::as_str).collect();
        let client: Vec<&str> = client.iter().map(String::as_str).collect();
        let server = Up::new(SERVER_CONFIG, UPLINK).with(&server);
        let server = server.start(&track.server).context("the server")?;
        let client = Up::new(CLIENT_CONFIG, UPLINK).with(&client);
        let client = client.start(&track.client).context("the client")?;
        client
            .wait_for_clients(1, START)
            .with_context(|| server.log())?;
        // Its interface comes some milliseconds later, and what is sent before goes nowhere.
        let console = server.console()?;
        wait_until("the server has its end", START, || {
            console.sessions().is_ok_and(|sessions| sessions.len() == 1)
        })
        .with_context(|| server.log())?;
        Ok(Self {
            client,
            server,
            ends: Ends {
                server: INNER_SERVER.parse()?,
                client: INNER_CLIENT.parse()?,
            },
        })
    }
}

fn arguments<'a>(offload: bool, cores: impl Iterator<Item = &'a usize>) -> Vec<String> {
    let cores: Vec<String> = cores.map(usize::to_string).collect();
    let queues = cores.len().to_string();
    let mut arguments = vec!["--cores".into(), cores.join(","), "--queues".into(), queues];
    if !offload {
        arguments.push("--no-offload".into());
    }
    arguments
}

impl Tunnel for Pair {
    fn ends(&self) -> Ends {
        self.ends
    }

    fn processes(&self) -> Vec<(String, u32)> {
        [("server", &self.server), ("client", &self.client)]
            .into_iter()
            .flat_map(|(end, greyhound)| {
                let watched = greyhound.watched().into_iter();
                watched.map(move |(title, pid)| (format!("{end} {title}"), pid))
            })
            .collect()
    }

    fn stop(mut self: Box<Self>) -> Result<()> {
        self.client.stop().context("the client")?;
        self.server.stop().context("the server")?;
        Ok(())
    }
}
