//! What is told to `tracing` in this process goes to the log, too.

use std::fmt::{self, Write};

use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

use super::{Line, Log};

/// Makes `log` the one that events go to; nothing if there is such a one already.
pub(super) fn install(log: Log) {
    let levels = log.inner().filter.levels();
    let layer = Bridge(log).with_filter(levels);
    let _ = tracing_subscriber::registry().with(layer).try_init();
}

struct Bridge(Log);

impl<S: Subscriber> Layer<S> for Bridge {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let level = *event.metadata().level();
        let mut text = Text::default();
        event.record(&mut text);
        self.0.write(Line::other(level, topics(level), text.0));
    }
}

const fn topics(level: Level) -> &'static str {
    match level {
        Level::ERROR => "system,error",
        Level::WARN => "system,warning",
        Level::INFO => "system,info",
        Level::DEBUG => "system,debug",
        Level::TRACE => "system,trace",
    }
}

/// The message of an event and, behind it, its fields.
#[derive(Default)]
struct Text(String);

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        // Writing to a string does not fail.
        let _ = match field.name() {
            "message" => {
                let fields = std::mem::replace(&mut self.0, format!("{value:?}"));
                self.0.write_str(&fields)
            }
            name => write!(self.0, " {name}={value:?}"),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::super::Filter;
    use super::*;

    #[test]
    fn an_event_is_a_line_of_the_system() {
        let log = Log::default();
        let levels = Filter::default().levels();
        let layer = Bridge(log.clone()).with_filter(levels);
        let subscriber = tracing_subscriber::registry().with(layer);
        tracing::subscriber::with_default(subscriber, || {
            tracing::warn!(port = 1723, "cannot {}\nx", "accept");
            tracing::debug!("nobody wants to know");
        });
        let recent = log.recent();
        let lines: Vec<_> = recent.iter().map(|entry| entry.line.clone()).collect();
        let text = "cannot accept?x port=1723".to_owned();
        assert_eq!(lines, [Line::other(Level::WARN, "system,warning", text)]);
    }
}
