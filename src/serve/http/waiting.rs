//! A bounded queue in which each address has its share.

use std::collections::VecDeque;

use crate::serve::http::address::Origin;

/// What waits, the oldest first. When it is full, the address that has the most places loses its oldest one, so a
/// flood from one address costs no other address its place. The node and the others have half of the places each,
/// and either may use what the other half leaves.
#[derive(Debug)]
pub(super) struct Waiting<T> {
    places: VecDeque<(Origin, T)>,
    /// How many places each origin has; origins without a place are not in it.
    shares: Vec<(Origin, usize)>,
    /// How many places the node has.
    near: usize,
    places_max: usize,
}

impl<T> Waiting<T> {
    pub(super) fn new(places_max: usize) -> Self {
        Self { places: VecDeque::new(), shares: Vec::new(), near: 0, places_max }
    }

    pub(super) fn len(&self) -> usize {
        self.places.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// Appends; returns what lost its place for it, which may be the item itself.
    pub(super) fn push(&mut self, origin: Origin, item: T) -> Option<(Origin, T)> {
        match self.shares.iter_mut().find(|(known, _)| *known == origin) {
            Some((_, places)) => *places += 1,
            None => self.shares.push((origin, 1)),
        }
        self.near += usize::from(origin.is_near);
        self.places.push_back((origin, item));
        if self.places.len() > self.places_max { self.give_up() } else { None }
    }

    /// Removes the oldest.
    pub(super) fn pop(&mut self) -> Option<(Origin, T)> {
        let (origin, item) = self.places.pop_front()?;
        self.left(origin);
        Some((origin, item))
    }

    /// Passes each item to `judge`, the oldest first, and keeps those that it returns.
    pub(super) fn sweep(&mut self, mut judge: impl FnMut(Origin, T) -> Option<T>) {
        for _ in 0..self.places.len() {
            let Some((origin, item)) = self.places.pop_front() else { return };
            match judge(origin, item) {
                Some(item) => self.places.push_back((origin, item)),
                None => self.left(origin),
            }
        }
    }

    /// Removes the oldest item of the address that has the most.
    fn give_up(&mut self) -> Option<(Origin, T)> {
        let far = self.places.len() - self.near;
        let is_near = self.near > self.places_max / 2 || far == 0;
        let mut most: Option<(Origin, usize)> = None;
        for (origin, places) in self.shares.iter().filter(|(origin, _)| origin.is_near == is_near) {
            if most.is_none_or(|(_, most)| *places > most) {
                most = Some((*origin, *places));
            }
        }
        let (origin, _) = most?;
        let at = self.places.iter().position(|(own, _)| *own == origin)?;
        let (_, item) = self.places.remove(at)?;
        self.left(origin);
        Some((origin, item))
    }

    fn left(&mut self, origin: Origin) {
        self.near -= usize::from(origin.is_near);
        if let Some(at) = self.shares.iter().position(|(known, _)| *known == origin) {
            self.shares[at].1 -= 1;
            if self.shares[at].1 == 0 {
                self.shares.remove(at);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn far(n: u8) -> Origin {
        Origin { address: [10, 0, 0, n].into(), is_near: false }
    }

    const NODE: Origin =
        Origin { address: std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), is_near: true };

    fn kept(waiting: &Waiting<u32>) -> Vec<u32> {
        waiting.places.iter().map(|(_, item)| *item).collect()
    }

    #[test]
    fn the_address_with_the_most_places_loses_its_oldest() {
        let mut waiting = Waiting::new(4);
        for (n, item) in [(1, 10), (2, 20), (2, 21), (3, 30)] {
            assert_eq!(waiting.push(far(n), item), None);
        }
        assert_eq!(waiting.push(far(4), 40), Some((far(2), 20)));
        // All have one place now: the first of them goes.
        assert_eq!(waiting.push(far(5), 50), Some((far(1), 10)));
        assert_eq!(kept(&waiting), [21, 30, 40, 50]);
        for item in 51..60 {
            waiting.push(far(5), item);
        }
        assert_eq!(waiting.pop(), Some((far(2), 21)));
        assert_eq!(kept(&waiting), [30, 40, 59]);
        assert_eq!(waiting.len(), 3);
    }

    #[test]
    fn the_node_and_the_others_leave_each_other_half_of_the_places() {
        let mut waiting = Waiting::new(4);
        for n in 0..100 {
            waiting.push(NODE, n);
        }
        assert_eq!(kept(&waiting), [96, 97, 98, 99]);
        for n in 0..100 {
            waiting.push(far(n), u32::from(n) + 1000);
        }
        assert_eq!(kept(&waiting), [98, 99, 1098, 1099]);
        for n in 0..100 {
            waiting.push(NODE, n);
        }
        assert_eq!(kept(&waiting), [1098, 1099, 98, 99]);
    }

    #[test]
    fn a_sweep_keeps_the_order_and_frees_the_places() {
        let mut waiting = Waiting::new(4);
        for n in 0..4 {
            waiting.push(far(n), u32::from(n));
        }
        waiting.sweep(|_, item| (item % 2 == 1).then_some(item));
        assert_eq!(kept(&waiting), [1, 3]);
        assert_eq!((waiting.shares.len(), waiting.near), (2, 0));
        waiting.sweep(|_, _| None);
        assert!(waiting.is_empty() && waiting.shares.is_empty());
    }
}
