//! Which kind of text it is.

use super::{Kind, accel, pppd, pptpd, routeros};

/// Tells the kinds apart: by what only one of them has in it, by the name of the file, and else by
/// what most of its lines look like.
#[must_use]
pub fn detect(name: &str, text: &str) -> Kind {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let name = name.rsplit('/').next().unwrap_or(name);
    let lines: Vec<_> = text
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .collect();
    let first = lines.first().copied().unwrap_or_default();
    if routeros::has_header(text) || first.starts_with('/') || name.ends_with(".rsc") {
        return Kind::RouterOs;
    }
    let section = first
        .strip_prefix('[')
        .and_then(|line| line.split_once(']'));
    if section.is_some_and(|(name, _)| accel::conf::is_section(name)) || name == "accel-ppp.conf" {
        return Kind::AccelPpp;
    }
    let share = |is_one: &dyn Fn(&str) -> bool| {
        let count = lines.iter().filter(|line| is_one(line)).count();
        count > 0 && 2 * count >= lines.len()
    };
    let word = |line: &str| {
        line.split_whitespace()
            .next()
            .unwrap_or_default()
            .to_owned()
    };
    if name.contains("pap-secrets") {
        return Kind::PapSecrets;
    }
    let is_secret = |line: &str| line.split_whitespace().count() >= 3;
    let is_secrets = name.contains("chap-secrets");
    if name == "pptpd.conf" {
        return Kind::PptpdConf;
    }
    if !is_secrets {
        if lines.iter().any(|line| pptpd::is_keyword(&word(line))) {
            return Kind::PptpdConf;
        }
        if pppd::peer::is_one(text) {
            return Kind::PppdPeer;
        }
        if share(&|line| pppd::options::is_option(&word(line))) {
            return Kind::PppdOptions;
        }
    }
    if lines.iter().any(|line| accel::secrets::has_rate(line)) {
        return Kind::AccelSecrets;
    }
    if is_secrets || (section.is_none() && share(&is_secret)) {
        return Kind::ChapSecrets;
    }
    Kind::Unknown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_is_told_by_the_content_and_else_by_the_name() {
        for (name, text, kind) in [
            ("", "/ppp secret\nadd name=a", Kind::RouterOs),
            ("x.rsc", "", Kind::RouterOs),
            ("", "# a\n[modules]\npptp\n", Kind::AccelPpp),
            ("/etc/accel-ppp.conf", "", Kind::AccelPpp),
            ("", "[Unit]\nDescription=x y z\n", Kind::Unknown),
            ("", "option /etc/ppp/o\nlocalip 10.0.0.1\n", Kind::PptpdConf),
            ("/etc/pptpd.conf", "#localip x\n", Kind::PptpdConf),
            ("", "name pptpd\nrefuse-pap\nmy-own 1\n", Kind::PppdOptions),
            (
                "/etc/ppp/peers/office",
                "pty \"pptp h --nolaunchpppd\"\nmy 1\nmy 2\nmy 3\n",
                Kind::PppdPeer,
            ),
            ("", "lock\nplugin pptp.so\n", Kind::PppdPeer),
            ("", "pty \"pppoe -I eth0\"\nlock\n", Kind::PppdOptions),
            ("", "ann * secret *\n", Kind::ChapSecrets),
            ("chap-secrets", "pty pptp secret\n", Kind::ChapSecrets),
            ("/etc/ppp/chap-secrets", "# none\n", Kind::ChapSecrets),
            ("/etc/ppp/chap-secrets", "mtu * secret\n", Kind::ChapSecrets),
            ("pap-secrets", "ann * \"\"\n", Kind::PapSecrets),
            ("", "ann * secret * 1024/512\n", Kind::AccelSecrets),
            (
                "chap-secrets",
                "ann * secret 10.0.0.2 512\n",
                Kind::AccelSecrets,
            ),
            ("", "hello\n", Kind::Unknown),
            ("", "", Kind::Unknown),
        ] {
            assert_eq!(detect(name, text), kind, "{name:?} {text:?}");
        }
    }
}
