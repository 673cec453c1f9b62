//! Sorts lists. Each type of element that std's own sorts are used with takes 3 to 6 kB of the binary; here all types
//! share one sort, of positions.

use std::cmp::Ordering;

/// Sorts the items; equal ones keep their order.
pub fn sort_by<T>(items: &mut [T], compare: impl Fn(&T, &T) -> Ordering) {
    let mut order = positions(items.len(), &|a, b| compare(&items[a], &items[b]));
    for at in 0..items.len() {
        // The item for an earlier place went there in exchange for the one that was there.
        let mut from = order[at];
        while from < at {
            from = order[from];
        }
        items.swap(at, from);
        order[at] = from;
    }
}

/// Returns the positions 0 to `len` in the order of what is there.
fn positions(len: usize, compare: &dyn Fn(usize, usize) -> Ordering) -> Vec<usize> {
    let mut positions: Vec<usize> = (0..len).collect();
    positions.sort_unstable_by(|a, b| compare(*a, *b).then(a.cmp(b)));
    positions
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_are_sorted_as_std_sorts_them() {
        let mut random = 1_u64;
        for len in (0..40).chain([1000, 5000]) {
            for keys in [1, 2, 7, u64::MAX] {
                let mut items = Vec::new();
                for n in 0..len {
                    random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                    items.push(((random >> 33) % keys, n));
                }
                let mut wanted = items.clone();
                wanted.sort_by_key(|(key, _)| *key);
                sort_by(&mut items, |a, b| a.0.cmp(&b.0));
                assert_eq!(items, wanted);
                // Each item is one place from where it belongs, so all of them move along one chain.
                items.rotate_left(usize::from(len > 0));
                sort_by(&mut items, |a, b| a.cmp(b));
                assert_eq!(items, wanted);
            }
        }
    }
}
