//! The log on its way to standard error: a bounded queue and a thread.
//!
//! Whoever reads standard error may stop reading, and then a write to it waits for ever. So no thread of the agent writes
//! there: it leaves its line in the queue and goes on, also while it holds a lock. What does not fit is dropped and
//! counted, and a line tells how much as soon as the reader is back.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::Builder;
use std::time::Duration;

use crate::limits::{LOG_QUEUE_BYTES_MAX, LOG_THREAD_STACK_BYTES};

/// The queue; clones share it. [`Write::write`] takes one whole line.
#[derive(Clone, Debug, Default)]
pub struct LogQueue(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    lines: VecDeque<Vec<u8>>,
    bytes: usize,
    /// Lines dropped since the last one that told it.
    dropped: u64,
    dropped_total: u64,
    /// True while a line is being written.
    is_writing: bool,
}

impl LogQueue {
    /// Starts the thread that writes the lines to `out`.
    ///
    /// # Errors
    /// The kernel refuses to start a thread.
    pub fn start(&self, out: impl Write + Send + 'static) -> io::Result<()> {
        let queue = self.clone();
        let builder = Builder::new().name("log".to_owned()).stack_size(LOG_THREAD_STACK_BYTES);
        builder.spawn(move || queue.run(out)).map(drop)
    }

    /// Returns how many lines were dropped.
    pub fn dropped_total(&self) -> u64 {
        self.lock().dropped_total
    }

    /// Waits until all lines are written, but not longer than this.
    pub fn flush_within(&self, longest: Duration) {
        let state = self.lock();
        let is_busy = |state: &mut State| !state.lines.is_empty() || state.is_writing;
        let _ = self.0.changed.wait_timeout_while(state, longest, is_busy);
    }

    fn run(&self, mut out: impl Write) {
        let mut state = self.lock();
        loop {
            let line = state.take().or_else(|| state.tell_dropped());
            state.is_writing = line.is_some();
            let Some(line) = line else {
                self.0.changed.notify_all();
                state = self.0.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            drop(state);
            // Standard error is gone: there is nobody to tell.
            let _ = out.write_all(&line).and_then(|()| out.flush());
            state = self.lock();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Takes the line that tells how many lines were dropped. The lines in the queue are older.
    fn tell_dropped(&mut self) -> Option<Vec<u8>> {
        match std::mem::take(&mut self.dropped) {
            0 => None,
            n => Some(format!("[{n} lines of the log were lost here: nobody read it]\n").into()),
        }
    }

    fn take(&mut self) -> Option<Vec<u8>> {
        let line = self.lines.pop_front()?;
        self.bytes -= line.len();
        Some(line)
    }
}

impl Write for LogQueue {
    /// Takes a line, or counts it if there is no room. The newest lines are dropped: the first ones mostly name the cause.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let mut state = self.lock();
        if state.bytes + line.len() > LOG_QUEUE_BYTES_MAX || state.dropped > 0 {
            state.dropped += 1;
            state.dropped_total += 1;
        } else {
            state.bytes += line.len();
            state.lines.push_back(line.to_vec());
        }
        self.0.changed.notify_all();
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{self, Receiver, Sender};

    use super::*;

    /// A reader of standard error that takes a line when it is told to.
    struct Reader {
        may_read: Receiver<()>,
        read: Sender<String>,
    }

    impl Write for Reader {
        fn write(&mut self, line: &[u8]) -> io::Result<usize> {
            let Ok(()) = self.may_read.recv() else { return Err(io::ErrorKind::BrokenPipe.into()) };
            let _ = self.read.send(String::from_utf8(line.to_vec()).unwrap());
            Ok(line.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_reader_that_stops_costs_lines_and_holds_up_nobody() {
        let (mut queue, (allow, may_read), (read, lines)) =
            (LogQueue::default(), mpsc::channel(), mpsc::channel());
        queue.start(Reader { may_read, read }).unwrap();
        let line = [b"x".repeat(99), b"\n".to_vec()].concat();
        let written = 2 * LOG_QUEUE_BYTES_MAX / line.len();
        for _ in 0..written {
            queue.write_all(&line).unwrap();
        }
        let dropped = queue.dropped_total();
        assert!(dropped as usize >= written / 2 - 2, "{dropped}");
        queue.flush_within(Duration::from_millis(1));
        let kept = written - dropped as usize;
        (0..=kept).for_each(|_| allow.send(()).unwrap());
        let all: Vec<String> = (0..=kept).map(|_| lines.recv().unwrap()).collect();
        let told = format!("[{dropped} lines of the log were lost here: nobody read it]\n");
        assert_eq!(all.last(), Some(&told));
        queue.flush_within(Duration::from_secs(60));
        queue.write_all(b"again\n").unwrap();
        allow.send(()).unwrap();
        assert_eq!(lines.recv().unwrap(), "again\n");
        assert_eq!(queue.dropped_total(), dropped);
    }
}
