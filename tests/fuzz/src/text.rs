//! What people and scripts write: the configuration, and commands to the console.

use std::sync::LazyLock;
use std::time::Duration;

use greyhound_control::console::command::execute;
use greyhound_control::console::snapshot::Snapshot;
use greyhound_control::console::wire::decode_request;
use greyhound_control::entropy::CountingEntropy;
use greyhound_control::model::Config;
use greyhound_control::server::Server;

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
            let _ = (
                config.profile("default"),
                config.pool("a"),
                config.secret("a"),
            );
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

    let words = match decode_request(data) {
        Ok(Some(request)) => {
            run(
                &request.words,
                request.json,
                usize::from(request.width),
                &CONFIG,
                &SNAPSHOT,
            );
            return;
        }
        // The same as bare words.
        Ok(None) | Err(_) => String::from_utf8_lossy(data),
    };
    let words: Vec<_> = words.split(' ').map(str::to_owned).collect();
    run(&words, false, 80, &CONFIG, &SNAPSHOT);
    run(&words, true, 0, &CONFIG, &SNAPSHOT);
}

fn run(words: &[String], json: bool, width: usize, config: &Config, snapshot: &Snapshot) {
    let reply = execute(words, json, config, snapshot, width);
    assert!(reply.text.is_empty() || reply.text.ends_with('\n'));
    if json {
        serde_json::from_str::<serde_json::Value>(&reply.text).expect("it is JSON");
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
