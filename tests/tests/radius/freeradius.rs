//! FreeRADIUS, asked by its own radclient: what is not green here says nothing about the product.

use greyhound_tests::process::exists;
use greyhound_tests::radius::{ACCEPT, REJECT, SIGNED};

use super::*;

#[test]
#[ignore = "needs root: ./run test"]
fn freeradius_answers_radclient_and_signs_what_it_answers() -> Result<()> {
    let lan = Lan::new()?;
    let gets = [
        "Framed-IP-Address = 10.5.5.5",
        "Class = 0x01",
        "Class += 0x0203",
    ];
    let users = [
        User::new("ann", "secret", &gets),
        User::rejected("nobody", "not paid"),
    ];
    let radius = FreeRadius::on(&lan, RADIUS, &users)?;
    let login = |user: &str, method: &str, password: &str| {
        let attributes = format!("{SIGNED}\nUser-Name = {user}\n{method} = {password}");
        radius.ask_itself("auth", &attributes)
    };
    // radclient asks by MS-CHAP version 1; what it sends is printed before what it receives.
    for method in ["User-Password", "CHAP-Password", "MS-CHAP-Password"] {
        let said = login("ann", method, "secret")?;
        let (_, answer) = said.split_once(ACCEPT).with_context(|| said.clone())?;
        for line in [
            "Framed-IP-Address = 10.5.5.5",
            "Class = 0x01\n",
            "Class = 0x0203",
        ] {
            assert!(answer.contains(line), "{method}: {said}");
        }
        assert!(answer.contains("Message-Authenticator = 0x"), "{said}");
        let has_keys = answer.contains("MS-CHAP-MPPE-Keys");
        assert_eq!(has_keys, method == "MS-CHAP-Password", "{said}");

        let said = login("ann", method, "wrong")?;
        let (_, answer) = said.split_once(REJECT).with_context(|| said.clone())?;
        assert!(answer.contains("Message-Authenticator = 0x"), "{said}");
        let is_told = answer.contains("E=691 R=1");
        assert_eq!(is_told, method == "MS-CHAP-Password", "{said}");
    }
    let said = login("nobody", "User-Password", "secret")?;
    let (_, answer) = said.split_once(REJECT).with_context(|| said.clone())?;
    assert!(answer.contains("Reply-Message = \"not paid\""), "{said}");
    // What is not signed is not answered.
    let unsigned = "User-Name = ann\nUser-Password = secret";
    let said = radius.ask_itself("auth", unsigned)?;
    assert!(!said.contains("Received"), "{said}");
    Ok(())
}

#[test]
#[ignore = "needs root: ./run test"]
fn what_freeradius_was_told_outlasts_it() -> Result<()> {
    let lan = Lan::new()?;
    let mut radius = FreeRadius::on(&lan, RADIUS, &[])?;
    let tell = |radius: &FreeRadius, what: &str| -> Result<bool> {
        let attributes = format!("Acct-Session-Id = \"8100002a\"\n{what}");
        let said = radius.ask_itself("acct", &attributes)?;
        Ok(said.contains("Received Accounting-Response"))
    };
    ensure!(tell(&radius, "Acct-Status-Type = Start")?);
    radius.stop()?;
    ensure!(!tell(&radius, "Acct-Status-Type = Start")?);
    radius.start()?;
    ensure!(tell(&radius, "Acct-Status-Type = Interim-Update")?);
    let processes = radius.namespace().processes()?;
    radius.kill()?;
    ensure!(!processes.iter().any(|&process| exists(process)));
    radius.start()?;
    ensure!(tell(
        &radius,
        "Acct-Status-Type = Stop\nAcct-Output-Octets = 5\nAcct-Output-Gigawords = 1\n\
         Acct-Terminate-Cause = User-Request",
    )?);

    let records = radius.records()?;
    let told: Vec<_> = records.iter().map(Record::status).collect();
    assert_eq!(told, ["Start", "Interim-Update", "Stop"]);
    let stop = &check_pairs(&records)?[0];
    assert_eq!(stop.session(), "8100002a");
    assert_eq!(stop.octets("Output")?, (1 << 32) + 5);
    assert_eq!(stop.get("Acct-Terminate-Cause"), "User-Request");
    Ok(())
}

#[test]
#[ignore = "needs root: ./run test"]
fn a_user_that_freeradius_cannot_read_is_named_at_once() -> Result<()> {
    let lan = Lan::new()?;
    let began = now();
    let users = [User::new("ann", "secret", &["No-Such-Thing = 1"])];
    let error = FreeRadius::on(&lan, RADIUS, &users).err();
    let error = format!("{:?}", error.context("it runs")?);
    ensure!(error.contains("No-Such-Thing"), "{error}");
    ensure!(began.elapsed() < Duration::from_secs(8));
    Ok(())
}
