//! Waiting for a condition, with a deadline and a name for the message if it does not come.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

/// Waits until `condition` gives a value, and returns it.
///
/// # Errors
/// `what` did not happen within `patience`.
pub fn wait_for<T>(
    what: &str,
    patience: Duration,
    mut condition: impl FnMut() -> Option<T>,
) -> Result<T> {
    let deadline = now() + patience;
    loop {
        // Looked at once more after the deadline: a slow condition gets a fair last try.
        let late = now() >= deadline;
        if let Some(value) = condition() {
            return Ok(value);
        }
        if late {
            bail!("{what}: not within {patience:?}");
        }
        thread::sleep(LOOK_AGAIN);
    }
}

/// Waits until `condition` holds.
///
/// # Errors
/// `what` did not happen within `patience`.
pub fn wait_until(
    what: &str,
    patience: Duration,
    mut condition: impl FnMut() -> bool,
) -> Result<()> {
    wait_for(what, patience, || condition().then_some(()))
}

/// The monotonic clock.
#[expect(
    clippy::disallowed_methods,
    reason = "the laboratory measures real time; the ban protects the protocol machines"
)]
#[must_use]
pub fn now() -> Instant {
    Instant::now()
}

/// How long between two looks at a condition.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_that_comes_is_returned() {
        let mut looks = 0;
        let value = wait_for("third look", Duration::from_secs(5), || {
            looks += 1;
            (looks == 3).then_some(looks)
        });
        assert_eq!(value.unwrap(), 3);
    }

    #[test]
    fn what_never_comes_is_named() {
        let error = wait_until("the moon", Duration::ZERO, || false).unwrap_err();
        assert_eq!(error.to_string(), "the moon: not within 0ns");
    }
}
