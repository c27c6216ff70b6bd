//! Plans `from_csv`, `to_csv` and `schema_of_csv`: the schema becomes the call's type, and the options constants behind the
//! arguments.

use super::calls::check_count;
use super::coerce::cast_to;
use super::from_json::parsed;
use super::resolve::{Resolver, sentence};
use crate::expr::Expr;
use crate::functions::Function;
use crate::functions::csv_text::{CsvReading, CsvWriting, FROM_CSV, SCHEMA_OF_CSV, TO_CSV};
use crate::functions::json_options::{Pairs, constants};
use crate::syntax::{Call, Fault, Node};
use crate::types;
use arrow_schema::DataType;
use std::ops::Range;

/// Whether a function reads or writes CSV.
pub(super) fn is_csv(function: &Function) -> bool {
    [FROM_CSV, TO_CSV, SCHEMA_OF_CSV].contains(&function.name)
}

impl Resolver<'_> {
    /// A call of a function of CSV.
    pub(super) fn csv_call(
        &mut self,
        function: &'static Function,
        call: &Call,
        at: &Range<usize>,
    ) -> Result<Expr, Fault> {
        if function.name == FROM_CSV {
            return self.csv_read(function, call);
        }
        let value = self.placed(&call.arguments[0])?;
        let pairs = self.csv_options(function.name, call.arguments.get(1))?;
        let checked = match function.name {
            TO_CSV => CsvWriting::of(&pairs).map(drop),
            _ => CsvReading::of(&pairs).map(drop),
        };
        checked
            .map_err(|message| sentence(call.arguments.last().unwrap_or(&call.arguments[0]).at.clone(), &message))?;
        let mut applied = self.apply(function, function.name, vec![value], at)?;
        if let Expr::Call(_, arguments, _) = &mut applied {
            arguments.extend(constants(pairs));
        }
        Ok(applied)
    }

    fn csv_options(&mut self, name: &str, node: Option<&Node>) -> Result<Pairs, Fault> {
        node.map_or(Ok(Vec::new()), |node| self.options(name, node))
    }

    fn csv_read(&mut self, function: &'static Function, call: &Call) -> Result<Expr, Fault> {
        check_count(function.name, 2, 3, call)?;
        let (text, schema) = (&call.arguments[0], &call.arguments[1]);
        let csv = self.resolve(text)?;
        if csv.data_type() != DataType::Utf8 && !csv.data_type().is_null() {
            let message = format!("`from_csv` takes a STRING, not {}", types::name(&csv.data_type()));
            return Err(Fault::new(text.at.clone(), message, "convert it: from_csv(CAST(… AS STRING), …)"));
        }
        let data_type = self.schema_of_record(function.name, schema)?;
        let DataType::Struct(fields) = &data_type else {
            let message = format!("`from_csv` gives a STRUCT, not {}", types::name(&data_type));
            return Err(Fault::new(schema.at.clone(), message, "name the columns: 'a INT, b STRING'"));
        };
        let unfit = |t: &DataType| t.is_nested() || t.is_null();
        if let Some(field) = fields.iter().find(|field| unfit(field.data_type())) {
            let message =
                format!("the column `{}` is {}, which CSV does not hold", field.name(), types::name(field.data_type()));
            return Err(Fault::new(schema.at.clone(), message, "declare it STRING, and convert it"));
        }
        let pairs = self.csv_options(function.name, call.arguments.get(2))?;
        let at = call.arguments.get(2).map_or(call.name.at.clone(), |node| node.at.clone());
        let options = CsvReading::of(&pairs).map_err(|message| sentence(at, &message))?;
        let corrupt = fields.iter().find(|field| *field.name() == options.corrupt_column);
        if let Some(field) = corrupt.filter(|field| *field.data_type() != DataType::Utf8) {
            let message =
                format!("the field of corrupt records `{}` is {}", field.name(), types::name(field.data_type()));
            let help = "declare it STRING, or name another one: map('columnNameOfCorruptRecord', …)";
            return Err(Fault::new(schema.at.clone(), message, help));
        }
        Ok(parsed(function, cast_to(csv, &DataType::Utf8), data_type, constants(pairs)))
    }
}
