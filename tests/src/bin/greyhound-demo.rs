//! `./run demo`: shows a tunnel with real traffic in it, and fails unless it was one.

use std::env;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Result, bail, ensure};
use greyhound_tests::demo::{self, Demo};
use greyhound_tests::process::program;
use greyhound_tests::tcp::{Amount, Transfer};

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let result = match arguments[..] {
        [] => show(false),
        ["--keep"] => show(true),
        ["--stop"] => demo::stop_kept(),
        _ => {
            say("usage: ./run demo [--keep | --stop]");
            return ExitCode::from(2);
        }
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            #[expect(clippy::print_stderr, reason = "a program for people")]
            {
                eprintln!("demo: {error:#}");
            }
            ExitCode::FAILURE
        }
    }
}

fn show(keep: bool) -> Result<()> {
    say("Two network namespaces, joined by a veth pair with two queues:");
    say("  greyhound-demo-client 192.0.2.2  ---PPTP--->  greyhound-demo-server 192.0.2.1");
    let demo = Demo::start_for_people("auto")?;
    say(&format!(
        "Both programs started and connected in {:.1} s.\n",
        demo.connected_after.as_secs_f64()
    ));

    let ping = demo.ping(20)?;
    say(&format!(
        "ping {}, full-size packets: {} sent, {} answered",
        demo::INNER_SERVER,
        ping.sent,
        ping.received
    ));
    let upload = demo.upload(Amount::For(TRAFFIC))?;
    say(&format!("TCP client to server: {}", rate(&upload)));
    let download = demo.download(Amount::For(TRAFFIC))?;
    say(&format!("TCP server to client: {}\n", rate(&download)));

    let console = demo.server().greyhound.console()?;
    for command in [
        &["interface", "pptp-server", "print"][..],
        &["ppp", "active", "print"],
    ] {
        say(&format!("> {}", command.join(" ")));
        say(&console.text(command)?);
    }
    let evidence = demo.evidence()?;
    say(&evidence.to_string());

    ensure!(ping.received == ping.sent, "a ping was lost");
    for transfer in [upload, download] {
        if transfer.bytes == 0 {
            bail!("TCP moved nothing");
        }
    }
    if keep {
        demo.keep();
        explain()
    } else {
        demo.stop()
    }
}

fn explain() -> Result<()> {
    let greyhound = program("greyhound")?;
    let greyhound = greyhound.display();
    let run_dir = demo::kept_run_dir();
    let run_dir = run_dir.display();
    say(&format!(
        "\nIt is still running. Look around:\n  \
         {greyhound} --run-dir {run_dir} interface pptp-server print\n  \
         {greyhound} --run-dir {run_dir} datapath print\n  \
         ip netns exec {client} ping {inner}\n  \
         ip -n {server} address\n\
         End it:\n  \
         ./run demo --stop",
        client = demo::CLIENT,
        server = demo::SERVER,
        inner = demo::INNER_SERVER,
    ));
    Ok(())
}

fn rate(transfer: &Transfer) -> String {
    format!(
        "{:.0} Mbit/s ({} bytes, every one checked)",
        transfer.bits_per_second() / 1e6,
        transfer.bytes
    )
}

#[expect(clippy::print_stdout, reason = "a program for people")]
fn say(line: &str) {
    println!("{line}");
}

/// How long TCP runs each way.
const TRAFFIC: Duration = Duration::from_secs(3);
