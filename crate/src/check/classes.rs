//! What is unusual about classes: few photographs, unequal numbers, one class as a part of another.

use super::findings::ClassFinding;
use super::labels::Opinion;

/// Fewer photographs of a class are few.
const FEW: usize = 20;
/// The largest class has this many times as many photographs as the smallest: unequal.
const UNEQUAL: usize = 10;
/// The part of a class that is taken for one other class, from which on it is a part of that.
const PART: f32 = 0.5;
/// Photographs that a class needs for that.
const JUDGED: usize = 5;

/// The findings about classes; `counts` and `labels` are those of photographs to train on.
pub(super) fn classes(
    names: &[String],
    counts: &[usize],
    labels: &[u32],
    opinions: &[Opinion],
) -> Vec<ClassFinding> {
    let mut found: Vec<ClassFinding> = names
        .iter()
        .zip(counts)
        .filter(|&(_, &n)| n < FEW)
        .map(|(class, &photographs)| ClassFinding::Small { class: class.clone(), photographs })
        .collect();
    let by_count = |&i: &usize| counts[i];
    let (smallest, largest) = ((0..names.len()).min_by_key(by_count), (0..names.len()).max_by_key(by_count));
    if let (Some(small), Some(large)) = (smallest, largest)
        && counts[large] >= UNEQUAL * counts[small].max(1)
    {
        let named = |i: usize| (names[i].clone(), counts[i]);
        found.push(ClassFinding::Unequal { largest: named(large), smallest: named(small) });
    }
    found.extend(parts(names, labels, opinions));
    found
}

fn parts(names: &[String], labels: &[u32], opinions: &[Opinion]) -> Vec<ClassFinding> {
    let mut taken = vec![vec![0usize; names.len()]; names.len()];
    let mut all = vec![0usize; names.len()];
    for (&label, opinion) in labels.iter().zip(opinions) {
        all[label as usize] += 1;
        if opinion.margin() > 0.0 {
            taken[label as usize][opinion.other as usize] += 1;
        }
    }
    let of_class = |class: usize| {
        let (of, &n) = taken[class].iter().enumerate().max_by_key(|&(_, &n)| n)?;
        let part = n as f32 / all[class].max(1) as f32;
        (all[class] >= JUDGED && part >= PART).then(|| ClassFinding::PartOf {
            class: names[class].clone(),
            of: names[of].clone(),
            part,
        })
    };
    (0..names.len()).filter_map(of_class).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_unequal_and_contained_classes_are_found() {
        let names = ["birds", "cats", "sparrows"].map(String::from);
        let opinion =
            |other, probability: f32| Opinion { other, probability, other_probability: 1.0 - probability };
        let labels: Vec<u32> = [0; 8].into_iter().chain([1; 8]).chain([2; 8]).collect();
        let mut opinions = vec![opinion(2, 0.9); 24];
        // Five of eight sparrows look like birds.
        (16..21).for_each(|i| opinions[i] = opinion(0, 0.2));
        (21..24).for_each(|i| opinions[i] = opinion(1, 0.7));
        let found = classes(&names, &[300, 30, 8], &labels, &opinions);
        let small = ClassFinding::Small { class: "sparrows".into(), photographs: 8 };
        let unequal =
            ClassFinding::Unequal { largest: ("birds".into(), 300), smallest: ("sparrows".into(), 8) };
        let part = ClassFinding::PartOf { class: "sparrows".into(), of: "birds".into(), part: 0.625 };
        assert_eq!(found, [small, unequal, part]);
        assert!(classes(&names, &[100, 30, 20], &labels[..16], &opinions[..16]).is_empty());
    }
}
