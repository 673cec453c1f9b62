//! An index of a table by one byte of its entries, made when the program is compiled.

/// Says that there is no entry, or no further one.
const NONE: u8 = u8::MAX;

/// The entries of a table of `N` with the same byte, in the order of the table.
pub(super) struct Chains<const N: usize> {
    heads: [u8; 256],
    next: [u8; N],
}

impl<const N: usize> Chains<N> {
    /// Makes the index. `keys` has the byte of each entry.
    pub(super) const fn new(keys: [u8; N]) -> Self {
        assert!(N < NONE as usize);
        let mut chains = Self { heads: [NONE; 256], next: [NONE; N] };
        let mut at = N;
        while at > 0 {
            at -= 1;
            chains.next[at] = chains.heads[keys[at] as usize];
            chains.heads[keys[at] as usize] = at as u8;
        }
        chains
    }

    /// Returns where in the table the entries with this byte are.
    pub(super) fn of(&self, key: u8) -> impl Iterator<Item = usize> + '_ {
        let entry = |at: u8| (at != NONE).then_some(usize::from(at));
        let first = entry(self.heads[usize::from(key)]);
        std::iter::successors(first, move |at| entry(self.next[*at]))
    }
}
