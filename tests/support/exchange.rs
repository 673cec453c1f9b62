//! Sends one response as the script requires.

use std::io::{self, Write};
use std::time::{Duration, Instant};

use super::clock::{self, Stopper};
use super::conn::Wire;
use super::http::{Response, head, head_start};
use super::script::{Behaviour, Ending, Insertion, Point};

/// Limit for responses that are meant to be endless.
const ENDLESS_BYTES_MAX: usize = 256 << 20;
const FILLER: &[u8] = &[b'x'; 64 << 10];

/// Whether a response continues.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// Continue.
    Go,
    /// Stop here, with this ending.
    End(Ending),
}

/// The body of a response that is being sent.
pub struct Body<'a> {
    wire: &'a mut Wire,
    behaviour: &'a Behaviour,
    run: &'a Stopper,
    chunked: bool,
    sent: usize,
    events: usize,
    ends_at: Option<Instant>,
}

/// Waits for the scripted delay; returns the ending if the response must stop before its head.
pub fn before_head(wire: &mut Wire, behaviour: &Behaviour, run: &Stopper) -> io::Result<Flow> {
    if !behaviour.delay.is_zero() {
        run.wait(behaviour.delay);
    }
    if behaviour.endless_head {
        endless_head(wire.get_mut())?;
        return Ok(Flow::End(Ending::Cut));
    }
    Ok(match behaviour.ending {
        Some((Point::Head, ending)) => Flow::End(at_least_cut(ending)),
        _ => Flow::Go,
    })
}

/// Sends a complete response.
pub fn send_whole(
    wire: &mut Wire,
    response: &Response,
    behaviour: &Behaviour,
    run: &Stopper,
) -> io::Result<Ending> {
    if let Some((Point::After(time), ending)) = behaviour.ending {
        run.wait(time);
        return Ok(at_least_cut(ending));
    }
    let chunked = behaviour.chunk_bytes.is_some();
    let length = (!chunked).then_some(response.body.len());
    let head = head(response.status, &response.headers, length);
    let mut body = Body::start(wire, &head, chunked, behaviour, run)?;
    // An empty body has no line, and an ending at line 0 comes before the body.
    if let Flow::End(ending) = body.scripted_end_at_event() {
        return Ok(at_least_cut(ending));
    }
    if let Flow::End(ending) = body.put(&response.body)? {
        return Ok(at_least_cut(ending));
    }
    body.events += 1;
    let ending = body.scripted_end_at_event();
    body.finish()?;
    Ok(match ending {
        Flow::Go => Ending::Close,
        Flow::End(ending) => ending,
    })
}

/// Replaces `Close` by `Cut`: an incomplete body with a Content-Length cannot be closed cleanly.
fn at_least_cut(ending: Ending) -> Ending {
    if ending == Ending::Close { Ending::Cut } else { ending }
}

fn endless_head(wire: &mut impl Write) -> io::Result<()> {
    wire.write_all(head_start(200).as_bytes())?;
    let filler = str::from_utf8(&FILLER[..1000]).unwrap_or_default();
    let mut sent = 0;
    while sent < ENDLESS_BYTES_MAX {
        let line = format!("X-Filler: {filler}\r\n");
        wire.write_all(line.as_bytes())?;
        wire.flush()?;
        sent += line.len();
    }
    Ok(())
}

impl<'a> Body<'a> {
    /// Sends the head at once.
    pub fn start(
        wire: &'a mut Wire,
        head: &str,
        chunked: bool,
        behaviour: &'a Behaviour,
        run: &'a Stopper,
    ) -> io::Result<Self> {
        wire.get_mut().write_all(head.as_bytes())?;
        wire.get_mut().flush()?;
        let ends_at = match behaviour.ending {
            Some((Point::After(time), _)) => Some(clock::now() + time),
            _ => None,
        };
        Ok(Self { wire, behaviour, run, chunked, sent: 0, events: 0, ends_at })
    }

    /// Sends a watch line and whatever the script inserts after it.
    pub fn event(&mut self, line: &str) -> io::Result<Flow> {
        let flow = match self.behaviour.truncated {
            Some((event, bytes)) if event == self.events => {
                let kept = &line.as_bytes()[..bytes.min(line.len())];
                self.put(&[kept, b"\n"].concat())?
            }
            _ => self.put(line.as_bytes())?,
        };
        self.events += 1;
        if flow != Flow::Go {
            return Ok(flow);
        }
        if !self.behaviour.pause.is_zero() {
            self.run.wait(self.behaviour.pause);
        }
        self.gap()
    }

    /// Sends what the script inserts before the next line. Must be called once between two lines.
    pub fn gap(&mut self) -> io::Result<Flow> {
        let (behaviour, gap) = (self.behaviour, self.events);
        for (_, insertion) in behaviour.insertions.iter().filter(|(after, _)| *after == gap) {
            let flow = match insertion {
                Insertion::Bytes(bytes) => self.put(bytes)?,
                Insertion::GiantLine { bytes, newline } => self.giant_line(*bytes, *newline)?,
                Insertion::Trickle { bytes, every } => self.trickle(*bytes, *every)?,
            };
            if flow != Flow::Go {
                return Ok(flow);
            }
        }
        Ok(self.scripted_end_at_event())
    }

    fn trickle(&mut self, bytes: usize, every: Duration) -> io::Result<Flow> {
        for _ in 0..bytes {
            let flow = self.put(b" ")?;
            if flow != Flow::Go || self.run.wait(every) {
                return Ok(flow);
            }
        }
        Ok(Flow::Go)
    }

    /// Returns the ending that is scripted for a time, if that time has come.
    pub fn scripted_end_at(&self, now: Instant) -> Flow {
        match (self.behaviour.ending, self.ends_at) {
            (Some((_, ending)), Some(at)) if at <= now => Flow::End(ending),
            _ => Flow::Go,
        }
    }

    /// Returns the time from which [`Body::scripted_end_at`] returns an ending.
    pub fn scripted_end(&self) -> Option<Instant> {
        self.ends_at
    }

    /// Returns true if the client has closed the connection or the server is stopping.
    pub fn is_abandoned(&mut self) -> bool {
        // The check reads the held-back byte, without which the connection could not be reset.
        let may_look = !matches!(self.behaviour.ending, Some((_, Ending::Reset)));
        self.run.is_stopped() || may_look && self.wire.get_mut().peer_has_closed()
    }

    /// Sends the terminal chunk.
    pub fn finish(self) -> io::Result<()> {
        if self.chunked {
            self.wire.get_mut().write_all(b"0\r\n\r\n")?;
        }
        self.wire.get_mut().flush()
    }

    fn scripted_end_at_event(&self) -> Flow {
        match self.behaviour.ending {
            Some((Point::Events(events), ending)) if events == self.events => Flow::End(ending),
            Some((Point::Bytes(0), ending)) => Flow::End(ending),
            _ => Flow::Go,
        }
    }

    fn giant_line(&mut self, bytes: usize, newline: bool) -> io::Result<Flow> {
        let mut left = bytes.min(ENDLESS_BYTES_MAX);
        let mut flow = self.put(b"{\"type\":\"MODIFIED\",\"object\":{\"filler\":\"")?;
        while left > 0 && flow == Flow::Go {
            let part = left.min(FILLER.len());
            flow = self.put(&FILLER[..part])?;
            left -= part;
        }
        if newline && flow == Flow::Go {
            flow = self.put(b"\"}}\n")?;
        }
        Ok(flow)
    }

    /// Sends bytes of the body, up to the scripted limit.
    fn put(&mut self, bytes: &[u8]) -> io::Result<Flow> {
        let (allowed, flow) = match self.behaviour.ending {
            Some((Point::Bytes(limit), ending)) if self.sent + bytes.len() >= limit => {
                (limit.saturating_sub(self.sent), Flow::End(ending))
            }
            _ => (bytes.len(), Flow::Go),
        };
        let bytes = &bytes[..allowed];
        self.sent += allowed;
        if self.chunked {
            let size = self.behaviour.chunk_bytes.unwrap_or(bytes.len()).max(1);
            let mut framed = Vec::with_capacity(bytes.len() + 16);
            for chunk in bytes.chunks(size) {
                write!(framed, "{:x}\r\n", chunk.len())?;
                framed.extend_from_slice(chunk);
                framed.extend_from_slice(b"\r\n");
            }
            self.wire.get_mut().write_all(&framed)?;
        } else {
            self.wire.get_mut().write_all(bytes)?;
        }
        if flow != Flow::Go {
            self.wire.get_mut().write_all(&self.behaviour.parting)?;
        }
        self.wire.get_mut().flush()?;
        Ok(flow)
    }
}
