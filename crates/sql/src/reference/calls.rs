//! What the planner handles by name: windows, aggregates, generators and functions of lambdas.

use super::{Entry, Example};

/// Name, title and functions of the sections.
pub(super) const SECTIONS: &[(&str, &str, &[Entry])] = &[
    ("windows", "Windows", WINDOWS),
    ("aggregates", "Aggregates", AGGREGATES),
    ("generators", "Generators", GENERATORS),
    ("lambdas", "Functions of lambdas", LAMBDAS),
];

const fn of(name: &'static str, usage: &'static str, about: &'static str, example: Example) -> Entry {
    Entry { name, aliases: &[], usage, about, example }
}

const fn known_as(aliases: &'static [&'static str], entry: Entry) -> Entry {
    Entry { aliases, ..entry }
}

/// An example over a column `x`.
const fn x(items: &'static str, rows: &'static str) -> Example {
    Example::Rows { items, rows: (rows, "x") }
}

/// An example over columns `y` and `x`.
const fn yx(items: &'static str, rows: &'static str) -> Example {
    Example::Rows { items, rows: (rows, "y, x") }
}

/// Four points near a line, as `y, x`.
const POINTS: &str = "array(struct(1, 1), struct(3, 2), struct(4, 3), struct(8, 4))";

const WINDOWS: &[Entry] = &[
    of(
        "window",
        "window(time, width[, slide[, start]])",
        "The windows of a time: a STRUCT of `start` and `end`. As a key it groups rows by window; with a slide, a row is in \
         several windows. Durations are texts such as `'10 seconds'`.",
        Example::Text("SELECT window, count(*) FROM events GROUP BY window(ts, '10 seconds', '5 seconds')"),
    ),
    of(
        "session_window",
        "session_window(time, gap)",
        "Sessions: a row's is from its time until the gap has passed, and those of a key that meet are one. A STRUCT of `start` and \
         `end`, as a key beside others. The gap is a text such as `'5 minutes'`; it may depend on the row.",
        Example::Text("SELECT session_window, k, count(*) FROM events GROUP BY session_window(ts, '5 minutes'), k"),
    ),
    of(
        "window_time",
        "window_time(window)",
        "The last microsecond of a window of a subquery, so that windows can be grouped by larger windows.",
        Example::Text(
            "SELECT window_time(window) AS t, n FROM (SELECT window, count(*) AS n FROM events \
                       GROUP BY window(ts, '1 minute'))",
        ),
    ),
];

const AGGREGATES: &[Entry] = &[
    of(
        "count",
        "count(*), count(x, …)",
        "The number of rows, or of those in which no argument is NULL. Never NULL.",
        x("count(*), count(x)", "array(1, 2, NULL)"),
    ),
    of(
        "count_if",
        "count_if(condition)",
        "The number of rows for which the condition is true.",
        x("count_if(x > 1)", "array(1, 2, 3)"),
    ),
    of(
        "sum",
        "sum(x)",
        "The sum: BIGINT for integers, DOUBLE for FLOAT and DOUBLE, DECIMAL(p + 10, s) for DECIMAL(p, s), INTERVAL for \
         intervals. NULL if all values are NULL. An overflow ends the query.",
        x("sum(x)", "array(1, 2, NULL)"),
    ),
    of(
        "try_sum",
        "try_sum(x)",
        "As sum, but NULL where the sum overflows.",
        x("try_sum(x)", "array(9223372036854775807, 1)"),
    ),
    known_as(
        &["mean"],
        of(
            "avg",
            "avg(x)",
            "The mean: DOUBLE, or DECIMAL(p + 4, s + 4) for DECIMAL(p, s).",
            x("avg(x)", "array(1, 2, 4)"),
        ),
    ),
    of("try_avg", "try_avg(x)", "As avg, but NULL where the sum overflows.", x("try_avg(x)", "array(1, 2)")),
    of("min", "min(x)", "The least value, of any type but MAP. NaN is the greatest.", x("min(x)", "array(3, 1, NULL)")),
    of(
        "max",
        "max(x)",
        "The greatest value, of any type but MAP. NaN is the greatest.",
        x("max(x)", "array(3, 1, NULL)"),
    ),
    of(
        "min_by",
        "min_by(x, order)",
        "`x` of the row with the least `order`. Rows with a NULL `order` do not count.",
        yx("min_by(y, x)", "array(struct('a', 3), struct('b', 1))"),
    ),
    of(
        "max_by",
        "max_by(x, order)",
        "`x` of the row with the greatest `order`. Rows with a NULL `order` do not count.",
        yx("max_by(y, x)", "array(struct('a', 3), struct('b', 1))"),
    ),
    of(
        "grouping",
        "grouping(key)",
        "With ROLLUP, CUBE and GROUPING SETS: 1 where the row's set of keys lacks this one, else 0.",
        Example::Text("SELECT k, grouping(k) AS g, count(*) FROM events GROUP BY ROLLUP(k)"),
    ),
    of(
        "grouping_id",
        "grouping_id([key, …])",
        "The bits of `grouping` of all keys as a number, that of the first key in front.",
        Example::Text("SELECT k, j, grouping_id() AS id, count(*) FROM events GROUP BY CUBE(k, j)"),
    ),
    known_as(
        &["first_value", "any_value"],
        of(
            "first",
            "first(x[, ignore_nulls])",
            "The value of the first row; with IGNORE NULLS or `true`, the first that is not NULL. Rows are ordered by \
             batch, topic, partition and offset.",
            x("first(x), first(x, true)", "array(NULL, 1, 2)"),
        ),
    ),
    known_as(
        &["last_value"],
        of(
            "last",
            "last(x[, ignore_nulls])",
            "The value of the last row, as first has that of the first.",
            x("last(x), last(x, true)", "array(1, 2, NULL)"),
        ),
    ),
    known_as(
        &["every"],
        of("bool_and", "bool_and(x)", "Whether all values are true.", x("bool_and(x)", "array(true, false, NULL)")),
    ),
    known_as(
        &["some", "any"],
        of("bool_or", "bool_or(x)", "Whether a value is true.", x("bool_or(x)", "array(true, false, NULL)")),
    ),
    of("bit_and", "bit_and(x)", "The bits that are set in all integers.", x("bit_and(x)", "array(3, 5)")),
    of("bit_or", "bit_or(x)", "The bits that are set in any of the integers.", x("bit_or(x)", "array(3, 5)")),
    of(
        "bit_xor",
        "bit_xor(x)",
        "The bits that are set in an odd number of the integers.",
        x("bit_xor(x)", "array(3, 5)"),
    ),
    known_as(
        &["stddev_samp", "std"],
        of(
            "stddev",
            "stddev(x)",
            "The standard deviation of a sample; NULL for one row.",
            x("stddev(x)", "array(1, 2, 4)"),
        ),
    ),
    of("stddev_pop", "stddev_pop(x)", "The standard deviation of a population.", x("stddev_pop(x)", "array(1, 2, 4)")),
    known_as(
        &["var_samp"],
        of(
            "variance",
            "variance(x)",
            "The variance of a sample; NULL for one row.",
            x("variance(x)", "array(1, 2, 4)"),
        ),
    ),
    of("var_pop", "var_pop(x)", "The variance of a population.", x("var_pop(x)", "array(1, 2, 4)")),
    of("skewness", "skewness(x)", "The skewness: how asymmetric the values are.", x("skewness(x)", "array(1, 2, 4)")),
    of(
        "kurtosis",
        "kurtosis(x)",
        "The excess kurtosis: how heavy the tails are; 0 for a normal distribution.",
        x("kurtosis(x)", "array(1, 2, 4)"),
    ),
    of("corr", "corr(y, x)", "Pearson's correlation of two numbers.", yx("corr(y, x)", POINTS)),
    of("covar_pop", "covar_pop(y, x)", "The covariance of a population.", yx("covar_pop(y, x)", POINTS)),
    of("covar_samp", "covar_samp(y, x)", "The covariance of a sample.", yx("covar_samp(y, x)", POINTS)),
    of(
        "regr_count",
        "regr_count(y, x)",
        "The number of rows in which neither is NULL.",
        yx("regr_count(y, x)", POINTS),
    ),
    of("regr_avgx", "regr_avgx(y, x)", "The mean of `x` where neither is NULL.", yx("regr_avgx(y, x)", POINTS)),
    of("regr_avgy", "regr_avgy(y, x)", "The mean of `y` where neither is NULL.", yx("regr_avgy(y, x)", POINTS)),
    of("regr_sxx", "regr_sxx(y, x)", "The sum of squares of `x` about its mean.", yx("regr_sxx(y, x)", POINTS)),
    of("regr_syy", "regr_syy(y, x)", "The sum of squares of `y` about its mean.", yx("regr_syy(y, x)", POINTS)),
    of("regr_sxy", "regr_sxy(y, x)", "The sum of products about the means.", yx("regr_sxy(y, x)", POINTS)),
    of("regr_slope", "regr_slope(y, x)", "The slope of the line of least squares.", yx("regr_slope(y, x)", POINTS)),
    of(
        "regr_intercept",
        "regr_intercept(y, x)",
        "Where the line of least squares meets `x` = 0.",
        yx("regr_intercept(y, x)", POINTS),
    ),
    of(
        "regr_r2",
        "regr_r2(y, x)",
        "The share of the variance of `y` that the line explains.",
        yx("regr_r2(y, x)", POINTS),
    ),
    of(
        "approx_count_distinct",
        "approx_count_distinct(x[, error])",
        "An estimate of the number of distinct values, the same as Spark's (HyperLogLog++). `error` is a constant from \
         0.0022 to 0.39; the default is 0.05.",
        x("approx_count_distinct(x)", "array(1, 1, 2, 3)"),
    ),
    known_as(
        &["array_agg"],
        of(
            "collect_list",
            "collect_list(x)",
            "An array of the values that are not NULL, in row order.",
            x("collect_list(x)", "array(1, 2, NULL, 1)"),
        ),
    ),
    of(
        "collect_set",
        "collect_set(x)",
        "As collect_list, each value once.",
        x("collect_set(x)", "array(1, 2, NULL, 1)"),
    ),
    of(
        "percentile",
        "percentile(x, share[, frequency])",
        "The value at a share of the sorted values, interpolated. `share` is a constant or an array of constants.",
        x("percentile(x, 0.5), percentile(x, array(0.25, 0.75))", "array(1, 2, 4, 8)"),
    ),
    of("median", "median(x)", "The value in the middle: percentile(x, 0.5).", x("median(x)", "array(1, 2, 4, 8)")),
    known_as(
        &["approx_percentile"],
        of(
            "percentile_approx",
            "percentile_approx(x, share[, accuracy])",
            "A value at a share of the sorted values; here the exact one.",
            x("percentile_approx(x, 0.5)", "array(1, 2, 4, 8)"),
        ),
    ),
    of(
        "percentile_cont",
        "percentile_cont(share) WITHIN GROUP (ORDER BY x [DESC])",
        "percentile(x, share), from the greatest value on with DESC.",
        x("percentile_cont(0.25) WITHIN GROUP (ORDER BY x DESC)", "array(1, 2, 4, 8)"),
    ),
    of(
        "percentile_disc",
        "percentile_disc(share) WITHIN GROUP (ORDER BY x [DESC])",
        "The first value, in the order, that so large a share of the values does not come behind. A DOUBLE.",
        x("percentile_disc(0.5) WITHIN GROUP (ORDER BY x)", "array(1, 2, 4, 8)"),
    ),
    of(
        "mode",
        "mode(x), mode() WITHIN GROUP (ORDER BY x [DESC])",
        "The most frequent value; of several the least, or the greatest with DESC.",
        x("mode(x), mode() WITHIN GROUP (ORDER BY x DESC)", "array(2, 1, 2, 1)"),
    ),
    known_as(
        &["string_agg"],
        of(
            "listagg",
            "listagg(text[, separator]) [WITHIN GROUP (ORDER BY key [DESC] [NULLS LAST], …)]",
            "The texts joined in row order, or in an order of their own.",
            x("listagg(x, ', '), listagg(x) WITHIN GROUP (ORDER BY x DESC)", "array('a', 'b', NULL)"),
        ),
    ),
    of(
        "histogram_numeric",
        "histogram_numeric(x, bins)",
        "An array of `{x, y}`: a centre, and the number of values near it.",
        x("histogram_numeric(x, 2)", "array(1, 2, 10)"),
    ),
];

const GENERATORS: &[Entry] = &[
    known_as(
        &["explode_outer"],
        of(
            "explode",
            "explode(array), explode(map)",
            "A row for each element, in the column `col`, or for each entry, in `key` and `value`. The `_outer` form keeps \
             a row whose array is empty or NULL, as LATERAL VIEW OUTER does.",
            Example::Text("SELECT id, tag FROM events LATERAL VIEW explode(tags) AS tag"),
        ),
    ),
    known_as(
        &["posexplode_outer"],
        of(
            "posexplode",
            "posexplode(array), posexplode(map)",
            "As explode, with the place of the element, from 0, in the column `pos`.",
            Example::Text("SELECT id, posexplode(tags) AS (place, tag) FROM events"),
        ),
    ),
    known_as(
        &["inline_outer"],
        of(
            "inline",
            "inline(array of structs)",
            "A row for each struct, with a column for each of its fields.",
            Example::Text("SELECT id, inline(items) FROM orders"),
        ),
    ),
    of(
        "stack",
        "stack(rows, value, …)",
        "The values in so many rows, in the columns `col0`, `col1` and so on.",
        Example::Text("SELECT id, stack(2, 'read', reads, 'written', writes) AS (kind, n) FROM disks"),
    ),
    of(
        "json_tuple",
        "json_tuple(text, field, …)",
        "One row with the fields of a JSON object as STRINGs, in the columns `c0`, `c1` and so on.",
        Example::Text("SELECT json_tuple(payload, 'user', 'action') AS (user, action) FROM events"),
    ),
];

const LAMBDAS: &[Entry] = &[
    of(
        "transform",
        "transform(array, x -> …), transform(array, (x, i) -> …)",
        "The array with each element replaced. The second parameter is the index, from 0.",
        Example::Constant("transform(array(1, 2), (x, i) -> x * 10 + i)"),
    ),
    of(
        "filter",
        "filter(array, x -> …), filter(array, (x, i) -> …)",
        "The elements for which the body is true.",
        Example::Constant("filter(array(1, 2, 3), x -> x % 2 = 1)"),
    ),
    of(
        "exists",
        "exists(array, x -> …)",
        "Whether the body is true for an element.",
        Example::Constant("exists(array(1, 2), x -> x > 1)"),
    ),
    of(
        "forall",
        "forall(array, x -> …)",
        "Whether the body is true for every element.",
        Example::Constant("forall(array(1, 2), x -> x > 1)"),
    ),
    known_as(
        &["reduce"],
        of(
            "aggregate",
            "aggregate(array, start, (sum, x) -> …[, sum -> …])",
            "Folds the elements into one value, and finishes it.",
            Example::Constant("aggregate(array(1, 2, 3), 0, (sum, x) -> sum + x, sum -> sum * 10)"),
        ),
    ),
    of(
        "zip_with",
        "zip_with(array, array, (x, y) -> …)",
        "Two arrays element by element; the shorter one is filled up with NULL.",
        Example::Constant("zip_with(array(1, 2), array(10, 20), (x, y) -> x + y)"),
    ),
    of(
        "array_sort",
        "array_sort(array, (l, r) -> …)",
        "The array in the order of a comparison that gives a negative number, 0 or a positive one.",
        Example::Constant("array_sort(array(1, 3, 2), (l, r) -> r - l)"),
    ),
    of(
        "transform_keys",
        "transform_keys(map, (k, v) -> …)",
        "The map with each key replaced.",
        Example::Constant("transform_keys(map(1, 'a'), (k, v) -> k + 1)"),
    ),
    of(
        "transform_values",
        "transform_values(map, (k, v) -> …)",
        "The map with each value replaced.",
        Example::Constant("transform_values(map(1, 'a'), (k, v) -> v || k)"),
    ),
    of(
        "map_filter",
        "map_filter(map, (k, v) -> …)",
        "The entries for which the body is true.",
        Example::Constant("map_filter(map(1, 'a', 2, 'b'), (k, v) -> k > 1)"),
    ),
    of(
        "map_zip_with",
        "map_zip_with(map, map, (k, v, w) -> …)",
        "Two maps key by key; a missing value is NULL.",
        Example::Constant("map_zip_with(map(1, 'a'), map(1, 'b'), (k, v, w) -> v || w)"),
    ),
];
