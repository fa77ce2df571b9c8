//! What one block of 4 KiB is used for, in one word: kind, class and the number of slots taken.

/// Bytes in a block.
pub(super) const BLOCK_LEN: usize = 4_096;
/// Words in a block.
pub(super) const BLOCK_WORDS: usize = BLOCK_LEN / 8;
/// Most slots in a block: its shortest class.
pub(super) const MAX_SLOTS: usize = BLOCK_LEN / 32;

/// Who uses the slots of a block. A block never changes from one to the other: a late reader of a
/// shared slot reads words atomically, and whoever owns a slot writes it plainly.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Shared = 1,
    Owned = 2,
}

/// The length of a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Class(u8);

/// Slot lengths in bytes, multiples of 16: bare keys, MAC keys, XAES keys, HMAC-SHA-512 states, either of
/// these, AEAD schedules, and what is larger.
const LENGTHS: [usize; 8] = [32, 64, 272, 288, 304, 672, 1_360, 2_048];

impl Class {
    /// The shortest class that holds `len` bytes.
    pub(super) fn of(len: usize) -> Option<Self> {
        let index = LENGTHS.iter().position(|length| *length >= len)?;
        u8::try_from(index).ok().map(Self)
    }

    /// Bytes in a slot.
    pub(super) fn len(self) -> usize {
        LENGTHS.get(usize::from(self.0)).copied().unwrap_or(BLOCK_LEN)
    }

    /// Slots in a block.
    pub(super) fn slots(self) -> usize {
        BLOCK_LEN / self.len()
    }
}

/// The word, taken apart. All zeros is a block that nobody has used in this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Books(u64);

impl Books {
    pub(super) const fn from_word(word: u64) -> Self {
        Self(word)
    }

    pub(super) const fn word(self) -> u64 {
        self.0
    }

    /// Slots taken.
    pub(super) fn used(self) -> usize {
        usize::from(self.0 as u16)
    }

    pub(super) fn class(self) -> Class {
        Class((self.0 >> 16) as u8)
    }

    fn kind(self) -> u64 {
        self.0 >> 32
    }

    fn new(kind: Kind, class: Class, used: usize) -> Self {
        Self((kind as u64) << 32 | u64::from(class.0) << 16 | used as u64)
    }

    /// With one more slot taken, where the block serves this kind and class and has room.
    pub(super) fn one_more(self, kind: Kind, class: Class) -> Option<Self> {
        let serves = self.kind() == kind as u64 && self.class() == class;
        (serves && self.used() < class.slots()).then(|| Self::new(kind, class, self.used() + 1))
    }

    /// With the first slot of a class taken, where the block is empty.
    pub(super) fn first(self, kind: Kind, class: Class) -> Option<Self> {
        let empty = self.0 == 0 || self.used() == 0 && self.kind() == kind as u64;
        empty.then(|| Self::new(kind, class, 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_length_up_to_the_longest_has_the_shortest_class_that_holds_it() {
        for len in 1..=super::super::MAX_SLOT_LEN {
            let class = Class::of(len).unwrap();
            assert!(class.len() >= len && class.len().is_multiple_of(16), "{len}");
            assert!(class.slots() <= MAX_SLOTS, "{len}");
        }
        assert!(Class::of(super::super::MAX_SLOT_LEN + 1).is_none());
    }

    #[test]
    fn a_block_serves_one_class_until_it_is_empty_and_one_kind_for_ever() {
        let (short, long) = (Class::of(32).unwrap(), Class::of(272).unwrap());
        let one = Books::from_word(0).first(Kind::Shared, long).unwrap();
        assert_eq!((one.used(), one.class()), (1, long));
        assert!(one.one_more(Kind::Shared, short).is_none());
        assert!(one.one_more(Kind::Owned, long).is_none());
        assert!(one.first(Kind::Shared, short).is_none());
        let empty = Books::from_word(one.word() - 1);
        assert!(empty.first(Kind::Owned, long).is_none());
        assert_eq!(empty.first(Kind::Shared, short).unwrap().class(), short);
    }

    #[test]
    fn a_full_block_takes_no_more() {
        let class = Class::of(272).unwrap();
        let mut books = Books::from_word(0).first(Kind::Shared, class).unwrap();
        for used in 2..=15 {
            books = books.one_more(Kind::Shared, class).unwrap();
            assert_eq!(books.used(), used);
        }
        assert!(books.one_more(Kind::Shared, class).is_none());
    }
}
