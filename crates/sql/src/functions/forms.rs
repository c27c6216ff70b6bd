//! Functions whose calls the planner turns into other expressions (`analyze/calls.rs`). They have no kernel.

use super::{Function, Param};

pub(super) const FORM: Function = Function { params: &[Param::Any], form: true, ..Function::BLANK };

const PAIR: Function = Function { params: &[Param::Any, Param::Any], required: 2, ..FORM };

pub(super) const NOTHING: Function = Function { params: &[], required: 0, ..FORM };

pub(super) const CHOICES: &[Function] = &[
    Function {
        name: "if",
        aliases: &["iff"],
        usage: "if(condition, value, otherwise)",
        about: "The value where the condition is true, else the other one.",
        example: "if(1 < 2, 'a', 'b')",
        params: &[Param::Boolean, Param::Any, Param::Any],
        required: 3,
        ..FORM
    },
    Function {
        name: "coalesce",
        usage: "coalesce(value, …)",
        about: "The first value that is not NULL.",
        example: "coalesce(NULL, 1, NULL)",
        repeats: true,
        ..FORM
    },
    Function {
        name: "nvl",
        aliases: &["ifnull"],
        usage: "nvl(value, otherwise)",
        about: "The value, or the other one where it is NULL.",
        example: "nvl(NULL, 2)",
        ..PAIR
    },
    Function {
        name: "nvl2",
        usage: "nvl2(tested, value, otherwise)",
        about: "The second argument where the first is not NULL, else the third.",
        example: "nvl2(NULL, 2, 1)",
        params: &[Param::Any, Param::Any, Param::Any],
        required: 3,
        ..FORM
    },
    Function {
        name: "nullif",
        usage: "nullif(value, other)",
        about: "NULL where the two are equal, else the value.",
        example: "nullif(2, 2)",
        ..PAIR
    },
    Function {
        name: "equal_null",
        usage: "equal_null(value, other)",
        about: "Whether two values are equal, NULL being equal to NULL: the operator `<=>`.",
        example: "equal_null(NULL, NULL)",
        ..PAIR
    },
    Function {
        name: "nullifzero",
        usage: "nullifzero(number)",
        about: "NULL for zero, else the number.",
        example: "nullifzero(0)",
        ..FORM
    },
    Function {
        name: "zeroifnull",
        usage: "zeroifnull(number)",
        about: "Zero for NULL, else the number.",
        example: "zeroifnull(NULL)",
        ..FORM
    },
    Function {
        name: "isnull",
        usage: "isnull(value)",
        about: "Whether the value is NULL.",
        example: "isnull(1)",
        ..FORM
    },
    Function {
        name: "isnotnull",
        usage: "isnotnull(value)",
        about: "Whether the value is not NULL.",
        example: "isnotnull(1)",
        ..FORM
    },
];

pub(super) const CONVERSIONS: &[Function] = &[
    TYPEOF,
    cast("boolean", "boolean(value)", "CAST(value AS BOOLEAN)", "boolean('yes')"),
    cast("tinyint", "tinyint(value)", "CAST(value AS TINYINT)", "tinyint('12')"),
    cast("smallint", "smallint(value)", "CAST(value AS SMALLINT)", "smallint('12')"),
    cast("int", "int(value)", "CAST(value AS INT)", "int('12')"),
    cast("bigint", "bigint(value)", "CAST(value AS BIGINT)", "bigint('12')"),
    cast("float", "float(value)", "CAST(value AS FLOAT)", "float('1.5')"),
    cast("double", "double(value)", "CAST(value AS DOUBLE)", "double('1.5')"),
    cast("decimal", "decimal(value)", "CAST(value AS DECIMAL(10,0))", "decimal('12')"),
    cast("string", "string(value)", "CAST(value AS STRING)", "string(12)"),
    cast("binary", "binary(value)", "CAST(value AS BINARY)", "binary('Spark')"),
    cast("date", "date(value)", "CAST(value AS DATE)", "date('2024-02-29')"),
    cast("timestamp", "timestamp(value)", "CAST(value AS TIMESTAMP)", "timestamp('2024-02-29 12:00:00')"),
];

const TYPEOF: Function = Function {
    name: "typeof",
    usage: "typeof(value)",
    about: "The value's type, as Spark writes it.",
    example: "typeof(1L + 1)",
    ..FORM
};

const fn cast(name: &'static str, usage: &'static str, about: &'static str, example: &'static str) -> Function {
    Function { name, usage, about, example, ..FORM }
}

pub(super) const TIMES: &[Function] = &[
    Function {
        name: "current_timestamp",
        aliases: &["now"],
        usage: "current_timestamp()",
        about: "The batch's timestamp: the same for all of its rows, also when the batch is run again.",
        example: "current_timestamp() IS NOT NULL",
        ..NOTHING
    },
    Function {
        name: "localtimestamp",
        usage: "localtimestamp()",
        about: "The batch's timestamp as the session's clock shows it: a TIMESTAMP_NTZ.",
        example: "localtimestamp() IS NOT NULL",
        ..NOTHING
    },
    Function {
        name: "current_date",
        aliases: &["curdate"],
        usage: "current_date()",
        about: "The date of the batch's timestamp in the session's time zone.",
        example: "current_date() IS NOT NULL",
        ..NOTHING
    },
    Function {
        name: "dateadd",
        usage: "dateadd(date, days), dateadd(unit, count, time)",
        about: "The same as date_add, and with a unit as timestampadd.",
        example: "dateadd(DATE '2016-07-30', 1)",
        params: &[Param::Any, Param::Any, Param::Any],
        required: 2,
        ..FORM
    },
    Function {
        name: "current_timezone",
        usage: "current_timezone()",
        about: "The session's time zone.",
        example: "current_timezone()",
        ..NOTHING
    },
    Function {
        name: "extract",
        aliases: &["date_part", "datepart"],
        usage: "extract(field FROM time)",
        about: "A part of a time: YEAR, QUARTER, MONTH, WEEK, DAY, DOW, DOY, HOUR, MINUTE or SECOND.",
        example: "extract(YEAR FROM DATE '2024-02-29')",
        ..PAIR
    },
];
