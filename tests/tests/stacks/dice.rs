//! Numbers that are the same each time.

/// xorshift: the same numbers from the same seed.
pub struct Dice(u64);

impl Dice {
    pub fn of(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// True once in so many.
    pub fn once_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    pub fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        let limit = u64::try_from(limit).expect("64 bits");
        usize::try_from((self.0 >> 11) % limit).expect("below a usize")
    }

    pub fn one(&mut self, of: &[&str]) -> String {
        of[self.below(of.len())].to_owned()
    }
}
