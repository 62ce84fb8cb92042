//! Finds the file of mapped bytes, so that sendfile(2) can send its pages without a copy.

use std::collections::BTreeMap;
use std::fs::File;
use std::sync::{Arc, PoisonError, RwLock};

use memmap2::Mmap;

/// Below this size, copying is cheaper than a lookup and a system call.
const WORTH_BYTES: usize = 16 * 1024;

/// All mappings, by the address of their first byte.
static MAPPINGS: RwLock<BTreeMap<usize, (usize, Arc<File>)>> = RwLock::new(BTreeMap::new());

/// A mapping that [`file_of`] finds.
pub(super) struct Mapped(Mmap);

impl Mapped {
    /// Registers a mapping of the whole file.
    pub(super) fn new(mapping: Mmap, file: File) -> Self {
        let start = mapping.as_ptr() as usize;
        let mut mappings = MAPPINGS.write().unwrap_or_else(PoisonError::into_inner);
        mappings.insert(start, (mapping.len(), Arc::new(file)));
        Self(mapping)
    }
}

impl AsRef<[u8]> for Mapped {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Drop for Mapped {
    fn drop(&mut self) {
        let start = self.0.as_ptr() as usize;
        MAPPINGS.write().unwrap_or_else(PoisonError::into_inner).remove(&start);
    }
}

/// The file that contains `bytes`, and their offset; `None` for small slices and for bytes that
/// are not mapped.
pub fn file_of(bytes: &[u8]) -> Option<(Arc<File>, usize)> {
    (bytes.len() >= WORTH_BYTES).then(|| mapping_of(bytes))?
}

/// The same, however small `bytes` are: for programs that look at them, which must read the file
/// instead. A file that is truncated while it is mapped ends a program that reads the mapping.
pub fn mapping_of(bytes: &[u8]) -> Option<(Arc<File>, usize)> {
    let address = bytes.as_ptr() as usize;
    let mappings = MAPPINGS.read().unwrap_or_else(PoisonError::into_inner);
    let (start, (length, file)) = mappings.range(..=address).next_back()?;
    let offset = address - start;
    (offset + bytes.len() <= *length).then(|| (file.clone(), offset))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use crate::files::contents::share;

    use super::*;

    #[test]
    fn bytes_are_found_in_their_file_as_long_as_they_are_mapped() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&vec![7; 200_000]).unwrap();
        let bytes = share(&file, 200_000).unwrap();
        let offset = |part: &[u8]| file_of(part).map(|(_, offset)| offset);
        assert_eq!(offset(&bytes), Some(0));
        assert_eq!(offset(&bytes[100_000..150_000]), Some(100_000));
        assert_eq!(offset(&bytes[..10]), None, "not worth it");
        assert_eq!(mapping_of(&bytes[20..30]).map(|(_, offset)| offset), Some(20));
        assert_eq!(offset(&vec![7; 200_000]), None, "no mapped file");
        let start = bytes.as_ptr() as usize;
        drop(bytes);
        assert!(!MAPPINGS.read().unwrap().contains_key(&start));
    }
}
