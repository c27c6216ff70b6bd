//! A store in memory, for tests.

use crate::store::Store;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use tidemill_model::Result;

/// Files in memory. Clones share the files, so that a test can look at them, or start again on them.
#[derive(Clone, Debug, Default)]
pub struct MemoryStore {
    files: Arc<Mutex<BTreeMap<String, Vec<u8>>>>,
}

impl Store for MemoryStore {
    fn put(&self, name: &str, bytes: &[u8]) -> Result<()> {
        self.files.lock().expect("no holder panics").insert(name.into(), bytes.into());
        Ok(())
    }

    fn get(&self, name: &str) -> Result<Option<Vec<u8>>> {
        Ok(self.files.lock().expect("no holder panics").get(name).cloned())
    }

    fn list(&self, folder: &str) -> Result<Vec<String>> {
        let prefix = format!("{folder}/");
        let files = self.files.lock().expect("no holder panics");
        Ok(files.keys().filter_map(|name| name.strip_prefix(&prefix)).map(str::to_owned).collect())
    }

    fn remove(&self, name: &str) -> Result<()> {
        self.files.lock().expect("no holder panics").remove(name);
        Ok(())
    }
}
