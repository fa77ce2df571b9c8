//! A value that each process has for itself: a forked child begins with an empty one.

use std::sync::OnceLock;

use vault_crypto_core::process_word;

/// Gives the same value as long as the process is the same. What the parent had stays where it is and is
/// never touched again: another thread may have held its lock when the process forked.
pub(super) struct PerProcess<T>(Node<T>);

struct Node<T> {
    process: Option<u64>,
    value: T,
    child: OnceLock<Box<Node<T>>>,
}

impl<T: Default> PerProcess<T> {
    /// This process's value.
    pub(super) fn get(&self) -> &T {
        let process = process_word();
        let mut node = &self.0;
        while node.process != process {
            node = node.child.get_or_init(|| Box::new(Node::of(process)));
        }
        &node.value
    }
}

impl<T: Default> Default for PerProcess<T> {
    fn default() -> Self {
        Self(Node::of(process_word()))
    }
}

impl<T: Default> Node<T> {
    fn of(process: Option<u64>) -> Self {
        Self { process, value: T::default(), child: OnceLock::new() }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[test]
    fn another_process_has_a_value_of_its_own() {
        let mut value: PerProcess<AtomicU32> = PerProcess::default();
        value.get().store(7, Ordering::Relaxed);
        assert_eq!(value.get().load(Ordering::Relaxed), 7);
        // What a child sees: a node of some other process.
        value.0.process = Some(u64::MAX);
        assert_eq!(value.get().load(Ordering::Relaxed), 0);
        value.get().store(8, Ordering::Relaxed);
        assert_eq!(value.get().load(Ordering::Relaxed), 8);
    }
}
