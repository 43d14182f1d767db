//! wireguard-go at both ends, set up by wg(8).

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio, id};

use anyhow::{Context, Result, ensure};
use greyhound_tests::namespace::{Namespace, run};
use greyhound_tests::scratch::Scratch;
use greyhound_tests::tunnel::{CLIENT, SERVER};
use greyhound_tests::wait::wait_until;

use super::{Ends, Program, START, Track, Tunnel};

/// Two peers.
#[derive(Debug)]
pub(super) struct Pair {
    client: Peer,
    server: Peer,
}

#[derive(Debug)]
struct Peer {
    program: Program,
    /// Where wg(8) finds it; the path is built into both programs.
    socket: PathBuf,
}

struct Keys {
    private: String,
    public: String,
}

impl Pair {
    pub(super) fn start(track: &Track) -> Result<Self> {
        let folder = Scratch::new("wireguard")?;
        let server_keys = Keys::new()?;
        let client_keys = Keys::new()?;
        let server = Peer::start(
            &track.server,
            &format!("ghs{}", id()),
            "10.77.0.1/24",
            &folder.file("server.conf"),
            &format!(
                "[Interface]\nPrivateKey = {}\nListenPort = {PORT}\n\
                 [Peer]\nPublicKey = {}\nEndpoint = {CLIENT}:{PORT}\nAllowedIPs = 0.0.0.0/0\n",
                server_keys.private, client_keys.public
            ),
        );
        let client = Peer::start(
            &track.client,
            &format!("ghc{}", id()),
            "10.77.0.2/24",
            &folder.file("client.conf"),
            &format!(
                "[Interface]\nPrivateKey = {}\nListenPort = {PORT}\n\
                 [Peer]\nPublicKey = {}\nEndpoint = {SERVER}:{PORT}\nAllowedIPs = 0.0.0.0/0\n",
                client_keys.private, server_keys.public
            ),
        );
        Ok(Self {
            client: client.context("the client's wireguard-go")?,
            server: server.context("the server's wireguard-go")?,
        })
    }
}

impl Tunnel for Pair {
    fn ends(&self) -> Ends {
        Ends {
            server: [10, 77, 0, 1].into(),
            client: [10, 77, 0, 2].into(),
        }
    }

    fn processes(&self) -> Vec<(String, u32)> {
        vec![
            ("server wireguard-go".to_owned(), self.server.program.pid()),
            ("client wireguard-go".to_owned(), self.client.program.pid()),
        ]
    }

    fn stop(mut self: Box<Self>) -> Result<()> {
        self.client.program.stop()?;
        self.server.program.stop()
    }
}

impl Peer {
    fn start(
        namespace: &Namespace,
        interface: &str,
        address: &str,
        config_path: &Path,
        config: &str,
    ) -> Result<Self> {
        let mut command = namespace.command("wireguard-go");
        command
            .args(["--foreground", interface])
            .env("LOG_LEVEL", "silent")
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let peer = Self {
            program: Program::start(command)?,
            socket: Path::new(SOCKETS).join(format!("{interface}.sock")),
        };
        wait_until("wireguard-go listens", START, || peer.socket.exists())?;
        fs::write(config_path, config)?;
        let config_path = config_path.to_str().context("a path that is no text")?;
        namespace.run("wg", &["setconf", interface, config_path])?;
        namespace.ip(&format!("addr add {address} dev {interface}"))?;
        namespace.ip(&format!("link set {interface} up"))?;
        Ok(peer)
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // It removes its socket itself unless it was killed.
        let _ = fs::remove_file(&self.socket);
    }
}

impl Keys {
    fn new() -> Result<Self> {
        let private = run("wg", &["genkey"])?;
        let mut child = Command::new("wg")
            .arg("pubkey")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("wg pubkey")?;
        let mut input = child.stdin.take().context("wg pubkey has no input")?;
        input.write_all(private.as_bytes())?;
        drop(input);
        let output = child.wait_with_output()?;
        ensure!(output.status.success(), "wg pubkey: {}", output.status);
        Ok(Self {
            private: private.trim().to_owned(),
            public: String::from_utf8(output.stdout)?.trim().to_owned(),
        })
    }
}

const PORT: u16 = 51820;

const SOCKETS: &str = "/var/run/wireguard";
