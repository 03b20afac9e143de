//! Which image is in which fold.

use std::collections::BTreeMap;

use crate::random::Rng;
use crate::{Error, Result};

/// Purpose that random numbers are drawn for.
const FOLDS: u64 = u64::from_be_bytes(*b"folds   ");
/// More folds than this are hardly ever useful, and each one is a head to solve for.
pub(in crate::train) const MOST_FOLDS: usize = 100;

/// The images of one group: how many of each class, with the images themselves.
#[derive(Default)]
struct Group {
    /// Positions of the images.
    members: Vec<usize>,
    /// Number of images by class (its position among the classes that occur).
    counts: BTreeMap<usize, usize>,
}

/// Assigns each image to one of `folds` folds: `0..folds`, one number for each label.
///
/// The folds are stratified, as with scikit-learn's `StratifiedGroupKFold`: each has about the same number of images
/// of each class. Images with the same number in `groups` are in the same fold; without groups each image is a group
/// of its own. Groups are placed one after the other, the largest first and equal ones in an order that `seed`
/// decides, each in the fold where the sum over the classes of (images of the class in the fold / images of the
/// class)² grows least; among equals in the fold with the fewest images, then in the first one. The same arguments
/// give the same folds.
///
/// A class may have fewer groups than there are folds: some folds are then without it. A class must have images
/// outside of each fold, so that no head has to predict a class that it never saw. Where that, or the number of
/// groups, does not allow so many folds, the largest smaller number that works is used; the largest number of the
/// result tells which.
///
/// # Errors
/// [`Error::Shape`] where there is not one group for each label; [`Error::Invalid`] for fewer than 2 or more than 100
/// folds; [`Error::Data`] where there are no labels, all images of a class are in one group, or no number of folds
/// works.
///
/// ```
/// use transfer::train::fold_assignment;
/// // The first two images are near-duplicates.
/// let folds = fold_assignment(&[0, 0, 0, 1, 1, 1], Some(&[7, 7, 8, 1, 2, 3]), 3, 1)?;
/// assert_eq!(folds[0], folds[1]);
/// assert_ne!(folds[0], folds[2]);
/// # Ok::<(), transfer::Error>(())
/// ```
pub fn fold_assignment(labels: &[u32], groups: Option<&[u32]>, folds: usize, seed: u64) -> Result<Vec<u32>> {
    if !(2..=MOST_FOLDS).contains(&folds) {
        return Err(Error::Invalid(format!(
            "fold_assignment expected 2 to {MOST_FOLDS} folds, such as 5. Received: {folds}"
        )));
    }
    if let Some(groups) = groups.filter(|groups| groups.len() != labels.len()) {
        return Err(Error::Shape(format!(
            "fold_assignment expected one group for each label. Received: {} groups, {} labels",
            groups.len(),
            labels.len()
        )));
    }
    if labels.is_empty() {
        return Err(Error::Data("fold_assignment expected at least one image. Received none.".into()));
    }
    let classes = class_positions(labels);
    let mut all = grouped(labels, groups, &classes);
    check_groups(&all, &classes)?;
    Rng::new(&[seed, FOLDS]).shuffle(&mut all);
    all.sort_by_key(|group| std::cmp::Reverse(group.members.len()));
    let mut totals = vec![0; classes.len()];
    labels.iter().for_each(|label| totals[classes[label]] += 1);
    for k in (2..=folds.min(all.len())).rev() {
        if let Some(assignment) = placed(&all, &totals, labels.len(), k) {
            return Ok(assignment);
        }
    }
    Err(Error::Data(format!(
        "fold_assignment expected groups that can be divided into at least 2 folds, with images of each class outside \
         of each fold. Received: {} groups of {} images. Make the groups smaller, or add images.",
        all.len(),
        labels.len()
    )))
}

/// The position of each label among those that occur.
fn class_positions(labels: &[u32]) -> BTreeMap<u32, usize> {
    let mut classes: BTreeMap<u32, usize> = labels.iter().map(|&label| (label, 0)).collect();
    classes.values_mut().enumerate().for_each(|(i, position)| *position = i);
    classes
}

/// The groups, in the order of their numbers.
fn grouped(labels: &[u32], groups: Option<&[u32]>, classes: &BTreeMap<u32, usize>) -> Vec<Group> {
    let mut all: BTreeMap<u64, Group> = BTreeMap::new();
    for (i, label) in labels.iter().enumerate() {
        let number = groups.map_or(i as u64, |groups| u64::from(groups[i]));
        let group = all.entry(number).or_default();
        group.members.push(i);
        *group.counts.entry(classes[label]).or_default() += 1;
    }
    all.into_values().collect()
}

/// Refuses a class that is in one group alone: a head for the other folds would never see it.
fn check_groups(groups: &[Group], classes: &BTreeMap<u32, usize>) -> Result<()> {
    let mut number = vec![0usize; classes.len()];
    groups.iter().flat_map(|group| group.counts.keys()).for_each(|&class| number[class] += 1);
    let alone = classes.iter().find(|(_, class)| number[**class] < 2);
    match alone {
        None => Ok(()),
        Some((label, _)) => Err(Error::Data(format!(
            "fold_assignment expected each class in at least 2 groups (photographs, where nothing is said of groups). \
             Received: class {label} in one. Add photographs of this class, or leave it out."
        ))),
    }
}

/// Folds of the images; nothing where a fold would have all images of a class, or none at all.
fn placed(groups: &[Group], totals: &[usize], images: usize, folds: usize) -> Option<Vec<u32>> {
    let mut counts = vec![vec![0usize; totals.len()]; folds];
    let mut sizes = vec![0usize; folds];
    let mut assignment = vec![0u32; images];
    for group in groups {
        let growth = |fold: usize| -> f64 {
            let of_class = |(&class, &n): (&usize, &usize)| {
                let grows = n * (2 * counts[fold][class] + n);
                grows as f64 / (totals[class] as f64).powi(2)
            };
            group.counts.iter().map(of_class).sum()
        };
        let growths: Vec<f64> = (0..folds).map(growth).collect();
        let order = |a: &usize, b: &usize| {
            growths[*a].total_cmp(&growths[*b]).then(sizes[*a].cmp(&sizes[*b])).then(a.cmp(b))
        };
        let best = (0..folds).min_by(order)?;
        group.counts.iter().for_each(|(&class, &n)| counts[best][class] += n);
        sizes[best] += group.members.len();
        group.members.iter().for_each(|&i| assignment[i] = best as u32);
    }
    let whole = |fold: &Vec<usize>| fold.iter().zip(totals).any(|(n, total)| n == total);
    let fits = sizes.iter().all(|&n| n > 0) && !counts.iter().any(whole);
    fits.then_some(assignment)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(assignment: &[u32], labels: &[u32], fold: u32) -> Vec<usize> {
        let classes = *labels.iter().max().unwrap() as usize + 1;
        let mut counts = vec![0; classes];
        let inside = assignment.iter().zip(labels).filter(|(f, _)| **f == fold);
        inside.for_each(|(_, &label)| counts[label as usize] += 1);
        counts
    }

    #[test]
    fn without_groups_each_class_is_spread_evenly() {
        // 103, 57 and 12 images.
        let labels: Vec<u32> = (0..172).map(|i| if i < 103 { 0 } else { 1 + u32::from(i >= 160) }).collect();
        for seed in 0..5 {
            let assignment = fold_assignment(&labels, None, 5, seed).unwrap();
            for fold in 0..5 {
                let c = counts(&assignment, &labels, fold);
                assert!((20..=21).contains(&c[0]) && (11..=12).contains(&c[1]), "{c:?}");
                assert!((2..=3).contains(&c[2]), "{c:?}");
                assert!((34..=35).contains(&c.iter().sum::<usize>()), "{c:?}");
            }
            assert_eq!(assignment, fold_assignment(&labels, None, 5, seed).unwrap());
        }
        assert_ne!(
            fold_assignment(&labels, None, 5, 1).unwrap(),
            fold_assignment(&labels, None, 5, 2).unwrap()
        );
    }

    #[test]
    fn groups_stay_whole_and_classes_stay_balanced() {
        let mut rng = Rng::new(&[11]);
        let groups: Vec<u32> = (0..600).map(|_| 3 * rng.below(150) as u32).collect();
        // Half of the groups have two classes.
        let labels: Vec<u32> =
            groups.iter().map(|&g| if g % 2 == 0 { g % 4 / 2 } else { rng.below(2) as u32 }).collect();
        let assignment = fold_assignment(&labels, Some(&groups), 5, 3).unwrap();
        let mut fold_of = BTreeMap::new();
        for (group, fold) in groups.iter().zip(&assignment) {
            assert_eq!(fold_of.entry(group).or_insert(fold), &fold, "group {group}");
        }
        let totals: Vec<usize> = (0..2).map(|c| labels.iter().filter(|&&l| l == c).count()).collect();
        for fold in 0..5 {
            for (n, total) in counts(&assignment, &labels, fold).into_iter().zip(&totals) {
                let share = n as f64 / *total as f64;
                assert!((share - 0.2).abs() < 0.02, "fold {fold}: {n} of {total}");
            }
        }
    }

    #[test]
    fn the_numbers_of_groups_and_of_classes_do_not_matter() {
        let labels = [0, 0, 0, 1, 1, 1];
        let named = fold_assignment(&labels, Some(&[0, 1, 2, 3, 4, 5]), 3, 1).unwrap();
        assert_eq!(named, fold_assignment(&labels, None, 3, 1).unwrap());
        assert_eq!(named, fold_assignment(&[5, 5, 5, 900, 900, 900], None, 3, 1).unwrap());
    }

    #[test]
    fn a_class_of_few_images_is_in_few_folds_and_never_whole_in_one() {
        let labels: Vec<u32> = (0..42).map(|i| u32::from(i < 2)).collect();
        let assignment = fold_assignment(&labels, None, 5, 1).unwrap();
        assert_ne!(assignment[0], assignment[1]);
        assert_eq!(assignment.iter().max(), Some(&4));
    }

    #[test]
    fn fewer_groups_than_folds_make_fewer_folds() {
        let assignment = fold_assignment(&[0, 0, 0, 1, 1, 1], Some(&[1, 2, 3, 1, 2, 3]), 5, 1).unwrap();
        assert_eq!(assignment.iter().max(), Some(&2));
        assert_eq!(assignment[..3], assignment[3..]);
    }

    #[test]
    fn what_cannot_be_divided_is_refused() {
        let says = |result: Result<Vec<u32>>, what: &str| {
            let text = result.unwrap_err().to_string();
            assert!(text.contains(what), "{text}");
        };
        says(fold_assignment(&[0, 0, 1], None, 2, 1), "class 1 in one");
        says(fold_assignment(&[0, 0, 1, 1], Some(&[1, 2, 3, 3]), 2, 1), "class 1 in one");
        says(fold_assignment(&[0, 1], Some(&[1]), 2, 1), "1 groups, 2 labels");
        says(fold_assignment(&[0, 0], None, 1, 1), "Received: 1");
        says(fold_assignment(&[0, 0], None, 101, 1), "Received: 101");
        says(fold_assignment(&[], None, 5, 1), "at least one image");
    }
}
