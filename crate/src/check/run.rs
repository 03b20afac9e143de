//! A check from beginning to end.

use std::path::{Path, PathBuf};

use super::classes::classes;
use super::duplicates::{find, DuplicateKind, Group};
use super::findings::{CheckedFile, DuplicateGroup, OddPhotograph, Outlier, SuspectedLabel};
use super::labels::{opinions, Opinion};
use super::odd::{oddities, sizes};
use super::options::CheckOptions;
use super::outliers::{outliers, NEIGHBOURS};
use super::report::CheckReport;
use super::scan::{scan, Scan};
use crate::data::{
    whole_sets, whole_sets_of_table, Groups, ImageDatasetOptions, LabelTable, OwnPhotographs, WholeSet,
};
use crate::team;
use crate::Result;

/// Looks for what is wrong with a folder of photographs: near-duplicates, wrong labels, outliers, unusual classes and
/// files, files that cannot be decoded.
///
/// The folder has one of the layouts of [`own_photographs`](crate::data::own_photographs): class folders, or `train`
/// with class folders and `validation` or `test` beside it. All sets are looked at together, so that duplicates across
/// them are found. Nothing is changed. [`CheckReport::fixes`] proposes changes, and [`apply_fixes`](super::apply_fixes)
/// carries them out in a new folder.
///
/// Memory grows by about 7 kB for each photograph up to 24,000 of them; of more, features lie in a temporary file.
///
/// # Errors
/// Where the folder has none of these layouts, a file cannot be read, the weights of the network cannot be had;
/// [`Error::Interrupted`](crate::Error::Interrupted).
///
/// ```no_run
/// use transfer::prelude::*;
/// let report = check_photographs("my_photos", CheckOptions::default())?;
/// for suspect in &report.suspects {
///     println!("{:?} looks like {}", suspect.file.path, suspect.looks_like);
/// }
/// # Ok::<(), transfer::Error>(())
/// ```
pub fn check_photographs(dir: impl AsRef<Path>, options: CheckOptions) -> Result<CheckReport> {
    let dir = dir.as_ref();
    let reading = ImageDatasetOptions {
        class_names: options.class_names.clone(),
        ..ImageDatasetOptions::default().max_left_out(options.max_left_out)
    };
    let sets = whole_sets(dir, options.validation.as_deref(), reading)?;
    check_sets(dir, &sets, &options)
}

/// [`check_photographs`] where a table says what photographs below `dir` show, and not class folders. With a column
/// `split` its parts are the sets; all photographs are one set without. Photographs that may have several labels are
/// checked for everything but wrong labels.
///
/// Of the options [`class_names`](CheckOptions::class_names) and [`validation`](CheckOptions::validation) do not count.
///
/// # Errors
/// As [`check_photographs`], and [`image_dataset_from_table`](crate::data::image_dataset_from_table).
///
/// ```no_run
/// use transfer::data::LabelTable;
/// use transfer::prelude::*;
/// let table = LabelTable::read("labels.csv")?;
/// println!("{}", check_photographs_of_table("photos", &table, CheckOptions::default())?);
/// # Ok::<(), transfer::Error>(())
/// ```
pub fn check_photographs_of_table(
    dir: impl AsRef<Path>,
    table: &LabelTable,
    options: CheckOptions,
) -> Result<CheckReport> {
    let dir = dir.as_ref();
    let reading = ImageDatasetOptions::default().max_left_out(options.max_left_out);
    check_sets(dir, &whole_sets_of_table(dir, table, reading)?, &options)
}

impl OwnPhotographs {
    /// [`check_photographs`] for photographs that are opened already. What was set aside for validation is checked
    /// together with what it was set aside from; [`keep_together`](Self::keep_together) splits both anew. Of the options
    /// [`labels`](CheckOptions::labels), [`validation_split`](CheckOptions::validation_split),
    /// [`device`](CheckOptions::device) and the choice of features count.
    ///
    /// # Errors
    /// As [`check_photographs`].
    ///
    /// ```no_run
    /// # use transfer::prelude::*;
    /// let photographs = own_photographs("my_photos", ImageDatasetOptions::default())?;
    /// let report = photographs.check(CheckOptions::default())?;
    /// let photographs = photographs.keep_together(&report.groups(), 0.2)?;
    /// # Ok::<(), transfer::Error>(())
    /// ```
    pub fn check(&self, options: CheckOptions) -> Result<CheckReport> {
        check_sets(&self.dir, &self.whole_sets(options.validation_split)?, &options)
    }

    /// [`check`](Self::check) by the members of a [`team`](CheckOptions::team), each of which looks at a part of the
    /// photographs. The first one gets the report, all of them the photographs that a split must not separate.
    ///
    /// # Errors
    /// As [`check`](Self::check), and where a member is gone.
    pub fn check_by_team(&self, options: CheckOptions) -> Result<(Option<CheckReport>, Groups)> {
        let Some(team) = options.team.clone() else {
            return self.check(options).map(|report| (Some(report.clone()), report.groups()));
        };
        let (team, sets) = (team.team(), self.whole_sets(options.validation_split)?);
        let scan = scan(&sets, &options.network()?, Some(team))?;
        let report = match team.rank() {
            0 => Some(report(&self.dir, &sets, scan, options.labels)?),
            _ => None,
        };
        let files: Vec<&PathBuf> = sets.iter().flat_map(|set| set.data.file_paths()).collect();
        let numbers = report.as_ref().map(|report| report.groups().given(&files)).unwrap_or_default();
        let numbers: Vec<u8> = numbers.into_iter().flat_map(u32::to_le_bytes).collect();
        let numbers = team::broadcast(team, numbers)?;
        let numbers: Vec<u32> = numbers.as_chunks::<4>().0.iter().map(|x| u32::from_le_bytes(*x)).collect();
        Ok((report, Groups::of_given(&files, &numbers)))
    }
}

fn check_sets(dir: &Path, sets: &[WholeSet], options: &CheckOptions) -> Result<CheckReport> {
    let scan = scan(sets, &options.network()?, None)?;
    report(dir, sets, scan, options.labels)
}

/// What is wrong with photographs that were looked at.
fn report(dir: &Path, sets: &[WholeSet], mut scan: Scan, labels: bool) -> Result<CheckReport> {
    let names = sets[0].data.class_names().to_vec();
    let (groups, near) = find(&mut scan, NEIGHBOURS)?;
    let of_photographs: Vec<u32> = scan.photographs.iter().map(|p| p.label).collect();
    // A head of one label a photograph has no opinion on several.
    let one_label = sets.iter().all(|set| set.data.label_sets().is_none());
    let opinions = match labels && one_label {
        true => opinions(&mut scan.features, &of_photographs, names.len(), &groups)?,
        false => Vec::new(),
    };
    let files = Files { scan: &scan, sets, names: &names };
    let counts = files.counts();
    let far = outliers(&near.distances);
    let odd = oddities(&scan.photographs);
    Ok(CheckReport {
        dir: dir.to_owned(),
        duplicates: groups.iter().map(|group| files.group(group)).collect(),
        suspects: files.suspects(&opinions),
        outliers: far.into_iter().map(|(i, distance)| Outlier { file: files.of(i), distance }).collect(),
        classes: classes(&names, &counts[0].1, &of_photographs, &opinions),
        odd: odd.into_iter().map(|(i, oddity)| OddPhotograph { file: files.of(i), oddity }).collect(),
        sizes: sizes(&scan.photographs),
        unreadable: scan.unreadable.clone(),
        sets: counts,
        class_names: names,
    })
}

/// Photographs by number, as a report names them.
struct Files<'a> {
    scan: &'a Scan,
    sets: &'a [WholeSet],
    names: &'a [String],
}

impl Files<'_> {
    fn of(&self, i: usize) -> CheckedFile {
        let p = &self.scan.photographs[i];
        CheckedFile {
            path: p.path.clone(),
            set: self.sets[p.set].name.to_owned(),
            class: self.sets[p.set].data.label_names([&p.label]).concat(),
            size: (p.height, p.width),
            bytes: p.bytes,
            digest: p.digest,
        }
    }

    fn group(&self, group: &Group) -> DuplicateGroup {
        let kinds = group.links.iter().map(|link| link.kind);
        DuplicateGroup {
            files: group.members.iter().map(|&i| self.of(i)).collect(),
            kind: kinds.max().unwrap_or(DuplicateKind::Copy),
            similarity: group.links.iter().fold(1.0, |least: f32, link| least.min(link.likeness)),
        }
    }

    fn suspects(&self, opinions: &[Opinion]) -> Vec<SuspectedLabel> {
        let mut found: Vec<(usize, Opinion)> =
            opinions.iter().copied().enumerate().filter(|(_, opinion)| opinion.suspects()).collect();
        found.sort_by(|a, b| b.1.margin().total_cmp(&a.1.margin()).then(a.0.cmp(&b.0)));
        let suspect = |(i, opinion): (usize, Opinion)| SuspectedLabel {
            file: self.of(i),
            looks_like: self.names[opinion.other as usize].clone(),
            probability: opinion.other_probability,
            given_probability: opinion.probability,
        };
        found.into_iter().map(suspect).collect()
    }

    /// Photographs of each class in each set.
    fn counts(&self) -> Vec<(String, Vec<usize>)> {
        let mut counts: Vec<_> =
            self.sets.iter().map(|set| (set.name.to_owned(), vec![0; self.names.len()])).collect();
        for p in &self.scan.photographs {
            let classes = self.sets[p.set].data.classes_with(p.label);
            classes.into_iter().for_each(|class| counts[p.set].1[class as usize] += 1);
        }
        counts
    }
}
