//! How long a step takes on many machines, by what was measured on one.
//!
//! A machine computes a step of its own photographs in `alone` seconds. Of its `B` bytes of gradients, bucket `k` with
//! `b[k]` bytes is there `early[k]` seconds before the last one. It is summed and passed on in two exchanges. On `N`
//! machines, with a network of `G` bytes a second in each direction, a delay of `d` seconds, and `o` seconds of work for
//! each message:
//!
//! ```text
//! c[k] = 2 · (b[k] · (N−1)/N / G + d + o · (N−1))      how long bucket k takes
//! end  = max over k of  −early[k] + c[k] + c[k+1] + …  when all are there, the last one having been there at 0
//! step = alone + end + 2 · (d + o · (N−1))             with the two exchanges about numbers of photographs and losses
//! efficiency = alone / step
//! ```

/// Seconds of work for a message.
pub const WORK: f64 = 5e-6;

/// What is measured on one machine.
#[derive(Debug, Clone, PartialEq)]
pub struct Measured {
    /// Seconds of a step.
    pub alone: f64,
    /// Of each bucket its bytes, and how many seconds before the last one it is there.
    pub buckets: Vec<(f64, f64)>,
}

/// A network.
#[derive(Debug, Clone, Copy)]
pub struct Network {
    pub gbit: f64,
    /// Seconds.
    pub delay: f64,
}

impl Measured {
    /// Seconds of a step on so many machines, each with as many photographs as the one that was measured.
    pub fn step(&self, machines: usize, network: Network) -> f64 {
        let others = machines as f64 - 1.0;
        let share = others / machines as f64;
        let message = network.delay + WORK * others;
        let mut end: f64 = 0.0;
        let mut behind = 0.0;
        // From the last one, so that `behind` is what it and those after it take.
        for (bytes, early) in self.buckets.iter().rev() {
            behind += 2.0 * (bytes * share * 8e-9 / network.gbit + message);
            end = end.max(behind - early);
        }
        self.alone + end + 2.0 * message
    }

    /// What part of the machines' time computes.
    pub fn efficiency(&self, machines: usize, network: Network) -> f64 {
        self.alone / self.step(machines, network)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_travels_while_others_are_computed_costs_nothing() {
        let network = Network { gbit: 8.0, delay: 0.0 };
        let of = |buckets: &[(f64, f64)]| Measured { alone: 0.1, buckets: buckets.to_vec() };
        // 1 MB takes 1 ms, and on two machines half of it travels, twice.
        let close = |a: f64, b: f64| assert!((a - b).abs() < 1e-9, "{a} {b}");
        let rest = 4.0 * WORK;
        close(of(&[(1e6, 0.0)]).step(2, network), 0.101 + rest);
        close(of(&[(1e6, 0.02), (1e6, 0.0)]).step(2, network), 0.101 + rest);
        close(of(&[(1e6, 0.0), (1e6, 0.0)]).step(2, network), 0.102 + rest + 2.0 * WORK);
        close(of(&[(30e6, 0.01), (1e6, 0.0)]).step(2, network), 0.1 + 0.021 + rest + 2.0 * WORK);
        close(of(&[]).efficiency(1, network), 1.0);
    }
}
