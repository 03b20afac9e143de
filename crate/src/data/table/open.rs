//! Data sets of the photographs that a table names.

use super::files::find;
use super::read::LabelTable;
use super::reading::Row;
use crate::data::dataset::{dataset_of, Dataset};
use crate::data::label_sets::LabelSets;
use crate::data::layout::{expect_folder, Part};
use crate::data::listing::Listing;
use crate::data::names::{composed, joined};
use crate::data::opening::{examine, nothing, Opened};
use crate::data::own_classes::{check_splittable, tell_few, tell_missing};
use crate::data::own_photographs::{OwnPhotographs, VALIDATION_PART};
use crate::data::{ImageDatasetOptions, Subset};
use crate::{threads, Error, Result, Show, SPLIT_SEED};
use std::collections::HashMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// Classes that a message lists.
const SHOWN: usize = 20;
/// What the photographs are called together, where each may have several labels.
const TOGETHER: &str = "all labels together";

/// Makes a data set of the photographs that a table names, which lie below `dir`. Options and errors are those of
/// [`image_dataset_from_directory`](crate::data::image_dataset_from_directory), with labels in place of class folders;
/// classes are sorted by name, photographs by path. The columns `split` and `group` are left out of account, but that a
/// `validation_split` keeps groups together.
///
/// Images below `dir` that the table does not name are left out, and counted in a line. Links are followed.
///
/// # Errors
/// As [`image_dataset_from_directory`](crate::data::image_dataset_from_directory); [`Error::Data`] where a file is
/// missing, with its line, or a label is none of
/// [`class_names`](ImageDatasetOptions::class_names).
///
/// ```no_run
/// use transfer::data::{image_dataset_from_table, ImageDatasetOptions, LabelTable};
/// let table = LabelTable::read("labels.csv")?;
/// let dataset = image_dataset_from_table("photographs", &table, ImageDatasetOptions::default())?;
/// # Ok::<(), transfer::Error>(())
/// ```
pub fn image_dataset_from_table(
    dir: impl AsRef<Path>,
    table: &LabelTable,
    options: ImageDatasetOptions,
) -> Result<Dataset> {
    let (part, subset) = (options.validation_split, options.subset);
    options.check()?;
    let Opening { all, groups, .. } = open(dir.as_ref(), table, options)?;
    let (Some(part), Some(subset)) = (part, subset) else { return Ok(all) };
    let (train, validation) = split(&all, part, groups.as_deref())?;
    Ok(match subset {
        Subset::Training => train,
        Subset::Validation => validation,
    })
}

/// The photographs of a table to train and to validate with, as
/// [`own_photographs`](crate::data::own_photographs) makes them of a folder. With a column `split` they are as it says;
/// where no photograph is for validation, a part is set aside, always the same one. Photographs of one `group` are on one
/// side.
///
/// # Errors
/// As [`image_dataset_from_table`]; [`Error::Data`] where there are fewer than two classes, a class has no photograph to
/// train on, or a group is in several splits.
pub fn photographs_from_table(
    dir: impl AsRef<Path>,
    table: &LabelTable,
    options: ImageDatasetOptions,
) -> Result<OwnPhotographs> {
    let dir = dir.as_ref();
    let part = options.validation_split.unwrap_or(VALIDATION_PART);
    let options = ImageDatasetOptions { validation_split: None, subset: None, ..options };
    if table.has_split && table.has_group {
        check_groups(table)?;
    }
    let Opening { all, groups, parts } = open(dir, table, options)?;
    if all.class_names().len() < 2 {
        return Err(Error::Data(format!(
            "{}: expected at least two labels, since with one there is nothing to tell apart. Received: {}.",
            table.path.shown(),
            joined(all.class_names().iter().map(String::as_str), SHOWN)
        )));
    }
    let of = |wanted: Part| {
        let order =
            all.indices().into_iter().filter(|&i| parts[i].unwrap_or(Part::Train) == wanted).collect();
        all.with_order(order)
    };
    let (mut train, mut validation, test) = (of(Part::Train), of(Part::Validation), of(Part::Test));
    if train.is_empty() {
        return Err(Error::Data(format!(
            "{}: expected photographs to train on. Received none.",
            table.path.shown()
        )));
    }
    let mut how = "split as the table says".to_owned();
    if validation.is_empty() {
        if all.label_sets().is_none() && groups.is_none() {
            check_splittable(&train)?;
        }
        (train, validation) = split(&train, part, groups.as_deref())?;
        let kept = if groups.is_some() { ", groups kept together" } else { "" };
        how = format!("{:.0} % of each class set aside{kept}", 100.0 * part);
    }
    let counts = train.class_counts();
    if let Some(class) = counts.iter().position(|&n| n == 0) {
        return Err(Error::Data(format!(
            "{}: expected photographs of each class to train on. Received none of {}. Put some of them into `train`, or \
             remove the label.",
            table.path.shown(),
            train.class_names()[class].shown()
        )));
    }
    tell_few(&train);
    tell_missing(&validation, &table.path);
    let test = (!test.is_empty()).then_some(test);
    Ok(OwnPhotographs { train, validation, test, dir: dir.to_owned(), how })
}

/// The photographs of a table whose classes are known already: to evaluate a model on. Classes without photographs are
/// named in a line.
///
/// # Errors
/// As [`image_dataset_from_table`].
pub fn photographs_of_table(
    dir: impl AsRef<Path>,
    table: &LabelTable,
    class_names: &[String],
    options: ImageDatasetOptions,
) -> Result<Dataset> {
    let class_names = Some(class_names.to_vec());
    let options = ImageDatasetOptions { class_names, missing_classes: true, ..options };
    let dataset = image_dataset_from_table(dir, table, options)?;
    tell_missing(&dataset, &table.path);
    Ok(dataset)
}

/// What a table names, opened.
pub(super) struct Opening {
    pub all: Dataset,
    /// The group of each file of the data set.
    groups: Option<Vec<u32>>,
    /// The split of each.
    pub parts: Vec<Option<Part>>,
}

pub(super) fn open(dir: &Path, table: &LabelTable, options: ImageDatasetOptions) -> Result<Opening> {
    threads::check()?;
    expect_folder(dir)?;
    let (class_names, places) = classes(table, &options)?;
    let paths = find(dir, table)?;
    // As in a folder of class folders: by folder, then by name.
    let mut files: Vec<((OsString, OsString), PathBuf, Row)> =
        paths.into_iter().zip(&table.rows).map(|(path, (_, row))| (place(&path), path, *row)).collect();
    files.sort_by(|a, b| a.0.cmp(&b.0));
    let multi = table.is_multi_label();
    let label = |row: &Row| match multi {
        true => row.cell,
        false => table.cells[row.cell as usize].first().map_or(0, |&class| places[class as usize]),
    };
    let rows: HashMap<PathBuf, Row> = files.iter().map(|(_, path, row)| (path.clone(), *row)).collect();
    let listing = Listing {
        class_names: if multi { vec![TOGETHER.to_owned()] } else { class_names.clone() },
        files: files.into_iter().map(|(_, path, row)| (path, if multi { 0 } else { label(&row) })).collect(),
        odd: Vec::new(),
        named: true,
    };
    let (_, Opened { mut files, skipped, tally }) = examine(listing, dir, &options)?;
    if files.is_empty() {
        return Err(nothing(dir, &skipped));
    }
    tally.check_all()?;
    let of_files: Vec<Row> = files.paths.iter().map(|path| rows[&path]).collect();
    files.labels.iter_mut().zip(&of_files).for_each(|(of, row)| *of = label(row));
    let sets = match multi {
        true => {
            let to = |set: &Vec<u32>| set.iter().map(|&class| places[class as usize]).collect();
            Some(LabelSets::new(class_names.len(), table.cells.iter().map(to).collect())?)
        }
        false => None,
    };
    let groups = table.has_group.then(|| of_files.iter().map(|row| row.group).collect());
    let parts = of_files.iter().map(|row| row.split).collect();
    let all = dataset_of(dir, options, class_names, files, (skipped, tally.together(multi)), sets);
    Ok(Opening { all, groups, parts })
}

/// Folder and name.
fn place(path: &Path) -> (OsString, OsString) {
    let part = |part: Option<&std::ffi::OsStr>| part.unwrap_or_default().to_owned();
    (part(path.parent().map(Path::as_os_str)), part(path.file_name()))
}

/// The names of the classes, and the place among them of each class of the table.
fn classes(table: &LabelTable, options: &ImageDatasetOptions) -> Result<(Vec<String>, Vec<u32>)> {
    let Some(wanted) = &options.class_names else {
        return Ok((table.class_names.clone(), (0..table.class_names.len() as u32).collect()));
    };
    let known: HashMap<String, u32> =
        wanted.iter().zip(0..).map(|(name, place)| (composed(name), place)).collect();
    if known.len() != wanted.len() {
        return Err(Error::Data(format!("class_names must not repeat a name. Received: {wanted:?}")));
    }
    let names = || joined(wanted.iter().map(String::as_str), SHOWN);
    let mut used = vec![false; table.class_names.len()];
    let mut places = vec![0; table.class_names.len()];
    for (_, row) in &table.rows {
        for &class in &table.cells[row.cell as usize] {
            let name = &table.class_names[class as usize];
            let place = known.get(name).ok_or_else(|| {
                Error::Data(format!(
                    "{}, line {}: expected one of the labels {}. Received: {}. Correct it or remove the line.",
                    table.path.shown(),
                    row.line,
                    names(),
                    name.shown()
                ))
            })?;
            (used[class as usize], places[class as usize]) = (true, *place);
        }
    }
    if !options.missing_classes && used.iter().filter(|&&used| used).count() < wanted.len() {
        return Err(Error::Data(format!(
            "{}: expected photographs of each of the classes {}. Received: {}.",
            table.path.shown(),
            names(),
            joined(table.class_names.iter().map(String::as_str), SHOWN)
        )));
    }
    Ok((wanted.clone(), places))
}

/// A part set aside, by groups where there are some.
fn split(all: &Dataset, part: f32, groups: Option<&[u32]>) -> Result<(Dataset, Dataset)> {
    match groups {
        Some(groups) => {
            // The numbers depend on the order of the table; first photographs do not.
            let (mut first, mut of_image) = (HashMap::new(), HashMap::new());
            let mut sorted = all.indices();
            sorted.sort_unstable();
            for i in sorted {
                of_image.insert(i, *first.entry(groups[i]).or_insert(i));
            }
            all.split_by_numbers(part, SPLIT_SEED, &of_image)
        }
        None => all.stratified_split(part, SPLIT_SEED),
    }
}

/// Refuses a group whose photographs are in several splits.
pub(super) fn check_groups(table: &LabelTable) -> Result<()> {
    let mut first: HashMap<u32, &Row> = HashMap::new();
    let mut rows: Vec<&Row> = table.rows.iter().map(|(_, row)| row).collect();
    rows.sort_by_key(|row| row.line);
    for row in rows {
        let before = first.entry(row.group).or_insert(row);
        if before.split != row.split {
            return Err(Error::Data(format!(
                "{}, line {}: expected the photographs of a group in one split. Received another one than in line {}. \
                 Correct the split or the group.",
                table.path.shown(),
                row.line,
                before.line
            )));
        }
    }
    Ok(())
}
