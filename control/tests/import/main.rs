//! What people have, taken over: exports and configuration files in the styles that there are, and
//! what holds for every text.
#![cfg(test)]

use greyhound_control::import::{Imported, Kind, detect, import};
use greyhound_control::model::Config;

mod accel;
mod peer;
mod pppd;
mod properties;
mod routeros;

/// Takes over a source, whose kind must be found too, and checks that the model takes all of it.
fn take_over(name: &str, kind: Kind, text: &str) -> Imported {
    assert_eq!(detect(name, text), kind, "{name}");
    let imported = import(kind, name, text, "").unwrap();
    check(text, &imported);
    imported
}

/// The model takes the statements, no line of the source got lost, and no password is told.
fn check(source: &str, imported: &Imported) {
    let text = imported.text();
    let config = match Config::parse(&text) {
        Ok((config, _)) => config,
        Err(errors) => panic!("{errors:?}\n{}", text.as_str()),
    };
    let users = config.secrets.iter().map(|secret| &secret.password);
    let clients = config.clients.iter().map(|client| &client.password);
    for password in users.chain(clients).map(|password| password.as_str()) {
        let told = imported.left_out.iter().map(ToString::to_string);
        let shows = |told: String| password.len() > 4 && told.contains(password);
        assert!(!told.into_iter().any(shows), "{password}");
    }
    // One by one: each only needs what stands before it.
    let mut so_far = String::new();
    for statement in &imported.statements {
        assert_eq!(statement.line, statement.lines[0]);
        so_far.push_str(&statement.text);
        so_far.push('\n');
        assert!(Config::parse(&so_far).is_ok(), "{so_far}");
    }
    let lost = properties::lost_lines(source, imported);
    assert!(lost.is_empty(), "{lost:?} got lost");
}

/// Statements and what was left out, for a snapshot.
fn written(imported: &Imported) -> String {
    let mut text = String::new();
    for statement in &imported.statements {
        text += &format!("{:>3}  {}\n", statement.line, statement.text.as_str());
    }
    text.push('\n');
    for left_out in &imported.left_out {
        text += &format!("{left_out}\n");
    }
    text
}
