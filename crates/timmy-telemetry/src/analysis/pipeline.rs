//! Files into blocks, blocks through threads, and back in order.

use std::collections::VecDeque;
use std::io;
use std::io::Read;
use std::path::Path;
use std::sync::mpsc::Receiver;
use std::sync::mpsc::SyncSender;
use std::sync::mpsc::sync_channel;

use super::Analysis;
use super::FileRead;
use super::Period;
use super::block::Block;
use super::block::Parsed;
use super::block::Parser;
use super::files;
use super::files::File;
use super::fold::Fold;
use super::line::LONGEST_LINE;

/// Threads that parse, at most: the fold cannot keep up with more.
const WORKERS: usize = 4;
/// Bytes read at once.
const BLOCK: usize = 512 << 10;
/// Blocks under way for each thread.
const AHEAD: usize = 2;

/// How the work is divided. It cannot be seen in the result.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shape {
    pub(super) workers: usize,
    /// Bytes read at once.
    pub(super) block: usize,
}

impl Shape {
    pub(super) fn of_this_machine() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Self {
            workers: cores.min(WORKERS),
            block: BLOCK,
        }
    }
}

pub(super) fn read(dir: &Path, period: Period, shape: Shape) -> Analysis {
    let told = |name: &str, problem| FileRead {
        name: name.to_owned(),
        lines: 0,
        problem,
    };
    let files = match files::of_period(dir, period) {
        Ok(files) => files,
        Err(error) => return Fold::new(vec![told(".", Some(error.to_string()))]).finish(),
    };
    let unread = files.iter().map(|file| told(&file.name, None));
    let fold = Fold::new(unread.collect());
    std::thread::scope(|scope| {
        let lanes = (0..shape.workers.max(1)).map(|_| {
            let (jobs, to_do) = sync_channel::<Block>(AHEAD);
            let (done, results) = sync_channel::<Parsed>(AHEAD);
            scope.spawn(move || work(period, &to_do, &done));
            Lane { jobs, results }
        });
        let mut line = Line {
            lanes: lanes.collect(),
            next: 0,
            under_way: VecDeque::new(),
            spare: Vec::new(),
            fold,
        };
        for (place, file) in files.iter().enumerate() {
            if let Err(error) = read_file(file, place, shape.block, &mut line) {
                line.fold.files[place].problem = Some(error.to_string());
            }
        }
        line.finish()
    })
}

fn work(period: Period, to_do: &Receiver<Block>, done: &SyncSender<Parsed>) {
    let mut parser = Parser::new(period);
    while let Ok(block) = to_do.recv() {
        if done.send(parser.parse(block)).is_err() {
            return;
        }
    }
}

/// A thread that parses: what goes in first comes out first.
struct Lane {
    jobs: SyncSender<Block>,
    results: Receiver<Parsed>,
}

/// All threads. Blocks are dealt to them in turn, and so come back in order.
struct Line {
    lanes: Vec<Lane>,
    next: usize,
    under_way: VecDeque<usize>,
    /// Buffers to be filled again.
    spare: Vec<Vec<u8>>,
    fold: Fold,
}

impl Line {
    fn send(&mut self, block: Block) {
        if self.under_way.len() >= self.lanes.len() * AHEAD {
            self.take();
        }
        let lane = self.next;
        self.next = (lane + 1) % self.lanes.len();
        // A thread ends before this one only by a panic, which the scope passes on.
        if self.lanes[lane].jobs.send(block).is_ok() {
            self.under_way.push_back(lane);
        }
    }

    fn take(&mut self) {
        let lane = self.under_way.pop_front();
        let parsed = lane.and_then(|lane| self.lanes[lane].results.recv().ok());
        if let Some(parsed) = parsed {
            self.fold.add(&parsed);
            self.spare.push(parsed.bytes);
        }
    }

    fn buffer(&mut self) -> Vec<u8> {
        let mut buffer = self.spare.pop().unwrap_or_default();
        buffer.clear();
        buffer
    }

    fn finish(mut self) -> Analysis {
        while !self.under_way.is_empty() {
            self.take();
        }
        self.fold.finish()
    }
}

/// Cuts a file into blocks that end where lines end.
fn read_file(file: &File, place: usize, size: usize, line: &mut Line) -> io::Result<()> {
    if !std::fs::symlink_metadata(&file.path)?.is_file() {
        return Err(io::Error::other("it is no ordinary file"));
    }
    let mut source = std::fs::File::open(&file.path)?;
    let block = |bytes, overlong| Block {
        bytes,
        file: place,
        expected: file.expected,
        overlong,
    };
    let mut rest = line.buffer();
    // Inside of a line that is too long to be kept.
    let mut skipping = false;
    loop {
        let (read, problem) = match fill(&mut source, &mut rest, size) {
            Ok(read) => (read, None),
            Err(error) => (0, Some(error)),
        };
        if read == 0 {
            let overlong = u64::from(skipping);
            if skipping {
                rest.clear();
            }
            line.send(block(rest, overlong));
            return problem.map_or(Ok(()), Err);
        }
        let Some(end) = rest.iter().rposition(|byte| *byte == b'\n') else {
            if skipping || rest.len() > LONGEST_LINE {
                skipping = true;
                rest.clear();
            }
            continue;
        };
        let mut next = line.buffer();
        next.extend_from_slice(&rest[end + 1..]);
        rest.truncate(end + 1);
        if skipping {
            skipping = false;
            let first = rest.iter().position(|byte| *byte == b'\n').unwrap_or(end);
            rest.drain(..=first);
            line.send(block(Vec::new(), 1));
        }
        line.send(block(rest, 0));
        rest = next;
    }
}

/// Reads up to `size` bytes more.
fn fill(source: &mut std::fs::File, rest: &mut Vec<u8>, size: usize) -> io::Result<usize> {
    let size = u64::try_from(size).unwrap_or(u64::MAX);
    source.by_ref().take(size).read_to_end(rest)
}
