//! Pairs become groups: whoever is joined to a member belongs to the group.

use super::group::{Group, Link};
use crate::data::DisjointSets;

/// Which photographs are joined, and by what.
pub(super) struct Union {
    sets: DisjointSets,
    /// What joined the groups of two photographs.
    joined: Vec<(usize, usize, Link)>,
}

impl Union {
    /// Each of `n` photographs alone.
    pub fn of(n: usize) -> Self {
        Union { sets: DisjointSets::new(n), joined: Vec::new() }
    }

    /// Whether both are in one group.
    pub fn together(&mut self, a: u32, b: u32) -> bool {
        self.sets.root(a as usize) == self.sets.root(b as usize)
    }

    /// Makes one group of the groups of two photographs.
    pub fn join(&mut self, a: usize, b: usize, link: Link) {
        if self.sets.join(a, b) {
            self.joined.push((a, b, link));
        }
    }

    /// All groups of at least two, by their first members.
    pub fn groups(self) -> Vec<Group> {
        let roots = self.sets.roots();
        let n = roots.len();
        let mut places = vec![usize::MAX; n];
        let mut groups: Vec<Group> = Vec::new();
        let mut sizes = vec![0usize; n];
        roots.iter().for_each(|&root| sizes[root] += 1);
        for (i, &root) in roots.iter().enumerate().filter(|(_, root)| sizes[**root] > 1) {
            if places[root] == usize::MAX {
                places[root] = groups.len();
                groups.push(Group { members: Vec::new(), links: Vec::new() });
            }
            groups[places[root]].members.push(i);
        }
        for (a, _, link) in self.joined {
            groups[places[roots[a]]].links.push(link);
        }
        groups
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::duplicates::group::DuplicateKind;

    #[test]
    fn joined_pairs_become_groups_with_one_link_less_than_members() {
        let mut union = Union::of(8);
        for (a, b) in [(6, 2), (2, 4), (4, 6), (1, 7)] {
            union.join(a, b, Link { kind: DuplicateKind::Shifted, likeness: 0.9 });
        }
        assert!(union.together(6, 4) && !union.together(1, 2));
        let groups = union.groups();
        let members: Vec<_> = groups.iter().map(|g| (g.members.clone(), g.links.len())).collect();
        assert_eq!(members, [(vec![1, 7], 1), (vec![2, 4, 6], 2)]);
    }
}
