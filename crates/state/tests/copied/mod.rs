//! For the tests of the store: a snapshot that is copied in parts beside the batches.

use tidemill_state::{Layout, Store};

/// The parts of a snapshot that is not complete, and the deltas since its first one.
#[derive(Default)]
pub struct Copied {
    parts: Vec<Vec<u8>>,
    deltas: Vec<Vec<u8>>,
}

impl Copied {
    /// Copies a part after a batch. If it is the last one, parts and deltas must give the store.
    pub fn after(&mut self, id: u64, delta: &[u8], store: &mut Store, layout: Layout) {
        let is_first = self.parts.is_empty();
        if !is_first {
            self.deltas.push(delta.to_vec());
        }
        let (part, is_last) = store.copy(is_first, store.bytes() / 3 + 1);
        self.parts.push(part);
        if is_last {
            let Copied { parts, deltas } = std::mem::take(self);
            let mut restored = Store::restore(layout, 2, Some(parts), deltas).unwrap();
            assert_eq!(restored.groups(), store.groups(), "groups of the copy after batch {id}");
            assert!(restored.snapshot() == store.snapshot(), "the copy after batch {id}");
        }
    }
}
