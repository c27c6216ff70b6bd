//! Prepares the arguments of array and map functions before a kernel sees them: elements, keys and values get a common
//! type, as in Spark; a constant NULL becomes an empty array or map type.

use super::coerce::{self, CommonType, SpannedExpr, cast_to};
use super::resolve::Resolver;
use crate::expr::Expr;
use crate::functions::collections::{element_type, index_type};
use crate::functions::{self, Function};
use crate::syntax::{Call, Fault, Literal, Node, NodeKind};
use crate::types;
use crate::value::Value;
use arrow_schema::{DataType, Field, Fields};
use std::ops::Range;

impl Resolver<'_> {
    /// `struct(a, b.c, 1, x AS y)`: fields `a`, `c`, `col3` and `y`.
    pub(super) fn struct_of(&mut self, call: &Call, at: &Range<usize>) -> Result<Expr, Fault> {
        let mut arguments = Vec::new();
        for (place, node) in call.arguments.iter().enumerate() {
            let name = field_name(call, place, node);
            arguments.push((Expr::Literal(Value::String(name), DataType::Utf8), node.at.clone()));
            arguments.push(self.placed(node)?);
        }
        self.apply_named("named_struct", arguments, at)
    }

    /// Selects the function by the arguments' types, and converts the arguments.
    pub(super) fn collection_call(
        &self,
        function: &'static Function,
        name: &str,
        arguments: Vec<SpannedExpr>,
        at: &Range<usize>,
    ) -> Result<(&'static Function, Vec<SpannedExpr>), Fault> {
        let is_array = |(value, _): &SpannedExpr| matches!(value.data_type(), DataType::List(_));
        let given = CallArguments { name, arguments, at };
        let arguments = match function.name {
            "concat" if given.arguments.iter().any(is_array) => {
                return Ok((
                    named("concat arrays"),
                    given.not_null()?.of_one_type(types::wider, types::array(DataType::Null))?,
                ));
            }
            "nanvl" if given.are_floats() => {
                let as_float = |(value, at): SpannedExpr| (cast_to(value, &DataType::Float32), at);
                return Ok((named("nanvl of floats"), given.arguments.into_iter().map(as_float).collect()));
            }
            "reverse" if given.arguments.iter().any(is_array) => return Ok((named("reverse array"), given.arguments)),
            "array" => self.array(given)?,
            "map" => self.map(given)?,
            "array_append" | "array_prepend" | "array_remove" | "array_position" | "array_contains" => {
                given.array_and_value(1)?
            }
            "array_insert" => given.with_place()?.array_and_value(2)?,
            "get" => given.with_array_or_null(0)?.with_any_place(),
            "array_union" | "array_intersect" | "array_except" | "arrays_overlap" => {
                given.not_null()?.orderable_arrays()?.of_one_type(types::tightest, types::array(DataType::Null))?
            }
            "sort_array" => given.with_constant_order()?.orderable_arrays()?.arguments,
            "array_distinct" | "array_max" | "array_min" | "array_sort" => given.orderable_arrays()?.arguments,
            "array_compact" | "array_size" | "slice" => given.with_array_or_null(0)?.arguments,
            "array_repeat" => given.with_count()?,
            "size" => given.with_collection(),
            "array_join" => given.array_of_texts()?,
            "flatten" => given.array_of_arrays()?,
            "map_concat" => {
                given.not_null()?.maps()?.of_one_type(types::wider, types::map(DataType::Null, DataType::Null))?
            }
            "map_keys" | "map_values" | "map_entries" => given.maps()?.arguments,
            "map_contains_key" | "element_at" | "try_element_at" => given.with_key()?,
            "map_from_arrays" => given.keys_and_values()?,
            "map_from_entries" => given.array_of_entries()?,
            _ => given.arguments,
        };
        Ok((function, arguments))
    }

    fn array(&self, given: CallArguments) -> Result<Vec<SpannedExpr>, Fault> {
        let places: Vec<_> = given.arguments.iter().map(|(_, at)| at.clone()).collect();
        let (values, _) = coerce::unify(given.arguments, self.scope.zone, "an ARRAY cannot hold")?;
        Ok(values.into_iter().zip(places).collect())
    }

    /// `map(key, value, …)`.
    fn map(&self, given: CallArguments) -> Result<Vec<SpannedExpr>, Fault> {
        if given.arguments.len() & 1 == 1 {
            let message = format!("`map` takes pairs of a key and a value, not {} arguments", given.arguments.len());
            return Err(Fault::new(given.at.clone(), message, "write map(key, value, …)"));
        }
        let mut sides: [Vec<SpannedExpr>; 2] = [Vec::new(), Vec::new()];
        for (number, argument) in given.arguments.into_iter().enumerate() {
            sides[number & 1].push(argument);
        }
        let [keys, values] = sides;
        let unify = |side: Vec<SpannedExpr>, what: &str| {
            let places: Vec<_> = side.iter().map(|(_, at)| at.clone()).collect();
            let (values, data_type) = coerce::unify(side, self.scope.zone, what)?;
            Ok((values.into_iter().zip(places), data_type))
        };
        let (keys, key_type) = unify(keys, "a MAP cannot have keys of")?;
        check_key(&key_type, given.at)?;
        let (values, _) = unify(values, "a MAP cannot have values of")?;
        Ok(keys.zip(values).flat_map(|(key, value)| [key, value]).collect())
    }

    /// `arrays_zip(a, b, …)`: an array of structs whose members are named like the arguments, or numbered.
    pub(super) fn arrays_zip(&mut self, call: &Call, at: &Range<usize>) -> Result<Expr, Fault> {
        let mut names = Vec::new();
        for (number, node) in call.arguments.iter().enumerate() {
            names.push(match &node.kind {
                NodeKind::Name(parts) => parts.last().expect("a name has parts").name.clone(),
                NodeKind::Field(_, field) => field.name.clone(),
                NodeKind::Index(map, key) => name_by_key(&self.resolve(map)?.data_type(), key, number)?,
                _ => number.to_string(),
            });
        }
        let arguments = call.arguments.iter().map(|node| self.placed(node)).collect::<Result<_, _>>()?;
        let mut given = CallArguments { name: "arrays_zip", arguments, at };
        for number in 0..names.len() {
            given = given.with_array_or_null(number)?;
        }
        let arguments: Vec<Expr> = given.arguments.into_iter().map(|(value, _)| value).collect();
        let element = |value: &Expr| element_type(&value.data_type()).expect("an array");
        let fields: Fields = names.iter().zip(&arguments).map(|(name, x)| Field::new(name, element(x), true)).collect();
        Ok(Expr::Call(named("arrays_zip"), arguments, types::array(DataType::Struct(fields))))
    }
}

/// The name of `map[key]` in `arrays_zip`: the key. Spark fails at any key but a text that is written there.
fn name_by_key(map: &DataType, key: &Node, number: usize) -> Result<String, Fault> {
    match (map, &key.kind) {
        (DataType::Map(..), NodeKind::Literal(Literal::String(text))) if index_type(map) == Some(DataType::Utf8) => {
            Ok(text.clone())
        }
        (DataType::Map(..), _) => {
            let message = "`arrays_zip` names a MAP's value by its key, so the key is a constant STRING";
            Err(Fault::new(key.at.clone(), message, "take the value in a subquery, under a name"))
        }
        _ => Ok(number.to_string()),
    }
}

/// A key with the entries of its maps sorted by key: Spark groups by that.
pub(super) fn sorted(key: Expr) -> Expr {
    let data_type = key.data_type();
    if types::is_orderable(&data_type) { key } else { Expr::Call(named("sorted maps"), vec![key], data_type) }
}

fn named(name: &str) -> &'static Function {
    functions::find(name).expect("a function of the table")
}

/// Refuses a type that keys cannot have.
fn check_key(key: &DataType, at: &Range<usize>) -> Result<(), Fault> {
    if types::is_orderable(key) {
        return Ok(());
    }
    let message = format!("a MAP's keys cannot be of type {}", types::name(key));
    Err(Fault::new(at.clone(), message, "a key is anything without a MAP inside"))
}

/// A call's arguments, partly converted.
struct CallArguments<'a> {
    name: &'a str,
    arguments: Vec<SpannedExpr>,
    at: &'a Range<usize>,
}

impl CallArguments<'_> {
    fn wrong(&self, number: usize, wanted: &str) -> Fault {
        let (value, at) = &self.arguments[number];
        let given = types::name(&value.data_type());
        let message = format!("`{}` takes {wanted} as argument {}, not {given}", self.name, number + 1);
        Fault::new(at.clone(), message, "give it another argument")
    }

    fn data_type(&self, number: usize) -> DataType {
        self.arguments[number].0.data_type()
    }

    /// Whether the first is a FLOAT, and the others are FLOATs or NULL.
    fn are_floats(&self) -> bool {
        let of_float = |t: &DataType| *t == DataType::Float32 || t.is_null();
        self.data_type(0) == DataType::Float32 && self.arguments.iter().all(|(value, _)| of_float(&value.data_type()))
    }

    fn convert(&mut self, number: usize, to: &DataType) {
        let value = std::mem::replace(&mut self.arguments[number].0, Expr::Now);
        self.arguments[number].0 = cast_to(value, to);
    }

    /// Requires an ARRAY that is not a constant NULL.
    fn with_array(self, number: usize) -> Result<Self, Fault> {
        match self.data_type(number) {
            DataType::List(_) => Ok(self),
            _ => Err(self.wrong(number, "an ARRAY")),
        }
    }

    /// Requires an ARRAY; a constant NULL is accepted.
    fn with_array_or_null(mut self, number: usize) -> Result<Self, Fault> {
        if self.data_type(number).is_null() {
            self.convert(number, &types::array(DataType::Null));
        }
        self.with_array(number)
    }

    /// Requires that no argument is a constant NULL.
    fn not_null(self) -> Result<Self, Fault> {
        match (0..self.arguments.len()).find(|number| self.data_type(*number).is_null()) {
            Some(number) => Err(self.wrong(number, "a value of the others' type")),
            None => Ok(self),
        }
    }

    /// Converts the position argument of `array_insert`.
    fn with_place(self) -> Result<Self, Fault> {
        let place = self.data_type(1);
        match types::is_integral(&place) && place != DataType::Int64 {
            true => Ok(self),
            false => Err(self.wrong(1, "an INT")),
        }
    }

    /// Converts the position argument of `get`, which may have any integral type.
    fn with_any_place(mut self) -> Vec<SpannedExpr> {
        let place = self.data_type(1);
        if types::is_integral(&place) || place.is_null() {
            self.convert(1, &DataType::Int32);
        }
        self.arguments
    }

    /// Requires that the count is an INT, as in Spark.
    fn with_count(self) -> Result<Vec<SpannedExpr>, Fault> {
        match self.arguments.get(1).map(|_| self.data_type(1)) {
            None | Some(DataType::Int32 | DataType::Null) => Ok(self.arguments),
            Some(_) => Err(self.wrong(1, "an INT")),
        }
    }

    /// Requires that the order is a constant.
    fn with_constant_order(self) -> Result<Self, Fault> {
        match self.arguments.get(1) {
            None | Some((Expr::Literal(..), _)) => Ok(self),
            Some(_) => Err(self.wrong(1, "a constant")),
        }
    }

    /// Turns a constant NULL into an array.
    fn with_collection(mut self) -> Vec<SpannedExpr> {
        if self.data_type(0).is_null() {
            self.convert(0, &types::array(DataType::Null));
        }
        self.arguments
    }

    /// Requires arrays of comparable elements.
    fn orderable_arrays(mut self) -> Result<Self, Fault> {
        let arrays = if self.name == "sort_array" { 1 } else { self.arguments.len() };
        for number in 0..arrays {
            self = self.with_array_or_null(number)?;
            if !types::is_orderable(&self.data_type(number)) {
                return Err(self.wrong(number, "an ARRAY of values that have an order"));
            }
        }
        Ok(self)
    }

    /// Converts all arguments to their common type, which must be like `kind`.
    fn of_one_type(mut self, common: CommonType, kind: DataType) -> Result<Vec<SpannedExpr>, Fault> {
        let mut shared = kind;
        for number in 0..self.arguments.len() {
            let next = self.data_type(number);
            shared = common(&shared, &next).ok_or_else(|| {
                let message =
                    format!("`{}` cannot take both {} and {}", self.name, types::name(&shared), types::name(&next));
                Fault::new(self.arguments[number].1.clone(), message, coerce::way_to_one_type(&shared, &next))
            })?;
        }
        (0..self.arguments.len()).for_each(|number| self.convert(number, &shared));
        Ok(self.arguments)
    }

    /// Converts an array and a value to their common element type.
    fn array_and_value(self, value: usize) -> Result<Vec<SpannedExpr>, Fault> {
        let mut given = self.with_array(0)?;
        let element = element_type(&given.data_type(0)).expect("an array");
        let other = given.data_type(value);
        let common = if given.name == "array_contains" { types::common } else { types::tightest };
        let Some(shared) = common(&element, &other) else {
            let wanted = format!("a value of the array's element type, {},", types::name(&element));
            return Err(given.wrong(value, &wanted));
        };
        if other.is_null() && given.name == "array_contains" {
            return Err(given.wrong(value, "a value to look for"));
        }
        let compares = !["array_append", "array_prepend", "array_insert"].contains(&given.name);
        if compares && !types::is_orderable(&shared) {
            return Err(given.wrong(0, "an ARRAY of values that have an order"));
        }
        given.convert(0, &types::array(shared.clone()));
        given.convert(value, &shared);
        Ok(given.arguments)
    }

    fn array_of_texts(self) -> Result<Vec<SpannedExpr>, Fault> {
        let mut given = self.with_array_or_null(0)?;
        match element_type(&given.data_type(0)) {
            Some(DataType::Utf8) => {}
            Some(element) if !types::is_nested(&element) => given.convert(0, &types::array(DataType::Utf8)),
            _ => return Err(given.wrong(0, "an ARRAY<STRING>")),
        }
        Ok(given.arguments)
    }

    fn array_of_arrays(self) -> Result<Vec<SpannedExpr>, Fault> {
        let given = self.with_array(0)?;
        match element_type(&given.data_type(0)) {
            Some(DataType::List(_)) => Ok(given.arguments),
            _ => Err(given.wrong(0, "an ARRAY of arrays")),
        }
    }

    fn array_of_entries(self) -> Result<Vec<SpannedExpr>, Fault> {
        let given = self.with_array(0)?;
        match element_type(&given.data_type(0)) {
            Some(DataType::Struct(fields)) if fields.len() == 2 => check_key(fields[0].data_type(), given.at)?,
            _ => return Err(given.wrong(0, "an ARRAY of structs with two members")),
        }
        Ok(given.arguments)
    }

    fn maps(mut self) -> Result<Self, Fault> {
        for number in 0..self.arguments.len() {
            match self.data_type(number) {
                DataType::Map(..) => {}
                DataType::Null => self.convert(number, &types::map(DataType::Null, DataType::Null)),
                _ => return Err(self.wrong(number, "a MAP")),
            }
        }
        Ok(self)
    }

    /// Converts the key of a map to its key type, or the position in an array.
    fn with_key(mut self) -> Result<Vec<SpannedExpr>, Fault> {
        let (collection, given) = (self.data_type(0), self.data_type(1));
        let only_map = self.name == "map_contains_key";
        let common = if only_map { types::common } else { types::tightest };
        if only_map && given.is_null() {
            return Err(self.wrong(1, "a key"));
        }
        match index_type(&collection) {
            Some(key) if matches!(collection, DataType::Map(..)) => match common(&key, &given) {
                Some(shared) if shared == key => self.convert(1, &key),
                Some(shared) => {
                    let value = element_type(&collection).expect("a map");
                    self.convert(0, &types::map(shared.clone(), value));
                    self.convert(1, &shared);
                }
                None => return Err(self.wrong(1, &format!("a key, {},", types::name(&key)))),
            },
            Some(_) if only_map => return Err(self.wrong(0, "a MAP")),
            Some(_) if given == DataType::Int64 || !types::is_integral(&given) && !given.is_null() => {
                return Err(self.wrong(1, "an INT"));
            }
            Some(place) => self.convert(1, &place),
            None => return Err(self.wrong(0, if only_map { "a MAP" } else { "an ARRAY or a MAP" })),
        }
        Ok(self.arguments)
    }

    fn keys_and_values(self) -> Result<Vec<SpannedExpr>, Fault> {
        let given = self.with_array_or_null(0)?.with_array_or_null(1)?;
        check_key(&element_type(&given.data_type(0)).expect("an array"), given.at)?;
        Ok(given.arguments)
    }
}

/// The name of a field of `struct(…)`.
pub(super) fn field_name(call: &Call, place: usize, node: &Node) -> String {
    match (call.aliases.get(place).and_then(Option::as_ref), &node.kind) {
        (Some(alias), _) => alias.name.clone(),
        (None, NodeKind::Name(parts)) => parts.last().expect("a name has parts").name.clone(),
        (None, NodeKind::Field(_, name)) => name.name.clone(),
        _ => format!("col{}", place + 1),
    }
}
