//! Numbers that pods post about themselves: which pods may post, how much is kept, and what an incident shows.
//!
//! A pod may post only for itself. It is identified by the address from which it posts, which is its own
//! (`status.podIP`). Pods on the host's network share the node's address and name themselves in the post; they
//! are trusted as much as the node is. Whatever is posted, the table stays below
//! [`TELEMETRY_BYTES_MAX`](crate::limits::TELEMETRY_BYTES_MAX): when all names are taken, the pod with the most
//! names gives one up to a pod that has at least two fewer, so that no pod can keep the others out.

mod post;
mod refusal;
mod section;

use core::net::IpAddr;
use std::collections::HashMap;
use std::mem::size_of;
use std::time::Duration;

use crate::core::order::sort_by;
use crate::core::ring::Ring;
use crate::core::roster::{PodOnNode, Roster, Sender};
use crate::limits::{
    PODS_MAX, TELEMETRY_BURST, TELEMETRY_INTERVAL, TELEMETRY_NAMES_MAX, TELEMETRY_SAMPLES_MAX,
    TELEMETRY_SERIES_MAX,
};

pub use self::post::{PodName, Post};
pub use self::refusal::Refusal;
pub use self::section::{SidecarSection, SidecarSeries};

/// The posted numbers of all pods, by the pods' keys.
#[derive(Debug, Default)]
pub struct Sidecars {
    pods: HashMap<Box<str>, SidecarPod>,
    /// Number of names of all pods together.
    series: usize,
}

/// The posted numbers of one pod.
#[derive(Debug, Default)]
struct SidecarPod {
    /// When the next post is due if posts keep to the rate (monotonic); posts may come a burst earlier.
    due: Duration,
    series: Vec<Series>,
}

#[derive(Debug)]
struct Series {
    name: Box<str>,
    samples: Ring<Sample>,
}

/// One value with its time. It has twelve bytes instead of sixteen: the value is kept as bytes, which need no
/// alignment.
#[derive(Clone, Copy, Debug)]
struct Sample {
    at_seconds: u32,
    value: [u8; 8],
}

const _: () = assert!(size_of::<Sample>() == 12);

impl Sample {
    fn new(value: f64, now: Duration) -> Self {
        Self { at_seconds: seconds(now), value: value.to_ne_bytes() }
    }

    fn value(self) -> f64 {
        f64::from_ne_bytes(self.value)
    }
}

/// Returns whole seconds since the agent's start, for 136 years.
fn seconds(now: Duration) -> u32 {
    u32::try_from(now.as_secs()).unwrap_or(u32::MAX)
}

impl Sidecars {
    /// Keeps the numbers that were posted from `peer` at `now` (monotonic).
    ///
    /// # Errors
    /// The post is not the pod's own, comes too fast, or has names for which there is no room. Only in the last
    /// case are numbers kept: those of known names, and of new names for which there was room.
    pub fn post(
        &mut self,
        roster: &Roster,
        peer: IpAddr,
        post: &Post,
        now: Duration,
    ) -> Result<(), Refusal> {
        let key = &*sender(roster, peer, post.pod.as_ref())?.key;
        self.admit(roster, key, post.metrics.len(), now)?;
        let mut refusal = None;
        for (name, value) in &post.metrics {
            if let Err(full) = self.keep(key, name, Sample::new(*value, now)) {
                refusal.get_or_insert(full);
            }
        }
        refusal.map_or(Ok(()), Err)
    }

    /// Forgets a pod that is gone and whose incidents have been written.
    pub fn forget(&mut self, key: &str) {
        if let Some(told) = self.pods.remove(key) {
            self.series -= told.series.len();
        }
    }

    /// Returns the numbers that the pod posted, for an incident; ages are relative to `now` (monotonic). `None` if
    /// there are no numbers.
    pub fn section(&self, key: &str, now: Duration) -> Option<SidecarSection> {
        let told = self.pods.get(key).filter(|told| !told.series.is_empty())?;
        let shown = |series: &Series| {
            let ages = series.samples.iter().map(|s| seconds(now).saturating_sub(s.at_seconds));
            SidecarSeries {
                name: series.name.to_string(),
                age_seconds: ages.collect(),
                values: series.samples.iter().map(|sample| sample.value()).collect(),
            }
        };
        let mut series: Vec<_> = told.series.iter().map(shown).collect();
        sort_by(&mut series, |a, b| a.name.cmp(&b.name));
        Some(SidecarSection { series })
    }

    /// Returns the number of pods in the table.
    #[cfg(test)]
    pub fn pods(&self) -> usize {
        self.pods.len()
    }

    /// Returns the number of names that are kept, of all pods together.
    #[cfg(test)]
    pub fn series(&self) -> usize {
        self.series
    }

    /// Returns the memory that the table takes, without the allocator's overhead.
    #[cfg(test)]
    pub fn bytes(&self) -> usize {
        // The map's capacity is seven eighths of its slots, and each slot has one more byte of its own.
        let slots = self.pods.capacity().div_ceil(7) * 8;
        let pods = self.pods.iter().map(|(key, told)| key.len() + told.bytes());
        slots * (size_of::<(Box<str>, SidecarPod)>() + 1) + pods.sum::<usize>()
    }

    /// Admits a post of that pod unless it comes too fast. If there is no room for so many more `names`, or for the
    /// pod, drops the pods that are no longer on the node.
    fn admit(
        &mut self,
        roster: &Roster,
        key: &str,
        names: usize,
        now: Duration,
    ) -> Result<(), Refusal> {
        let known = self.pods.get_mut(key);
        let is_new = known.is_none();
        if let Some(told) = known {
            told.admit(now)?;
        }
        let is_full = is_new && self.pods.len() >= PODS_MAX;
        if is_full || self.series + names > TELEMETRY_SERIES_MAX {
            self.retain(roster);
        }
        if !is_new {
            return Ok(());
        }
        if self.pods.len() >= PODS_MAX {
            return Err(Refusal::Full);
        }
        self.pods.entry(key.into()).or_default().admit(now)
    }

    /// Appends a sample to the series of that name. A new series is made if there is room.
    fn keep(&mut self, key: &str, name: &str, sample: Sample) -> Result<(), Refusal> {
        let told = self.pods.get(key);
        let names = told.map_or(0, |told| told.series.len());
        let is_known = told.is_some_and(|told| told.has(name));
        if !is_known && names >= TELEMETRY_NAMES_MAX {
            return Err(Refusal::NamesFull(name.to_owned()));
        }
        if !is_known && self.series >= TELEMETRY_SERIES_MAX && !self.take_from_others(names) {
            return Err(Refusal::Full);
        }
        if let Some(told) = self.pods.get_mut(key) {
            told.series_of(name).samples.push(sample);
            self.series += usize::from(!is_known);
        }
        Ok(())
    }

    /// Drops pods that are no longer on the node, in case their removal was never reported.
    fn retain(&mut self, roster: &Roster) {
        self.pods.retain(|key, _| roster.get(key).is_some());
        self.series = self.pods.values().map(|told| told.series.len()).sum();
    }

    /// Drops a name of the pod with the most names, in favour of a pod that has `names`. Returns whether it did.
    fn take_from_others(&mut self, names: usize) -> bool {
        let most = self.pods.values_mut().max_by_key(|told| told.series.len());
        let Some(told) = most.filter(|told| told.series.len() >= names + 2) else {
            return false;
        };
        told.drop_quietest();
        self.series -= 1;
        true
    }
}

impl SidecarPod {
    /// Admits a post, or returns when the pod may post again. Refused posts do not count: they cost little, and a
    /// pod that posts too often would otherwise never be admitted again.
    fn admit(&mut self, now: Duration) -> Result<(), Refusal> {
        let due = self.due.max(now);
        let ahead = (due - now).saturating_sub(TELEMETRY_INTERVAL * (TELEMETRY_BURST - 1));
        if !ahead.is_zero() {
            return Err(Refusal::TooOften(ahead));
        }
        self.due = due + TELEMETRY_INTERVAL;
        Ok(())
    }

    fn has(&self, name: &str) -> bool {
        self.series.iter().any(|series| *series.name == *name)
    }

    /// Returns the series of that name, and creates it if necessary.
    fn series_of(&mut self, name: &str) -> &mut Series {
        let known = self.series.iter().position(|series| *series.name == *name);
        let at = known.unwrap_or_else(|| {
            // Most pods have a few names, and always the same ones, so no spare room is taken.
            self.series.reserve_exact(1);
            self.series
                .push(Series { name: name.into(), samples: Ring::new(TELEMETRY_SAMPLES_MAX) });
            self.series.len() - 1
        });
        &mut self.series[at]
    }

    /// Drops the name whose last sample is the oldest.
    fn drop_quietest(&mut self) {
        let last = |series: &Series| series.samples.last().map(|sample| sample.at_seconds);
        let quietest = (0..self.series.len()).min_by_key(|at| last(&self.series[*at]));
        if let Some(at) = quietest {
            self.series.remove(at);
            self.series.shrink_to_fit();
        }
    }

    #[cfg(test)]
    fn bytes(&self) -> usize {
        let series = self.series.iter();
        let held = series.map(|s| s.name.len() + s.samples.capacity() * size_of::<Sample>());
        self.series.capacity() * size_of::<Series>() + held.sum::<usize>()
    }
}

/// Returns the pod for which a post from `peer` may speak: the pod that posts.
fn sender<'r>(
    roster: &'r Roster,
    peer: IpAddr,
    named: Option<&PodName>,
) -> Result<&'r PodOnNode, Refusal> {
    let peer = peer.to_canonical();
    let is = |place: &PodOnNode, name: &PodName| {
        place.pod.namespace == name.namespace && place.pod.name == name.name
    };
    match roster.sender(peer) {
        Sender::Pod(place) if named.is_none_or(|name| is(place, name)) => Ok(place),
        Sender::Pod(_) => Err(Refusal::NotYourself),
        Sender::Several => Err(Refusal::Shared(peer)),
        Sender::Nobody => Err(Refusal::Unknown(peer)),
        Sender::Host => {
            let name = named.ok_or(Refusal::Nameless)?;
            let place = roster.on_host_network(&name.namespace, &name.name);
            place.filter(|place| !place.running.is_empty()).ok_or(Refusal::NotOnHost)
        }
    }
}

#[cfg(test)]
mod tests;
