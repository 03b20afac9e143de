//! Sums over a fixed tree: the same bits, whoever forms which part of them.

use super::{broadcast, bytes_of, numbers_of, share, share_of, Team};
use crate::{Error, Result};

/// What one micro-batch adds to a sum.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Part {
    /// Gradients of the sum of the losses, all variables one after the other.
    pub gradients: Vec<f32>,
    /// Sum of the losses.
    pub loss: f64,
    /// Images.
    pub images: u64,
    /// Images whose class is predicted.
    pub correct: u64,
    /// Whether somebody asked for an end.
    pub stop: bool,
}

impl Part {
    fn add(&mut self, other: &Part) -> Result<()> {
        // A micro-batch without an image has no gradients.
        match (self.gradients.len(), other.gradients.len()) {
            (_, 0) => {}
            (0, _) => self.gradients.clone_from(&other.gradients),
            (a, b) if a == b => self.gradients.iter_mut().zip(&other.gradients).for_each(|(a, b)| *a += b),
            (a, b) => {
                return Err(Error::Team(format!(
                    "The members of the team expected {a} gradients. Received: {b}. All must train the same model."
                )))
            }
        }
        self.loss += other.loss;
        self.images += other.images;
        self.correct += other.correct;
        self.stop |= other.stop;
        Ok(())
    }

    fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(25 + 4 * self.gradients.len());
        bytes.extend(self.loss.to_le_bytes());
        bytes.extend(self.images.to_le_bytes());
        bytes.extend(self.correct.to_le_bytes());
        bytes.push(u8::from(self.stop));
        bytes.extend(bytes_of(&self.gradients));
        bytes
    }

    fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let short = || Error::Team(format!("Expected a sum of gradients. Received: {} bytes", bytes.len()));
        let (loss, rest) = bytes.split_first_chunk::<8>().ok_or_else(short)?;
        let (images, rest) = rest.split_first_chunk::<8>().ok_or_else(short)?;
        let (correct, rest) = rest.split_first_chunk::<8>().ok_or_else(short)?;
        let (stop, rest) = rest.split_first().ok_or_else(short)?;
        Ok(Part {
            gradients: numbers_of(rest)?,
            loss: f64::from_le_bytes(*loss),
            images: u64::from_le_bytes(*images),
            correct: u64::from_le_bytes(*correct),
            stop: *stop != 0,
        })
    }
}

/// The sum of the parts `0..count` for all members. `part` gives those of this member's [`share`], and is asked for them
/// in order.
///
/// The parts are the leaves of a binary tree that depends on their number alone. A member forms the sums whose leaves are
/// all its own; of any other it is the owner of the first leaf who gets the rest sent. So each sum has the same operands
/// in the same order, and the same bits, for any number of members.
///
/// # Errors
/// Those of `part`, and where a member is gone.
pub(crate) fn summed(
    team: Option<&dyn Team>,
    count: usize,
    part: &mut dyn FnMut(usize) -> Result<Part>,
) -> Result<Part> {
    let Some(team) = team.filter(|team| team.size() > 1) else {
        return alone(0, count, part);
    };
    let owners: Vec<usize> =
        (0..team.size()).flat_map(|rank| share_of(rank, team.size(), count).map(move |_| rank)).collect();
    debug_assert_eq!(owners.iter().filter(|&&o| o == team.rank()).count(), share(team, count).len());
    let sum = match count {
        0 => None,
        _ => of_team(team, &owners, (0, count), part)?,
    };
    // The first part need not be the first member's where there are fewer parts than members.
    let root = owners.first().copied().unwrap_or(0);
    let sum = match (root, team.rank()) {
        (0, _) => sum,
        (root, 0) => Some(Part::from_bytes(&team.receive(root)?)?),
        (root, rank) if rank == root => {
            team.send(0, &sum.unwrap_or_default().to_bytes())?;
            None
        }
        _ => None,
    };
    if team.rank() > 0 {
        return Part::from_bytes(&broadcast(team, Vec::new())?);
    }
    let sum = sum.unwrap_or_default();
    broadcast(team, sum.to_bytes())?;
    Ok(sum)
}

/// Where the leaves of a node part: the left one has a power of two of them, so that parts of other counts have nodes in
/// common.
fn middle(from: usize, to: usize) -> usize {
    from + (to - from).next_power_of_two() / 2
}

fn alone(from: usize, to: usize, part: &mut dyn FnMut(usize) -> Result<Part>) -> Result<Part> {
    match to - from {
        0 => Ok(Part::default()),
        1 => part(from),
        _ => {
            let middle = middle(from, to);
            let mut sum = alone(from, middle, part)?;
            sum.add(&alone(middle, to, part)?)?;
            Ok(sum)
        }
    }
}

/// The sum of a node, for the owner of its first leaf.
fn of_team(
    team: &dyn Team,
    owners: &[usize],
    (from, to): (usize, usize),
    part: &mut dyn FnMut(usize) -> Result<Part>,
) -> Result<Option<Part>> {
    let (first, last, rank) = (owners[from], owners[to - 1], team.rank());
    if first == last {
        return if first == rank { alone(from, to, part).map(Some) } else { Ok(None) };
    }
    if rank < first || rank > last {
        return Ok(None);
    }
    let middle = middle(from, to);
    let left = of_team(team, owners, (from, middle), part)?;
    let right = of_team(team, owners, (middle, to), part)?;
    match (left, right) {
        (Some(mut left), Some(right)) => left.add(&right).map(|()| Some(left)),
        (Some(mut left), None) => {
            left.add(&Part::from_bytes(&team.receive(owners[middle])?)?)?;
            Ok(Some(left))
        }
        (None, Some(right)) => team.send(first, &right.to_bytes()).map(|()| None),
        (None, None) => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::team::in_threads;

    /// Numbers whose sum depends on the order.
    fn leaf(i: usize) -> Part {
        let x = 1.0 + (i as f32 * 0.7311).sin() * 10f32.powi(i as i32 % 7 - 3);
        Part {
            gradients: vec![x, -x * 3.3, 1e-7 * x],
            loss: f64::from(x) / 3.0,
            images: 2,
            correct: i as u64,
            stop: i == 3,
        }
    }

    #[test]
    fn a_sum_has_the_same_bits_for_any_number_of_members() {
        for count in [0, 1, 2, 3, 4, 5, 7, 8, 11, 16] {
            let expected = summed(None, count, &mut |i| Ok(leaf(i))).expect("all there");
            for size in 1..=9 {
                std::thread::scope(|scope| {
                    for member in in_threads(size) {
                        let expected = &expected;
                        scope.spawn(move || {
                            let mut asked = Vec::new();
                            let sum = summed(Some(&*member), count, &mut |i| {
                                asked.push(i);
                                Ok(leaf(i))
                            })
                            .expect("all there");
                            assert_eq!(sum, *expected, "{count} parts, {size} members");
                            assert_eq!(asked, share(&*member, count).collect::<Vec<_>>());
                        });
                    }
                });
            }
        }
    }

    #[test]
    fn parts_without_images_add_nothing_and_parts_of_other_models_are_refused() {
        let empty = Part::default();
        let sum = summed(None, 3, &mut |i| Ok(if i == 1 { leaf(1) } else { empty.clone() })).expect("sums");
        assert_eq!(sum, leaf(1));
        let other = Part { gradients: vec![1.0], ..Part::default() };
        assert!(summed(None, 2, &mut |i| Ok(if i == 1 { leaf(1) } else { other.clone() })).is_err());
    }

    #[test]
    fn an_error_of_one_member_reaches_all() {
        std::thread::scope(|scope| {
            for member in in_threads(3) {
                scope.spawn(move || {
                    let rank = member.rank();
                    let sum = summed(Some(&*member), 6, &mut |i| match i {
                        4 => Err(Error::Data("unreadable".into())),
                        _ => Ok(leaf(i)),
                    });
                    drop(member);
                    assert!(sum.is_err(), "{rank}");
                });
            }
        });
    }
}
