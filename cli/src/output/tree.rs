// SPDX-License-Identifier: GPL-2.0

//! Rows of a tree: each below its parent, and above its own children.

/// Puts as many things below their parents, and gives each with its depth, in the order in which they are shown. `parent`
/// says which of them one is below. Of things that are below each other, as in a text that was made while they changed, the
/// first one stands at the top.
///
/// They may be as deep below each other as there are things, so this keeps a list of its own instead of calling itself.
pub fn rows(number: usize, parent: impl Fn(usize) -> Option<usize>) -> Vec<(usize, usize)> {
    let mut tops = Vec::new();
    let mut children: Vec<Vec<usize>> = vec![Vec::new(); number];
    for one in 0..number {
        match parent(one).filter(|parent| *parent != one) {
            Some(parent) => children[parent].push(one),
            None => tops.push(one),
        }
    }
    let mut rows = Vec::with_capacity(number);
    let mut seen = vec![false; number];
    for top in tops.into_iter().chain(0..number) {
        let mut stack = vec![(top, 0)];
        while let Some((one, depth)) = stack.pop() {
            if std::mem::replace(&mut seen[one], true) {
                continue;
            }
            rows.push((one, depth));
            let below = children[one].iter().rev();
            stack.extend(below.map(|child| (*child, depth + 1)));
        }
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::rows;

    fn of(parents: &[Option<usize>]) -> Vec<(usize, usize)> {
        rows(parents.len(), |one| parents[one])
    }

    #[test]
    fn below_parents() {
        assert_eq!(of(&[]), []);
        // Children keep their order, and may come before their parents.
        assert_eq!(
            of(&[Some(2), None, None, Some(2), Some(0)]),
            [(1, 0), (2, 0), (0, 1), (4, 2), (3, 1)]
        );
    }

    /// None is lost, and none comes twice.
    #[test]
    fn circles() {
        assert_eq!(of(&[Some(0)]), [(0, 0)]);
        assert_eq!(
            of(&[Some(1), Some(0), None, Some(1)]),
            [(2, 0), (0, 0), (1, 1), (3, 2)]
        );
        let many = 20_000;
        let all = rows(many, |one| Some(one ^ 1));
        assert_eq!(all.len(), many);
    }

    #[test]
    fn deep() {
        let deep = rows(100_000, |one| one.checked_sub(1));
        assert_eq!(deep.last(), Some(&(99_999, 99_999)));
    }
}
