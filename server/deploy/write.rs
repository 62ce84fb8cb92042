//! The order in which an image is written: its first MiB last, so that a disk whose image did not
//! come whole never boots. Pure.

/// How much of the image is written last: it holds the partition table and BIOS boot code.
pub(crate) const FIRST_BYTES: u64 = 1 << 20;
/// How much is written at once.
pub(crate) const BLOCK_BYTES: usize = 4 << 20;

/// What an image is written to.
pub(crate) trait DiskTarget {
    /// What writing fails with.
    type Error;

    /// Writes bytes at a place.
    fn write_at(&mut self, bytes: &[u8], at: u64) -> Result<(), Self::Error>;

    /// Makes bytes at a place zero.
    fn zero(&mut self, at: u64, length: u64) -> Result<(), Self::Error>;

    /// Waits until everything is on the medium.
    fn sync(&mut self) -> Result<(), Self::Error>;
}

/// Why an image is not written.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum WriteError<E> {
    #[error("the image is larger than the disk ({0} bytes)")]
    TooLarge(u64),
    #[error("the image is shorter than 1 MiB")]
    TooShort,
    #[error("the disk cannot be written: {0}")]
    Target(E),
}

/// An image on its way to a disk.
pub(crate) struct ImageWriter<T> {
    target: T,
    /// Of the disk.
    capacity: u64,
    first: Vec<u8>,
    block: Vec<u8>,
    /// How many bytes came before those in `block`.
    written: u64,
}

impl<T: DiskTarget> ImageWriter<T> {
    pub(crate) fn new(target: T, capacity: u64) -> Self {
        Self { target, capacity, first: Vec::new(), block: Vec::new(), written: 0 }
    }

    /// How many bytes have come.
    pub(crate) fn received(&self) -> u64 {
        self.written + self.block.len() as u64
    }

    /// Takes the next bytes of the image.
    pub(crate) fn push(&mut self, mut bytes: &[u8]) -> Result<(), WriteError<T::Error>> {
        if self.received() + bytes.len() as u64 > self.capacity {
            return Err(WriteError::TooLarge(self.capacity));
        }
        while !bytes.is_empty() {
            let room = BLOCK_BYTES - self.block.len();
            let (now, later) = bytes.split_at(room.min(bytes.len()));
            self.block.extend_from_slice(now);
            bytes = later;
            if self.block.len() == BLOCK_BYTES {
                self.flush()?;
            }
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), WriteError<T::Error>> {
        let (mut block, mut at) = (&self.block[..], self.written);
        if at == 0 {
            let (first, rest) = block.split_at(block.len().min(FIRST_BYTES as usize));
            self.first = first.to_vec();
            (block, at) = (rest, first.len() as u64);
        }
        let written = if block.is_empty() {
            Ok(())
        } else if block.iter().all(|byte| *byte == 0) {
            self.target.zero(at, block.len() as u64)
        } else {
            self.target.write_at(block, at)
        };
        written.map_err(WriteError::Target)?;
        self.written += self.block.len() as u64;
        self.block.clear();
        Ok(())
    }

    /// Writes what is left but the first MiB, and waits until it is on the medium.
    pub(crate) fn complete(&mut self) -> Result<(), WriteError<T::Error>> {
        self.flush()?;
        if (self.first.len() as u64) < FIRST_BYTES {
            return Err(WriteError::TooShort);
        }
        self.target.sync().map_err(WriteError::Target)
    }

    /// The first MiB, once everything else is written.
    pub(crate) fn first(&self) -> &[u8] {
        &self.first
    }

    /// Writes the first MiB: the disk has the image now. To be called when it is known that the
    /// image is whole.
    pub(crate) fn seal(mut self) -> Result<u64, WriteError<T::Error>> {
        self.target.write_at(&self.first, 0).map_err(WriteError::Target)?;
        self.target.sync().map_err(WriteError::Target)?;
        Ok(self.written)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A disk in memory.
    struct Memory<'a>(&'a mut Vec<u8>);

    impl DiskTarget for Memory<'_> {
        type Error = ();

        fn write_at(&mut self, bytes: &[u8], at: u64) -> Result<(), ()> {
            let at = at as usize;
            self.0[at..at + bytes.len()].copy_from_slice(bytes);
            Ok(())
        }

        fn zero(&mut self, at: u64, length: u64) -> Result<(), ()> {
            self.0[at as usize..(at + length) as usize].fill(0);
            Ok(())
        }

        fn sync(&mut self) -> Result<(), ()> {
            Ok(())
        }
    }

    fn image(length: usize) -> Vec<u8> {
        let byte = |at: usize| if at / BLOCK_BYTES == 1 { 0 } else { (at % 251) as u8 + 1 };
        (0..length).map(byte).collect()
    }

    #[test]
    fn the_disk_has_the_image_only_after_its_first_mib() {
        for length in [1 << 20, (1 << 20) + 1, 3 * BLOCK_BYTES, 3 * BLOCK_BYTES + 777] {
            let (image, mut disk) = (image(length), vec![9; 4 * BLOCK_BYTES]);
            let mut writer = ImageWriter::new(Memory(&mut disk), 4 * BLOCK_BYTES as u64);
            for piece in image.chunks(100_003) {
                writer.push(piece).unwrap();
            }
            writer.complete().unwrap();
            assert!(writer.target.0[..1 << 20].iter().all(|byte| *byte == 9), "{length}");
            assert_eq!(writer.seal(), Ok(length as u64));
            assert!(disk[..length] == image[..], "{length}");
            assert!(disk[length..].iter().all(|byte| *byte == 9), "{length}");
        }
    }

    #[test]
    fn an_image_that_does_not_fit_changes_no_byte_of_the_first_mib() {
        let mut disk = vec![9; 5 << 20];
        let mut writer = ImageWriter::new(Memory(&mut disk), 5 << 20);
        writer.push(&image(5 << 20)).unwrap();
        assert_eq!(writer.push(&[1]), Err(WriteError::TooLarge(5 << 20)));
        drop(writer);
        assert!(disk[..1 << 20].iter().all(|byte| *byte == 9));
        let mut writer = ImageWriter::new(Memory(&mut disk), 5 << 20);
        writer.push(&[1; 1000]).unwrap();
        assert_eq!(writer.complete(), Err(WriteError::TooShort));
    }
}
