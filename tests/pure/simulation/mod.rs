//! Both sides as models, no clock and no socket: what comes of histories of a desktop whose way to the cloud is cut, delayed
//! and refused, by thousands of seeds.

mod cloud;
mod cuts;
mod desktop;
mod sender;
mod wire;

/// Numbers that a seed repeats.
struct Dice(u64);

impl Dice {
    fn of(seed: u64) -> Dice {
        let mut dice = Dice(seed ^ 0x9e37_79b9_7f4a_7c15);
        dice.below(2);
        dice
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }

    /// One time in so many.
    fn once_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }
}
