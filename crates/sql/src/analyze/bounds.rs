//! How large an expression may become. The parser bounds the text's depth, but a subquery's column stands for its expression,
//! and some forms compute an operand twice (`x BETWEEN a AND b`, `nullif(x, y)`): a short text could make an expression of any
//! size. What walks the tree does it by recursion, so depth is bounded as well: see `syntax/depth.rs`.

use crate::expr::Expr;
use crate::syntax::Fault;
use std::ops::Range;

/// Parts of an expression. Constants do not count: IN takes any number of values.
const PARTS_MAX: usize = 10_000;

/// Parts inside of one another: as deep as the parser lets a text without subqueries be.
const DEPTH_MAX: usize = 2_000;

/// Refuses an expression that is too large. It is looked at as soon as it is made, so that a larger one is never made of it.
pub(super) fn check(expr: &Expr, at: &Range<usize>) -> Result<(), Fault> {
    match fits(expr, DEPTH_MAX, &mut PARTS_MAX.clone()) {
        true => Ok(()),
        false => {
            let help = "a column of a subquery, and x in `x BETWEEN a AND b` and the like, counts each time it is used; split it";
            Err(Fault::new(at.clone(), "the expression is too large", help))
        }
    }
}

fn fits(expr: &Expr, depth: usize, parts: &mut usize) -> bool {
    if matches!(expr, Expr::Literal(..)) {
        return true;
    }
    if depth == 0 || *parts == 0 {
        return false;
    }
    *parts -= 1;
    let mut fit = true;
    expr.children(&mut |child| fit = fit && fits(child, depth - 1, parts));
    fit
}
