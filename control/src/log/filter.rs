//! Which lines are wanted: by their level, as RUST_LOG says it, and by their topics.

use std::fmt;
use std::str::FromStr;

use tracing::Level;
use tracing_subscriber::filter::{LevelFilter, Targets};

/// What lines of the log call themselves where RUST_LOG tells parts of the program apart.
const TARGET: &str = "greyhound_control::log";

/// Which lines are wanted. By default those that matter more than `debug`.
#[derive(Clone, Debug)]
pub struct Filter {
    levels: Targets,
    topics: Vec<Topics>,
}

impl Filter {
    /// `levels` is the value of RUST_LOG, such as `debug` or `warn,greyhound_control=debug`; what
    /// does not mean anything in it has no effect, and where it says nothing `info` holds. A line
    /// is wanted if one of `topics` takes it, and if there are none. Who asks for a topic of the
    /// levels below `info` need not set RUST_LOG.
    #[must_use]
    pub fn new(levels: Option<&str>, topics: Vec<Topics>) -> Self {
        let asks_for = |topic| topics.iter().any(|one| one.asks_for(topic));
        let level = match (asks_for("debug"), asks_for("trace")) {
            (_, true) => LevelFilter::TRACE,
            (true, false) => LevelFilter::DEBUG,
            (false, false) => LevelFilter::INFO,
        };
        let mut all = Targets::new().with_default(level);
        let directives = levels.unwrap_or_default().split(',').map(str::trim);
        // No word at all is taken for `error`.
        let directives = directives.filter(|one| !one.is_empty());
        for one in directives.filter_map(|one| one.parse::<Targets>().ok()) {
            if let Some(level) = one.default_level() {
                all = all.with_default(level);
            }
            // An empty name would be the beginning of every other.
            let named = one.iter().filter(|(target, _)| !target.is_empty());
            all.extend(named.map(|(target, level)| (target.to_owned(), level)));
        }
        Self {
            levels: all,
            topics,
        }
    }

    /// Whether lines of these topics and this level are wanted.
    #[must_use]
    pub fn wants(&self, level: Level, topics: &str) -> bool {
        self.levels.would_enable(TARGET, &level)
            && (self.topics.is_empty() || self.topics.iter().any(|one| one.take(topics)))
    }

    /// What of it is about levels.
    pub(super) fn levels(&self) -> Targets {
        self.levels.clone()
    }
}

impl Default for Filter {
    fn default() -> Self {
        Self::new(None, Vec::new())
    }
}

/// Topics that a line must have, and such as it must not have: `pptp,ppp,!debug`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topics {
    wanted: Vec<String>,
    unwanted: Vec<String>,
}

/// Not a list of topics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("topics are lower-case words with commas in between, such as pptp,ppp,!debug")]
pub struct TopicsError;

impl Topics {
    /// Whether a line with `topics` has all that are wanted and none that is not.
    #[must_use]
    pub fn take(&self, topics: &str) -> bool {
        let has = |topic: &String| topics.split(',').any(|one| one == topic);
        self.wanted.iter().all(has) && !self.unwanted.iter().any(has)
    }

    fn asks_for(&self, topic: &str) -> bool {
        self.wanted.iter().any(|one| one == topic)
    }
}

impl fmt::Display for Topics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let wanted = self.wanted.iter().map(|topic| ("", topic));
        let unwanted = self.unwanted.iter().map(|topic| ("!", topic));
        for (index, (mark, topic)) in wanted.chain(unwanted).enumerate() {
            let comma = if index == 0 { "" } else { "," };
            write!(f, "{comma}{mark}{topic}")?;
        }
        Ok(())
    }
}

impl FromStr for Topics {
    type Err = TopicsError;

    fn from_str(text: &str) -> Result<Self, TopicsError> {
        let (mut wanted, mut unwanted) = (Vec::new(), Vec::new());
        for topic in text.split(',') {
            let (list, topic) = match topic.strip_prefix('!') {
                Some(topic) => (&mut unwanted, topic),
                None => (&mut wanted, topic),
            };
            let is_topic = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
            if topic.is_empty() || !topic.bytes().all(is_topic) {
                return Err(TopicsError);
            }
            list.push(topic.to_owned());
        }
        Ok(Self { wanted, unwanted })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_every_topic_that_is_wanted_and_none_that_is_not() {
        let topics: Topics = "pptp,ppp,!debug".parse().unwrap();
        assert!(topics.take("pptp,ppp,info"));
        assert!(topics.take("ppp,error,pptp"));
        assert!(!topics.take("pptp,ppp,debug"));
        assert!(!topics.take("pptp,info"));
        assert!(!topics.take("pptpx,ppp"));
        assert_eq!(topics.to_string(), "pptp,ppp,!debug");
    }

    #[test]
    fn what_is_no_list_of_topics_is_refused() {
        for text in ["", ",", "pptp,", "!", "pptp ppp", "PPP", "!!debug"] {
            assert_eq!(text.parse::<Topics>(), Err(TopicsError), "{text}");
        }
    }

    #[test]
    fn without_a_word_from_the_operator_what_explains_things_is_left_out() {
        for levels in [None, Some(""), Some("!?"), Some("=,,"), Some("inof")] {
            let filter = Filter::new(levels, Vec::new());
            assert!(filter.wants(Level::INFO, "pptp,info"), "{levels:?}");
            assert!(!filter.wants(Level::DEBUG, "pptp,debug"), "{levels:?}");
        }
    }

    #[test]
    fn rust_log_sets_the_level() {
        for (levels, least) in [
            ("debug", Level::DEBUG),
            ("warn", Level::WARN),
            ("greyhound_control=debug,info", Level::DEBUG),
            ("error,greyhound_control=trace", Level::TRACE),
            ("greyhound_datapath=debug,error", Level::ERROR),
            ("greyhound_datapath=debug", Level::INFO),
            ("nonsense=?,warn", Level::WARN),
        ] {
            let filter = Filter::new(Some(levels), Vec::new());
            for level in [
                Level::ERROR,
                Level::WARN,
                Level::INFO,
                Level::DEBUG,
                Level::TRACE,
            ] {
                assert_eq!(filter.wants(level, "x"), level <= least, "{levels} {level}");
            }
        }
    }

    #[test]
    fn who_asks_for_a_topic_below_info_gets_it() {
        let debug = vec!["ppp,debug".parse().unwrap(), "system".parse().unwrap()];
        let filter = Filter::new(None, debug.clone());
        assert!(filter.wants(Level::DEBUG, "pptp,ppp,debug"));
        assert!(filter.wants(Level::INFO, "system,info"));
        assert!(!filter.wants(Level::INFO, "pptp,ppp,info"));
        let filter = Filter::new(Some("info"), debug);
        assert!(!filter.wants(Level::DEBUG, "pptp,ppp,debug"));
    }
}
