//! What `train` finds out about the photographs before it splits them.

use transfer::data::Groups;
use transfer::prelude::*;

use crate::args::Train;
use crate::check_args::Group;
use crate::screen;

/// Checks the photographs, says in a line what was found, and returns the groups that the split keeps together.
pub fn groups(asked: &Train) -> crate::Result<Groups> {
    let grouping = &asked.grouping;
    let mut groups = Groups::none();
    if !grouping.no_check {
        let mut options = CheckOptions::default().max_left_out(asked.max_left_out);
        if !asked.classes.is_empty() {
            options = options.class_names(asked.classes.clone());
        }
        if let Some(validation) = &asked.validation {
            options = options.validation(validation);
        }
        let report = check_photographs(&asked.dir, options)?;
        screen::note(&report.summary());
        if !report.duplicates.is_empty() || !report.suspects.is_empty() {
            screen::note("`transfer check` names them.");
        }
        if grouping.group == Group::Duplicates {
            groups = report.groups();
        }
    }
    match &grouping.group_by {
        Some(pattern) => Ok(groups.by_pattern(pattern)?),
        None => Ok(groups),
    }
}
