//! What people and scripts write: the configuration, and commands to the console.

use std::sync::LazyLock;
use std::time::{Duration, SystemTime};

use greyhound_control::console::accounts::Found;
use greyhound_control::console::command::{Context, execute};
use greyhound_control::console::snapshot::Snapshot;
use greyhound_control::console::wire::{Numbers, Request, decode_request};
use greyhound_control::entropy::CountingEntropy;
use greyhound_control::log::Recent;
use greyhound_control::model::export::{WHOLE, export};
use greyhound_control::model::{Config, Running};
use greyhound_control::server::Server;
use serde_json::Value;

use crate::origin;

/// A configuration file. What is accepted can be asked about, and starts an engine.
pub fn configuration(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else {
        return;
    };
    match Config::parse(text) {
        Ok((config, warnings)) => {
            for warning in &warnings {
                let _ = warning.to_string();
            }
            let config = Running::new(config);
            let _ = (
                config.profile("default"),
                config.pool("a"),
                config.secret("a").map(|secret| config.resolve(secret)),
            );
            let written = export(&config, &[], WHOLE);
            let (again, _) = Config::parse(&written).expect("what is written reads back");
            assert_eq!(export(&again, &[], WHOLE), written);
            let server = Server::new(origin(), config, CountingEntropy(0), 0);
            let _ = server.snapshot(origin() + Duration::from_secs(1));
        }
        Err(errors) => {
            assert!(!errors.is_empty(), "a refusal without a reason");
            for error in &errors {
                let _ = error.to_string();
            }
        }
    }
}

/// The one line that comes over the console's socket: read, carried out, and answered as text and as
/// JSON.
pub fn console(data: &[u8]) {
    static CONFIG: LazyLock<Config> = LazyLock::new(|| {
        let (config, _) = Config::parse(CONFIGURATION).expect("it is right");
        config
    });
    static SNAPSHOT: LazyLock<Snapshot> = LazyLock::new(|| {
        Server::new(origin(), CONFIG.clone(), CountingEntropy(0), 0).snapshot(origin())
    });

    match decode_request(data) {
        Ok(Some(request)) => run(&request, &CONFIG, &SNAPSHOT),
        // The same as a bare line.
        Ok(None) | Err(_) => {
            for json in [false, true] {
                let request = Request {
                    line: String::from_utf8_lossy(data).into_owned(),
                    menu: Vec::new(),
                    numbers: Numbers::new(),
                    json,
                    width: 80,
                };
                run(&request, &CONFIG, &SNAPSHOT);
            }
        }
    }
}

/// What comes out of a change must be a configuration that reads back.
fn run(request: &Request, config: &Config, snapshot: &Snapshot) {
    static LOG: LazyLock<Recent> = LazyLock::new(Recent::default);
    let context = Context {
        config,
        snapshot,
        accounting: Found::default(),
        log: &LOG,
        date: SystemTime::UNIX_EPOCH,
    };
    let outcome = execute(request, &context);
    let reply = outcome.reply;
    assert!(reply.text.is_empty() || reply.text.ends_with('\n'));
    if request.json {
        for value in serde_json::Deserializer::from_str(&reply.text).into_iter::<Value>() {
            value.expect("it is JSON");
        }
    }
    if let Some(config) = outcome.config {
        let written = export(&config, &[], WHOLE);
        let (again, _) = Config::parse(&written).expect("what is written reads back");
        assert_eq!(export(&again, &[], WHOLE), written);
    }
}

const CONFIGURATION: &str = "
    /interface pptp-server server
    set enabled=yes
    /interface pptp-client
    add name=out1 user=ann password=secret connect-to=192.0.2.2 disabled=no
    /ip pool
    add name=guests ranges=10.0.1.10-10.0.1.11
    /ppp profile
    add name=pooled local-address=10.0.0.1 remote-address=guests
    /ppp secret
    add name=ann password=secret local-address=10.0.0.1 remote-address=10.0.0.5
    add name=bob password=secret profile=pooled
";
