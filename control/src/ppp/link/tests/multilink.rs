//! MRRU: in force where both ends want it, and harmless where one does not.

use greyhound_datapath::ipc::Multilink;

use super::*;

fn terms(side: &Side) -> (Option<Multilink>, Option<Multilink>) {
    let link = side.log.iter().rev().find_map(|command| match command {
        Command::SetLink(link) => Some(*link),
        _ => None,
    });
    let link = link.unwrap();
    (link.rx_multilink, link.tx_multilink)
}

fn with(config: Config, mrru: Option<u16>) -> Config {
    Config { mrru, ..config }
}

#[test]
fn each_end_sends_what_the_other_takes() {
    let mut pair = Pair::new(with(server(), Some(1600)), with(client(), Some(1500)));
    pair.open();
    pair.run(Duration::from_secs(5));
    assert!(pair.server.is_up() && pair.client.is_up());
    let of = |mrru| Some(Multilink { mrru, short: false });
    assert_eq!(terms(&pair.server), (of(1600), of(1500)));
    assert_eq!(terms(&pair.client), (of(1500), of(1600)));
}

#[test]
fn an_end_that_does_not_want_it_rejects_it_and_both_go_without() {
    for (server_mrru, client_mrru) in [(Some(1600), None), (None, Some(1600)), (None, None)] {
        let mut pair = Pair::new(with(server(), server_mrru), with(client(), client_mrru));
        pair.open();
        pair.run(Duration::from_secs(5));
        assert!(pair.server.is_up() && pair.client.is_up());
        assert_eq!(terms(&pair.server), (None, None));
        assert_eq!(terms(&pair.client), (None, None));
    }
}

/// As pppd asks with `multilink mrru 1500 endpoint local:04.05.06`.
#[test]
fn what_pppd_asks_for_is_agreed_to() {
    let mut link = Link::new(with(server(), Some(1500)), Box::new(CountingEntropy(5)));
    let now = start();
    link.open(now);
    drain(&mut link);
    let options = hex("0104057802060000000005066b29b9e8070208021104 05dc 130601040506");
    link.handle_frame(now, protocol::LCP, &packet(1, 1, &options));
    assert_eq!(
        sent_on(&drain(&mut link), protocol::LCP),
        [packet(2, 1, &options)]
    );
}
