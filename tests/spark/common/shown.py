"""SQL that turns Spark's values into text, in the one form that every script stores: timestamps as microseconds, dates as days,
bytes in hexadecimal."""

from pyspark.sql import types


def scalar(value, data_type):
    """SQL that turns a scalar into text."""
    match data_type:
        case types.BinaryType():
            return f"hex({value})"
        case types.DateType():
            return f"cast(unix_date({value}) as string)"
        case types.TimestampType():
            return f"cast(unix_micros({value}) as string)"
        case types.TimestampNTZType():
            return f"cast(unix_micros(cast(concat({value}, 'Z') as timestamp)) as string)"
        case _:
            return f"cast({value} as string)"


def shown(value, data_type, scalar=scalar, depth=0):
    """SQL that turns every scalar inside a value into text, by `scalar(value, type)`."""

    def inside(inner, inner_type):
        return shown(inner, inner_type, scalar, depth + 1)

    inner = f"v{depth}"
    match data_type:
        case types.StructType():
            parts = [f"'{f.name}', {shown(f'{value}.`{f.name}`', f.dataType, scalar, depth)}" for f in data_type.fields]
            return f"if({value} is null, null, named_struct({', '.join(parts)}))"
        case types.ArrayType():
            return f"transform({value}, {inner} -> {inside(inner, data_type.elementType)})"
        case types.MapType():
            key, of_key = inside(f"{inner}.key", data_type.keyType), inside(f"{inner}.value", data_type.valueType)
            return f"transform(map_entries({value}), {inner} -> named_struct('k', {key}, 'v', {of_key}))"
        case _:
            return scalar(value, data_type)
