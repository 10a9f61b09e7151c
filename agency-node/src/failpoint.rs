//! Named places at which a process can be told to die, for crash tests.
//!
//! With the feature `failpoints`, the environment variable `ZKBUREAU_FAILPOINT=name` makes the
//! process abort when it first reaches `failpoint!("name")`; `name:3` waits for the third time. An
//! abort runs no destructors and flushes no buffers: it is as close to pulling the plug as a
//! process can come by itself. Without the feature the macro is nothing.
//!
//! | name | where |
//! |---|---|
//! | `before-vault` | a batch is proven, the vault does not know it |
//! | `vault-written` | the vault holds it durably, the ledger does not know it |
//! | `before-final` | the ledger holds it, the vault does not know that |
//! | `before-block-write` | a block is executed, nothing of it is on disk |
//! | `after-block-write` | the block is on disk, nobody was told |

/// The environment variable that names the failpoint.
pub const VARIABLE: &str = "ZKBUREAU_FAILPOINT";

/// Aborts the process here when the environment says so; nothing without the feature `failpoints`.
#[macro_export]
macro_rules! failpoint {
    ($name:literal) => {
        $crate::failpoint::hit($name)
    };
}

/// What [`failpoint!`](crate::failpoint!) calls.
#[cfg(not(feature = "failpoints"))]
#[inline(always)]
pub fn hit(_name: &str) {}

/// What [`failpoint!`](crate::failpoint!) calls.
#[cfg(feature = "failpoints")]
pub fn hit(name: &str) {
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU64, Ordering};

    static ARMED: OnceLock<Option<(String, u64)>> = OnceLock::new();
    static HITS: AtomicU64 = AtomicU64::new(0);

    let armed = ARMED.get_or_init(|| std::env::var(VARIABLE).ok().as_deref().and_then(parse));
    if let Some((wanted, count)) = armed
        && wanted == name
        && HITS.fetch_add(1, Ordering::SeqCst) + 1 == *count
    {
        eprintln!("failpoint {name}: aborting");
        std::process::abort();
    }
}

/// Splits `name` or `name:n`.
#[cfg(any(test, feature = "failpoints"))]
fn parse(text: &str) -> Option<(String, u64)> {
    let (name, count) = match text.split_once(':') {
        Some((name, count)) => (name, count.parse().ok()?),
        None => (text, 1),
    };
    (!name.is_empty() && count > 0).then(|| (name.to_owned(), count))
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn the_variable_is_a_name_and_a_count() {
        assert_eq!(parse("vault-written"), Some(("vault-written".into(), 1)));
        assert_eq!(parse("vault-written:3"), Some(("vault-written".into(), 3)));
        for bad in ["", ":1", "name:", "name:0", "name:x"] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }
}
