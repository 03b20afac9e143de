//! What `train` finds out about the photographs before it trains: duplicates and wrong labels, and a split that keeps
//! duplicates together.

use transfer::data::Groups;
use transfer::prelude::*;

use crate::args::Train;
use crate::check_args::Group;
use crate::features::Start;
use crate::{screen, team};

/// Checks the photographs, says in a line what was found, and splits them so that groups stay together. Returns them,
/// the groups, and what the check found.
pub fn grouped(
    photographs: OwnPhotographs,
    (asked, start): (&Train, &Start),
    device: &Device,
) -> crate::Result<(OwnPhotographs, Groups, Option<CheckReport>)> {
    let grouping = &asked.grouping;
    let (mut groups, mut check) = (Groups::none(), None);
    if !grouping.no_check {
        let options = CheckOptions::default().validation_split(asked.validation_split).device(device);
        let options = start.check_with(options.team(team::team()));
        let (report, found) = photographs.check_by_team(options)?;
        if let Some(report) = &report {
            screen::note(&report.summary());
        }
        if grouping.group == Group::Duplicates {
            groups = found;
        }
        check = report.filter(|_| !asked.report.no_report);
    }
    if let Some(pattern) = &grouping.group_by {
        groups = groups.by_pattern(pattern)?;
    }
    Ok((photographs.keep_together(&groups, asked.validation_split)?, groups, check))
}
