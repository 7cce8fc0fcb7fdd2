// SPDX-License-Identifier: GPL-2.0

//! Where everything of the picture stands: boxes in columns, and lines that run between them.
//!
//! Lines run to the right through the gaps between columns, and where they pass a column, through the gap between two of
//! its boxes. Each has a lane of its own in each gap, and gaps are as wide as their lanes need, so that nothing lies on
//! top of a box.

use std::borrow::Cow;

use crate::output::printable::{cut, width};

use super::drawing::{Column, Drawing, Node, Row, Way};

/// All lengths are in pixels. A character of a monospace font of 12 pixels is a little narrower.
pub(super) const CHARACTER: usize = 8;
pub(super) const ROW: usize = 18;
/// The name of a structure, and its header below.
pub(super) const TITLE: usize = 40;
pub(super) const PADDING: usize = 8;
pub(super) const MARGIN: usize = 24;
/// Between lines, and between a line and a box.
const LANE: usize = 7;
const CLEAR: usize = 12;
/// Values are cut to so many columns of text.
const VALUE: usize = 40;
/// Between name, value and key.
const BETWEEN: usize = 2;

/// A box, by its left upper corner.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Rect {
    pub(super) x: usize,
    pub(super) y: usize,
    pub(super) width: usize,
    pub(super) height: usize,
}

/// A line, from the row of a structure to the title of another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Edge {
    pub(super) node: usize,
    pub(super) row: usize,
    pub(super) to: usize,
    pub(super) way: Way,
    pub(super) points: Vec<(usize, usize)>,
}

/// Where the parts of a row begin in a box: the value, and where the key ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Parts {
    pub(super) value: usize,
    pub(super) key_end: usize,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Layout {
    pub(super) width: usize,
    pub(super) height: usize,
    /// One for each structure.
    pub(super) boxes: Vec<Rect>,
    pub(super) parts: Vec<Parts>,
    pub(super) edges: Vec<Edge>,
}

/// What is shown of a value; where there is none, what the field leads to.
pub(super) fn shown<'a>(drawing: &'a Drawing, row: &'a Row) -> Cow<'a, str> {
    if let Some(value) = &row.value {
        return cut(value.as_str(), VALUE);
    }
    let Some((link, to)) = row
        .link
        .as_ref()
        .and_then(|link| Some((link, drawing.nodes.get(link.to)?)))
    else {
        return Cow::Borrowed("");
    };
    let arrow = match link.way {
        Way::To => "→ ",
        Way::From => "← ",
        Way::Holds => "",
    };
    let text = format!("{arrow}{} {}", to.structure.name, to.id.as_str());
    Cow::Owned(cut(text.trim_end(), VALUE).into_owned())
}

/// The middle of a row.
fn row_y(rect: Rect, row: usize) -> usize {
    rect.y + TITLE + row * ROW + ROW / 2
}

/// Where lines end at a box, the first, the second and so on: beside its title, one below the other.
fn title_y(rect: Rect, nth: usize) -> usize {
    rect.y + 8 + (nth * 6) % (TITLE - 12)
}

/// A line before it is known where it runs.
#[derive(Clone, Debug)]
struct Route {
    node: usize,
    row: usize,
    to: usize,
    way: Way,
    /// The columns that it leaves at the right, and that it comes to at the left. In the same column it ends at the right.
    from_column: usize,
    to_column: usize,
    /// Of each column that it passes, the gap: 0 is above the first box.
    gaps: Vec<usize>,
}

struct Maker<'a> {
    drawing: &'a Drawing,
    /// The structures of each column, from the top.
    columns: Vec<Vec<usize>>,
    column_of: Vec<usize>,
    sizes: Vec<(usize, usize)>,
}

/// Finds a place for everything.
pub(super) fn make(drawing: &Drawing) -> Layout {
    let columns: Vec<Vec<usize>> = Column::ALL
        .into_iter()
        .map(|column| {
            (0..drawing.nodes.len())
                .filter(|at| drawing.nodes[*at].column == column)
                .collect::<Vec<_>>()
        })
        .filter(|column| !column.is_empty())
        .collect();
    let mut column_of = vec![0; drawing.nodes.len()];
    for (at, column) in columns.iter().enumerate() {
        for node in column {
            column_of[*node] = at;
        }
    }
    let (parts, sizes) = drawing
        .nodes
        .iter()
        .map(|node| measure(drawing, node))
        .unzip();
    let mut maker = Maker {
        drawing,
        columns,
        column_of,
        sizes,
    };
    maker.widen();
    maker.make(parts)
}

/// How wide and high a structure is, and where its parts stand.
fn measure(drawing: &Drawing, node: &Node) -> (Parts, (usize, usize)) {
    let widest = |of: &dyn Fn(&Row) -> usize| node.rows.iter().map(of).max().unwrap_or(0);
    let name = widest(&|row| width(row.name.as_str()));
    let value = widest(&|row| width(&shown(drawing, row)));
    let key = widest(&|row| width(row.key));
    let text = (name + BETWEEN + value + BETWEEN + key)
        .max(width(node.structure.name))
        .max(width(node.structure.header));
    let parts = Parts {
        value: PADDING + (name + BETWEEN) * CHARACTER,
        key_end: 0,
    };
    let height = TITLE + node.rows.len() * ROW + 6;
    (parts, (text * CHARACTER + 2 * PADDING, height))
}

impl Maker<'_> {
    /// Makes all boxes of a column as wide as the widest.
    fn widen(&mut self) {
        for column in &self.columns {
            let widest = column.iter().map(|node| self.sizes[*node].0).max();
            for node in column {
                self.sizes[*node].0 = widest.unwrap_or(0);
            }
        }
    }

    fn routes(&self) -> Vec<Route> {
        let mut routes = Vec::new();
        for (node, one) in self.drawing.nodes.iter().enumerate() {
            for (row, link) in one.rows.iter().enumerate() {
                let Some(link) = &link.link else { continue };
                if link.to >= self.drawing.nodes.len() {
                    continue;
                }
                let (a, b) = (self.column_of[node], self.column_of[link.to]);
                routes.push(Route {
                    node,
                    row,
                    to: link.to,
                    way: link.way,
                    from_column: a.min(b),
                    to_column: a.max(b),
                    gaps: Vec::new(),
                });
            }
        }
        routes
    }

    /// Puts the boxes one below the other, each at the height of what leads to it, if there is room. `gaps` has the height
    /// of each gap of each column.
    fn place(&self, gaps: &[Vec<usize>], routes: &[Route]) -> Vec<Rect> {
        let mut boxes = vec![Rect::default(); self.sizes.len()];
        for (at, column) in self.columns.iter().enumerate() {
            let mut y = MARGIN + gaps[at][0];
            for (nth, node) in column.iter().enumerate() {
                let wanted = routes
                    .iter()
                    .filter(|route| route.to == *node && self.column_of[route.node] < at)
                    .map(|route| row_y(boxes[route.node], route.row).saturating_sub(TITLE / 2))
                    .min();
                let (width, height) = self.sizes[*node];
                let rect = Rect {
                    x: 0,
                    y: y.max(wanted.unwrap_or(0)),
                    width,
                    height,
                };
                boxes[*node] = rect;
                y = rect.y + height + gaps[at][nth + 1];
            }
        }
        boxes
    }

    fn make(&self, mut parts: Vec<Parts>) -> Layout {
        let mut routes = self.routes();
        let mut gaps: Vec<Vec<usize>> = self
            .columns
            .iter()
            .map(|column| vec![CLEAR * 2; column.len() + 1])
            .collect();
        let boxes = self.place(&gaps, &routes);
        for route in &mut routes {
            self.choose_gaps(route, &boxes);
        }
        // Which lane each line has in each gap that it passes; then there is as much room as they need.
        let mut lanes: Vec<Vec<usize>> = gaps.iter().map(|one| vec![0; one.len()]).collect();
        let mut lane_of: Vec<Vec<usize>> = Vec::with_capacity(routes.len());
        for route in &routes {
            let mut own = Vec::with_capacity(route.gaps.len());
            for (column, gap) in (route.from_column + 1..).zip(&route.gaps) {
                own.push(lanes[column][*gap]);
                lanes[column][*gap] += 1;
            }
            lane_of.push(own);
        }
        for (gaps, lanes) in gaps.iter_mut().zip(&lanes) {
            for (gap, lanes) in gaps.iter_mut().zip(lanes) {
                *gap = (CLEAR * 2 + lanes * LANE).max(*gap);
            }
        }
        let mut boxes = self.place(&gaps, &routes);

        // The vertical lanes, between this column and the next, or behind the last one.
        let mut order: Vec<usize> = (0..routes.len()).collect();
        order.sort_by_key(|at| row_y(boxes[routes[*at].node], routes[*at].row));
        let mut vertical = vec![0; self.columns.len()];
        let mut vertical_of: Vec<Vec<usize>> = vec![Vec::new(); routes.len()];
        for at in order {
            let route = &routes[at];
            for used in &mut vertical[route.from_column..route.to_column.max(route.from_column + 1)]
            {
                vertical_of[at].push(*used);
                *used += 1;
            }
        }
        let mut x = MARGIN;
        let mut right = Vec::with_capacity(self.columns.len());
        for (column, lanes) in self.columns.iter().zip(&vertical) {
            let mut end = x;
            for node in column {
                boxes[*node].x = x;
                end = x + boxes[*node].width;
            }
            right.push(end);
            x = end + CLEAR * 2 + lanes * LANE;
        }
        for (parts, rect) in parts.iter_mut().zip(&boxes) {
            parts.key_end = rect.width.saturating_sub(PADDING);
        }

        let mut at_left = vec![0; boxes.len()];
        let mut at_right = vec![0; boxes.len()];
        let edges = routes
            .iter()
            .enumerate()
            .map(|(at, route)| {
                let is_same = route.from_column == route.to_column;
                let is_back = self.column_of[route.node] > self.column_of[route.to];
                let own = row_y(boxes[route.node], route.row);
                let ends = if is_same || is_back {
                    &mut at_right
                } else {
                    &mut at_left
                };
                let other = title_y(boxes[route.to], ends[route.to]);
                ends[route.to] += 1;
                let lane = |column: usize| {
                    let nth = vertical_of[at].get(column - route.from_column).copied();
                    right[column] + CLEAR + nth.unwrap_or(0) * LANE
                };
                let mut points = Vec::new();
                let (first, last) = if is_back { (other, own) } else { (own, other) };
                points.push((right[route.from_column], first));
                points.push((lane(route.from_column), first));
                for (nth, (column, gap)) in (route.from_column + 1..).zip(&route.gaps).enumerate() {
                    let y = self.gap_y(column, *gap, &boxes, &gaps) + lane_of[at][nth] * LANE;
                    points.push((lane(column - 1), y));
                    points.push((lane(column), y));
                }
                if is_same {
                    points.push((lane(route.from_column), last));
                    points.push((right[route.from_column], last));
                } else {
                    points.push((lane(route.to_column - 1), last));
                    points.push((boxes[self.columns[route.to_column][0]].x, last));
                }
                if is_back {
                    points.reverse();
                }
                Edge {
                    node: route.node,
                    row: route.row,
                    to: route.to,
                    way: route.way,
                    points,
                }
            })
            .collect();
        let bottom = boxes.iter().map(|rect| rect.y + rect.height).max();
        let below = gaps.iter().filter_map(|gaps| gaps.last()).max();
        Layout {
            width: x + MARGIN - CLEAR,
            height: bottom.unwrap_or(0) + below.copied().unwrap_or(0) + MARGIN,
            boxes,
            parts,
            edges,
        }
    }

    /// The first lane in the gap above a box of a column, or below the last one.
    fn gap_y(&self, column: usize, gap: usize, boxes: &[Rect], gaps: &[Vec<usize>]) -> usize {
        let nodes = &self.columns[column];
        let top = match gap.checked_sub(1) {
            Some(above) => {
                let rect = boxes[nodes[above]];
                rect.y + rect.height
            }
            // Above the first box there may be more room than is needed.
            None => boxes[nodes[0]].y - gaps[column][0],
        };
        top + CLEAR
    }

    /// Chooses where a line passes the columns between: where it is the shortest.
    fn choose_gaps(&self, route: &mut Route, boxes: &[Rect]) {
        let from = row_y(boxes[route.node], route.row);
        let to = boxes[route.to].y;
        for column in route.from_column + 1..route.to_column {
            let nodes = &self.columns[column];
            let y_of = |gap: usize| match gap.checked_sub(1) {
                Some(above) => boxes[nodes[above]].y + boxes[nodes[above]].height,
                None => boxes[nodes[0]].y,
            };
            let best = (0..=nodes.len())
                .min_by_key(|gap| y_of(*gap).abs_diff(from) + y_of(*gap).abs_diff(to));
            route.gaps.push(best.unwrap_or(0));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::drawing::{self, Structure};
    use super::*;
    use proptest::prelude::*;

    const KINDS: [&Structure; 3] = [
        &drawing::TASK_STRUCT,
        &drawing::MNT_NAMESPACE,
        &drawing::NET,
    ];

    /// Anything that can be drawn: of each structure its column, its rows, and where these lead.
    fn drawings() -> impl Strategy<Value = Drawing> {
        let rows = prop::collection::vec((0usize..60, prop::option::of(0usize..40)), 0..8);
        prop::collection::vec((0usize..4, rows), 1..40).prop_map(|nodes| {
            let mut drawing = Drawing::default();
            let count = nodes.len();
            for (column, rows) in nodes {
                let kind = KINDS[rows.len() % KINDS.len()];
                let node = drawing.add(kind, "", Column::ALL[column]);
                for (length, to) in rows {
                    let words = crate::output::Words::from("网".repeat(length).into_bytes());
                    let mut row = Row::field("name", words).key("key=");
                    if let Some(to) = to {
                        row = row.leading(".ns", to % count);
                    }
                    drawing.row(node, row);
                }
            }
            drawing
        })
    }

    fn overlap(one: Rect, other: Rect) -> bool {
        one.x < other.x + other.width
            && other.x < one.x + one.width
            && one.y < other.y + other.height
            && other.y < one.y + one.height
    }

    proptest! {
        #[test]
        fn nothing_overlaps(drawing in drawings()) {
            let layout = make(&drawing);
            for (at, one) in layout.boxes.iter().enumerate() {
                prop_assert!(one.x + one.width <= layout.width && one.y + one.height <= layout.height);
                for other in &layout.boxes[..at] {
                    prop_assert!(!overlap(*one, *other), "{one:?} {other:?}");
                }
            }
            let mut pieces = Vec::new();
            for (nth, edge) in layout.edges.iter().enumerate() {
                for pair in edge.points.windows(2) {
                    let ((ax, ay), (bx, by)) = (pair[0], pair[1]);
                    prop_assert!(ax == bx || ay == by, "{edge:?}");
                    prop_assert!(ax.max(bx) < layout.width && ay.max(by) < layout.height);
                    let piece = Rect {
                        x: ax.min(bx),
                        y: ay.min(by),
                        width: ax.abs_diff(bx),
                        height: ay.abs_diff(by),
                    };
                    for rect in &layout.boxes {
                        let inner = Rect { x: rect.x + 1, y: rect.y + 1, width: rect.width - 2, height: rect.height - 2 };
                        let thick = Rect { width: piece.width + 1, height: piece.height + 1, ..piece };
                        prop_assert!(!overlap(thick, inner), "{edge:?} crosses {rect:?}");
                    }
                    if ax == bx && ay != by {
                        pieces.push((nth, piece));
                    }
                }
                // It begins at its row, and ends at the title that it leads to.
                let first = edge.points[0];
                let (from, to) = (layout.boxes[edge.node], layout.boxes[edge.to]);
                prop_assert_eq!(first.1, row_y(from, edge.row));
                prop_assert!(first.0 == from.x || first.0 == from.x + from.width);
                let last = edge.points[edge.points.len() - 1];
                prop_assert!(last.1 > to.y && last.1 < to.y + TITLE);
                prop_assert!(last.0 == to.x || last.0 == to.x + to.width);
            }
            // Vertical pieces of different lines do not lie upon each other.
            for (at, (nth, one)) in pieces.iter().enumerate() {
                for (other_nth, other) in &pieces[..at] {
                    let thick = Rect { width: 1, ..*one };
                    prop_assert!(nth == other_nth || !overlap(thick, Rect { width: 1, ..*other }), "{one:?} {other:?}");
                }
            }
        }
    }

    #[test]
    fn texts_fit_into_their_boxes() {
        let mut drawing = Drawing::default();
        let node = drawing.add(&drawing::CRED, "", Column::First);
        let words = crate::output::Words::from("网".repeat(100).into_bytes());
        drawing.row(node, Row::field("cap_effective", words).key("caps="));
        let layout = make(&drawing);
        assert_eq!(
            width(&shown(&drawing, &drawing.nodes[0].rows[0])),
            VALUE - 1
        );
        let value_end = layout.parts[0].value + VALUE * CHARACTER;
        assert!(
            value_end + "caps=".len() * CHARACTER <= layout.parts[0].key_end + BETWEEN * CHARACTER
        );
    }
}
