//! OpenVPN at both ends: TLS with keys made for the run, AES-128-GCM over UDP, in user space.

use std::fs::{self, File};
use std::net::Ipv4Addr;

use anyhow::{Context, Result, bail};
use greyhound_tests::namespace::{Namespace, run};
use greyhound_tests::scratch::Scratch;
use greyhound_tests::tunnel::{CLIENT, SERVER};
use greyhound_tests::wait::wait_for;

use super::{Ends, Program, START, Track, Tunnel};

/// A server and its client, in OpenVPN's point-to-point mode.
#[derive(Debug)]
pub(super) struct Pair {
    client: Program,
    server: Program,
    _folder: Scratch,
}

/// One end of it.
struct Peer<'a> {
    namespace: &'a Namespace,
    name: &'a str,
    /// Who it is to the other one in the TLS handshake.
    role: &'a str,
    local: Ipv4Addr,
    remote: Ipv4Addr,
    inner_local: Ipv4Addr,
    inner_remote: Ipv4Addr,
}

impl Pair {
    pub(super) fn start(track: &Track) -> Result<Self> {
        let folder = Scratch::new("openvpn")?;
        let server = Peer {
            namespace: &track.server,
            name: "server",
            role: "--tls-server",
            local: SERVER,
            remote: CLIENT,
            inner_local: INNER_SERVER,
            inner_remote: INNER_CLIENT,
        };
        let client = Peer {
            namespace: &track.client,
            name: "client",
            role: "--tls-client",
            local: CLIENT,
            remote: SERVER,
            inner_local: INNER_CLIENT,
            inner_remote: INNER_SERVER,
        };
        let server_print = server.make_keys(&folder)?;
        let client_print = client.make_keys(&folder)?;
        let mut pair = Self {
            server: server.start(&folder, &client_print)?,
            client: client.start(&folder, &server_print)?,
            _folder: folder,
        };
        let folder = &pair._folder;
        server.wait_until_ready(folder, &mut pair.server)?;
        client.wait_until_ready(folder, &mut pair.client)?;
        Ok(pair)
    }
}

impl Tunnel for Pair {
    fn ends(&self) -> Ends {
        Ends {
            server: INNER_SERVER,
            client: INNER_CLIENT,
        }
    }

    fn processes(&self) -> Vec<(String, u32)> {
        vec![
            ("server openvpn".to_owned(), self.server.pid()),
            ("client openvpn".to_owned(), self.client.pid()),
        ]
    }

    fn stop(mut self: Box<Self>) -> Result<()> {
        self.client.stop()?;
        self.server.stop()
    }
}

impl Peer<'_> {
    /// Makes a key and a certificate that it signs itself; returns its fingerprint.
    fn make_keys(&self, folder: &Scratch) -> Result<String> {
        let path = |ending: &str| -> Result<String> {
            let path = folder.file(&format!("{}.{ending}", self.name));
            Ok(path.to_str().context("a path that is no text")?.to_owned())
        };
        let (key, certificate) = (path("key")?, path("crt")?);
        let subject = format!("/CN={}", self.name);
        run(
            "openssl",
            &[
                "req",
                "-x509",
                "-newkey",
                "ec",
                "-pkeyopt",
                "ec_paramgen_curve:prime256v1",
                "-nodes",
                "-days",
                "2",
                "-subj",
                &subject,
                "-keyout",
                &key,
                "-out",
                &certificate,
            ],
        )?;
        let words = [
            "x509",
            "-in",
            &certificate,
            "-noout",
            "-fingerprint",
            "-sha256",
        ];
        let print = run("openssl", &words)?;
        let (_, print) = print.trim().split_once('=').context("no fingerprint")?;
        Ok(print.to_owned())
    }

    fn start(&self, folder: &Scratch, other_print: &str) -> Result<Program> {
        let file = |ending: &str| folder.file(&format!("{}.{ending}", self.name));
        let mut command = self.namespace.command("openvpn");
        command
            .args(["--dev", "ghvpn", "--dev-type", "tun", "--disable-dco"])
            .args(["--proto", "udp", "--port", "1194"])
            .arg("--local")
            .arg(self.local.to_string())
            .arg("--remote")
            .arg(self.remote.to_string())
            .arg("--ifconfig")
            .args([self.inner_local, self.inner_remote].map(|address| address.to_string()))
            .arg(self.role)
            .args(["--dh", "none"])
            .args(["--data-ciphers", CIPHER])
            .args(["--peer-fingerprint", other_print])
            .arg("--key")
            .arg(file("key"))
            .arg("--cert")
            .arg(file("crt"));
        let log = File::create(file("log"))?;
        command.stdout(log.try_clone()?).stderr(log);
        Program::start(command)
    }

    fn wait_until_ready(&self, folder: &Scratch, program: &mut Program) -> Result<()> {
        let log = || {
            let log = folder.file(&format!("{}.log", self.name));
            fs::read_to_string(log).unwrap_or_default()
        };
        let ready = wait_for("openvpn has connected", START, || {
            match program.child.try_wait() {
                Ok(Some(status)) => Some(Some(status)),
                _ => log()
                    .contains("Initialization Sequence Completed")
                    .then_some(None),
            }
        });
        match ready.with_context(log)? {
            None => Ok(()),
            Some(status) => bail!("openvpn ended with {status}\n{}", log()),
        }
    }
}

/// The fastest of its ciphers wherever the CPU knows AES.
const CIPHER: &str = "AES-128-GCM";

const INNER_SERVER: Ipv4Addr = Ipv4Addr::new(10, 78, 0, 1);
const INNER_CLIENT: Ipv4Addr = Ipv4Addr::new(10, 78, 0, 2);
