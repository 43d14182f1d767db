//! pppd in a guest, let in by RADIUS: its packets are encrypted with the keys of the answer in both
//! directions, and every byte is the one that was sent.

use greyhound_tests::interop::{PATTERN, Services, pings_arrived, traffic, transfers_arrived};
use greyhound_tests::tcp;

use super::*;

#[test]
#[ignore = "needs root: ./run test"]
fn the_kernel_client_moves_bytes_both_ways_with_the_keys_of_radius() -> Result<()> {
    bytes_go_both_ways(DataPath::Kernel)
}

#[test]
#[ignore = "needs root: ./run test"]
fn pptp_linux_moves_bytes_both_ways_with_the_keys_of_radius() -> Result<()> {
    bytes_go_both_ways(DataPath::PptpLinux)
}

fn bytes_go_both_ways(data_path: DataPath) -> Result<()> {
    let lan = Lan::new()?;
    let users = [User::new("User1", "StrongPass-1", &[])];
    let radius = FreeRadius::on(&lan, RADIUS, &users)?;
    let server = Machine::on(&lan, SERVER, CONCENTRATOR, &[])?;
    let services = Services::new(&server)?;
    let role = Role::Client {
        data_path,
        server: SERVER,
        user: "User1".to_owned(),
        password: "StrongPass-1".to_owned(),
        script: traffic("ping -q -c 20 -i 0.05 -s 1000 -p 5aa5 $peer"),
        files: vec![("pattern".to_owned(), tcp::pattern(PATTERN))],
    };
    let report = services.during(|| {
        let mut guest = Guest::boot(&lan, "192.0.2.9/24", &role)?;
        guest.wait_for_link(Duration::from_secs(30))?;
        let sessions = server.greyhound.console()?.sessions()?;
        ensure!(sessions[0].encoding == "MPPE128 stateless", "{sessions:?}");
        guest.finish(Duration::from_secs(60))
    })?;
    let arrived = transfers_arrived(&report.output).and_then(|()| pings_arrived(&report.output));
    arrived.with_context(|| report.pppd_log.clone())?;

    let is_over = |records: &[Record]| records.iter().any(|one| one.status() == "Stop");
    let records = radius.wait_for_records("a Stop", PATIENCE, is_over)?;
    let stop = &check_pairs(&records)?[0];
    for direction in ["Input", "Output"] {
        let counted = stop.octets(direction)?;
        // The pattern, 20 pings, and headers.
        let least = PATTERN as u64 + 20 * 1028;
        ensure!(
            (least..least * 5 / 4).contains(&counted),
            "{direction}: {stop:?}"
        );
    }
    server.stop()
}
