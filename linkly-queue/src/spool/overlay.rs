//! A file that redb may recover without writing to it.
//!
//! What was written before a failed sync is read back whether or not the disk has it, and redb's recovery
//! writes: on the disk that would mix with what is missing there, and after a loss of power neither the old
//! state nor the new one is whole. Here the recovery's writes stay in memory, and the file stays what it
//! was on the disk.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, ErrorKind, Read, Seek, SeekFrom};
use std::sync::{Mutex, MutexGuard, PoisonError};

use redb::StorageBackend;

use super::medium::ReadSeek;

/// redb's pages: what it writes comes in whole ones, but for its header.
const BLOCK: usize = 4_096;

pub(super) struct Overlay(Mutex<Layers>);

struct Layers {
    file: Box<dyn ReadSeek>,
    file_len: u64,
    len: u64,
    /// What was written, by the number of the block.
    blocks: BTreeMap<u64, Box<[u8; BLOCK]>>,
}

impl Overlay {
    pub(super) fn over(mut file: Box<dyn ReadSeek>) -> io::Result<Self> {
        let file_len = file.seek(SeekFrom::End(0))?;
        Ok(Self(Mutex::new(Layers { file, file_len, len: file_len, blocks: BTreeMap::new() })))
    }

    fn lock(&self) -> MutexGuard<'_, Layers> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Layers {
    /// The block as it is read now.
    fn block(&mut self, number: u64) -> io::Result<Box<[u8; BLOCK]>> {
        if let Some(block) = self.blocks.get(&number) {
            return Ok(block.clone());
        }
        let mut block = Box::new([0; BLOCK]);
        let start = number * BLOCK as u64;
        let len = self.file_len.saturating_sub(start).min(BLOCK as u64) as usize;
        self.file.seek(SeekFrom::Start(start))?;
        self.file.read_exact(&mut block[..len])?;
        Ok(block)
    }

    /// The pieces of a range: each block's number, and what of it.
    fn pieces(offset: u64, len: usize) -> impl Iterator<Item = (u64, std::ops::Range<usize>, std::ops::Range<usize>)> {
        let mut done = 0;
        std::iter::from_fn(move || {
            let at = offset + done as u64;
            let start = (at % BLOCK as u64) as usize;
            let count = (BLOCK - start).min(len - done);
            let piece = (at / BLOCK as u64, start..start + count, done..done + count);
            done += count;
            (count > 0).then_some(piece)
        })
    }
}

impl StorageBackend for Overlay {
    fn len(&self) -> io::Result<u64> {
        Ok(self.lock().len)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let mut layers = self.lock();
        if offset + out.len() as u64 > layers.len {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        for (number, of_block, of_out) in Layers::pieces(offset, out.len()) {
            out[of_out].copy_from_slice(&layers.block(number)?[of_block]);
        }
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut layers = self.lock();
        // What is cut off is zero when it comes back.
        if len < layers.len {
            let mut last = layers.block(len / BLOCK as u64)?;
            last[(len % BLOCK as u64) as usize..].fill(0);
            layers.blocks.split_off(&(len / BLOCK as u64));
            layers.blocks.insert(len / BLOCK as u64, last);
            layers.file_len = layers.file_len.min(len);
        }
        layers.len = len;
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut layers = self.lock();
        for (number, of_block, of_data) in Layers::pieces(offset, data.len()) {
            let mut block = layers.block(number)?;
            block[of_block].copy_from_slice(&data[of_data]);
            layers.blocks.insert(number, block);
        }
        Ok(())
    }
}

impl fmt::Debug for Overlay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Overlay").field("blocks", &self.lock().blocks.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::rngs::StdRng;
    use rand::{RngExt, SeedableRng};

    #[test]
    fn it_reads_like_a_file_that_was_written_and_the_file_stays() {
        let mut random = StdRng::seed_from_u64(8);
        for _ in 0..20 {
            let mut expected = vec![0; random.random_range(0..30_000)];
            random.fill(&mut expected[..]);
            let overlay = Overlay::over(Box::new(io::Cursor::new(expected.clone()))).unwrap();
            for _ in 0..100 {
                match random.random_range(0..3) {
                    0 => {
                        let len = random.random_range(0..40_000);
                        expected.resize(len, 0);
                        overlay.set_len(len as u64).unwrap();
                    }
                    1 if !expected.is_empty() => {
                        let from = random.random_range(0..expected.len());
                        let until = random.random_range(from..=expected.len());
                        random.fill(&mut expected[from..until]);
                        overlay.write(from as u64, &expected[from..until]).unwrap();
                    }
                    _ => {
                        let from = random.random_range(0..=expected.len());
                        let mut read = vec![0; random.random_range(from..=expected.len()) - from];
                        overlay.read(from as u64, &mut read).unwrap();
                        assert_eq!(read, expected[from..from + read.len()]);
                    }
                }
                assert_eq!(overlay.len().unwrap(), expected.len() as u64);
            }
            assert!(overlay.read(expected.len() as u64, &mut [0]).is_err());
        }
    }
}
