//! `pptpd.conf`.

use super::draft::{Draft, Item, POOLS, SERVER};
use super::ranges::Ranges;

/// What `text` says; `None` if nothing in it is pptpd's.
pub(super) fn read(text: &str) -> Option<Draft> {
    let mut reader = Reader::default();
    let mut first = None;
    let mut is_one = false;
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        first.get_or_insert(index + 1);
        let (keyword, value) = line.split_once([' ', '\t']).unwrap_or((line, ""));
        is_one |= reader.line(keyword, value.trim(), index + 1);
    }
    let Some(first) = first else {
        return Some(Draft::default());
    };
    is_one.then(|| reader.finish(first))
}

/// Whether a line of the file may begin with this.
pub(super) fn is_keyword(word: &str) -> bool {
    [
        "bcrelay",
        "delegate",
        "localip",
        "logwtmp",
        "noipparam",
        "remoteip",
        "stimeout",
    ]
    .contains(&word)
}

/// Reads line by line.
#[derive(Default)]
struct Reader {
    draft: Draft,
    local: Option<(Ranges, usize)>,
    remote: Option<(Ranges, usize)>,
    delegate: bool,
    anyway: Vec<(String, usize)>,
}

impl Reader {
    /// Takes a line. False if its keyword is none.
    fn line(&mut self, keyword: &str, value: &str, line: usize) -> bool {
        let why = match keyword {
            "localip" | "remoteip" => match Ranges::of_pptpd(value) {
                Some(ranges) => return self.addresses(keyword, ranges, line),
                None => "is not a list of addresses",
            },
            "connections" => {
                self.draft.set(SERVER, "max-sessions", value, [line]);
                return true;
            }
            "delegate" => {
                self.delegate = true;
                "pppd gives the addresses: those in the secrets, or of RADIUS"
            }
            "ppp" | "speed" | "pidfile" => {
                self.anyway.push((keyword.to_owned(), line));
                return true;
            }
            "option" => "names a file of pppd's options: import that file as well",
            "listen" => {
                "the server listens on all addresses: close TCP port 1723 of the others in the \
                 firewall before it is turned on"
            }
            "vrf" => "there is no VRF: the server listens on all addresses",
            "bcrelay" => "broadcasts are not passed on",
            "stimeout" => "the server has limits of its own for connections without a login",
            "noipparam" => "programs are always told the client's address",
            "logwtmp" => "wtmp is not written: see /ppp active for who is connected",
            "debug" => "what is logged is said on the command line",
            _ => "not an option of pptpd",
        };
        self.draft
            .leave_out([line], format!("option {keyword}"), why);
        why != "not an option of pptpd"
    }

    fn addresses(&mut self, keyword: &str, ranges: Ranges, line: usize) -> bool {
        let slot = if keyword == "localip" {
            &mut self.local
        } else {
            &mut self.remote
        };
        if let Some((_, before)) = slot.replace((ranges, line)) {
            let why = "is set again further down";
            self.draft
                .leave_out([before], format!("option {keyword}"), why);
        }
        true
    }

    /// `first` is the first line that says something.
    fn finish(self, first: usize) -> Draft {
        let mut draft = self.draft;
        let given = [
            (self.local, "localip", "local-address", LOCAL_POOL),
            (self.remote, "remoteip", "remote-address", POOL),
        ];
        for (ranges, keyword, property, pool) in given {
            let Some((ranges, line)) = ranges else {
                continue;
            };
            if self.delegate {
                let why = "says nothing beside delegate";
                draft.leave_out([line], format!("option {keyword}"), why);
                continue;
            }
            // The only address of the server is every session's, that of a client only one's.
            if let Some(address) = ranges.single().filter(|_| pool == LOCAL_POOL) {
                draft.set_for_all(property, &address.to_string(), [line]);
                continue;
            }
            let mut item = Item::add(POOLS, [line]);
            item.put("name", pool, []);
            item.put("ranges", &ranges.text(), []);
            draft.push(item);
            draft.set_for_all(property, pool, [line]);
        }
        draft.leave_out_together(&self.anyway, "pptpd's own business");
        let what = format!("enabled of {SERVER}");
        let why = "the file does not say whether pptpd runs: turn the server on when pptpd is \
                   stopped";
        draft.leave_out([first], what, why);
        draft
    }
}

/// The pool of the clients' addresses.
const POOL: &str = "pptpd";
/// The pool of the server's, if there are several.
const LOCAL_POOL: &str = "pptpd-local";
