//! How large an expression may become. The parser bounds the text's depth, but a subquery's column stands for its expression,
//! and some forms compute an operand twice (`x BETWEEN a AND b`, `nullif(x, y)`): a short text could make an expression of any
//! size. What walks the tree does it by recursion, so depth is bounded as well: see `syntax/depth.rs`. So are types, which grow
//! with each `array(x)` or `struct(x, x)` through subqueries, also where the expression does not.

use crate::expr::Expr;
use crate::syntax::Fault;
use arrow_schema::DataType;
use std::ops::Range;

/// Parts of an expression. Constants do not count: IN takes any number of values.
const PARTS_MAX: usize = 10_000;

/// Parts inside of one another: as deep as the parser lets a text without subqueries be.
const DEPTH_MAX: usize = 2_000;

/// Types inside of one another, as deep as the parser lets a written one be.
const TYPE_DEPTH_MAX: usize = 100;

/// Types in a type, it among them.
const TYPE_PARTS_MAX: usize = 10_000;

/// Expressions that a query's clauses may read, one as often as it is read. Some calls look at their arguments before they say
/// what they are.
const READ_MAX: usize = 1_000_000;

/// The size of an expression; of a column, that of what it stands for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Size {
    parts: usize,
    depth: usize,
}

impl Size {
    const ONE: Size = Size { parts: 1, depth: 1 };

    /// The greater of each.
    pub fn max(self, other: Size) -> Size {
        Size { parts: self.parts.max(other.parts), depth: self.depth.max(other.depth) }
    }

    fn fits(self) -> bool {
        self.parts <= PARTS_MAX && self.depth <= DEPTH_MAX
    }
}

/// Refuses an expression that is too large, with its columns as large as `sizes` says. It is looked at as soon as it is made,
/// so that a larger one is never made of it.
pub(super) fn check(expr: &Expr, at: &Range<usize>, sizes: &[Size]) -> Result<(), Fault> {
    if !size(expr, sizes).fits() {
        let help =
            "a column of a subquery, and x in `x BETWEEN a AND b` and the like, counts each time it is used; split it";
        return Err(Fault::new(at.clone(), "the expression is too large", help));
    }
    if !is_small(&expr.data_type(), TYPE_DEPTH_MAX, &mut TYPE_PARTS_MAX.clone()) {
        let help = "types are at most 100 deep and hold at most 10,000 others; nest fewer arrays, maps and structs";
        return Err(Fault::new(at.clone(), "the type of the expression is nested too deeply or too large", help));
    }
    Ok(())
}

/// Whether a type is no deeper than `depth` and has no more parts than are left.
fn is_small(data_type: &DataType, depth: usize, parts: &mut usize) -> bool {
    if *parts == 0 {
        return false;
    }
    *parts -= 1;
    match data_type {
        DataType::List(_) | DataType::Struct(_) | DataType::Map(..) if depth == 0 => false,
        DataType::List(element) => is_small(element.data_type(), depth - 1, parts),
        DataType::Struct(fields) => fields.iter().all(|field| is_small(field.data_type(), depth - 1, parts)),
        // The STRUCT of key and value is no level of its own.
        DataType::Map(entries, _) => is_small(entries.data_type(), depth, parts),
        _ => true,
    }
}

/// Counts an expression that is read. Refuses it if there were too many.
pub(super) fn count(read: &mut usize, at: &Range<usize>) -> Result<(), Fault> {
    *read += 1;
    match *read <= READ_MAX {
        true => Ok(()),
        false => Err(Fault::new(at.clone(), "the query is too large", "nest fewer calls in one another")),
    }
}

/// The size of an expression whose columns have these sizes. One that is too large is not looked at to its end.
pub(super) fn size(expr: &Expr, sizes: &[Size]) -> Size {
    let mut found = Size::default();
    add(expr, 1, sizes, &mut found);
    found
}

fn add(expr: &Expr, depth: usize, sizes: &[Size], found: &mut Size) {
    let own = match expr {
        Expr::Literal(..) => return,
        Expr::Column(number, _) => sizes.get(*number).copied().unwrap_or(Size::ONE),
        _ => Size::ONE,
    };
    found.parts += own.parts;
    found.depth = found.depth.max(depth - 1 + own.depth);
    expr.children(&mut |child| {
        if found.fits() {
            add(child, depth + 1, sizes, found);
        }
    });
}
