//! The one place that asks what time it is. Everybody else is told.

use std::time::{SystemTime, UNIX_EPOCH};

/// Seconds since 1970, now; a clock that is set before 1970 counts as 1970.
pub fn now() -> i64 {
    #[expect(clippy::disallowed_methods, reason = "this is the one place")]
    let now = SystemTime::now();
    now.duration_since(UNIX_EPOCH).map_or(0, |since| i64::try_from(since.as_secs()).unwrap_or(i64::MAX))
}
