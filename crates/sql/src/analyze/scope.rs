//! Resolves names: the columns of a source or subquery, the window, and their fields.

use super::bounds::Size;
use super::parse_once::EventTimeForm;
use crate::expr::{Expr, HigherCall, HigherFunction, Lambda};
use crate::functions::{self, collections};
use crate::syntax::{Fault, Ident, Literal, Node, NodeKind};
use crate::types;
use crate::value::Value;
use crate::zone::Zone;
use arrow_schema::{DataType, Field, FieldRef};
use std::ops::Range;
use tidemill_model::diagnostic::nearest;

/// A visible column: name, number, type.
pub(crate) type Visible = (String, usize, DataType);

/// The columns that a query sees, by case-insensitive name.
#[derive(Clone, Debug)]
pub(crate) struct Scope {
    /// The name that may qualify a column: the source's or an alias; empty for none.
    pub table: String,
    /// The name hidden by an alias.
    pub hidden: Option<String>,
    /// Visible columns: name, number, type.
    pub columns: Vec<Visible>,
    /// The sizes of what the columns stand for, by number; those that are not there stand for themselves.
    pub sizes: Vec<Size>,
    /// LATERAL VIEWs: name, and the numbers of its columns.
    pub views: Vec<(String, Range<usize>)>,
    /// What is the event time under another name; of a source's own columns.
    pub event_time: Option<EventTimeForm>,
    /// The session's time zone.
    pub zone: Zone,
    /// The zone as the pipeline's file names it.
    pub zone_name: String,
    /// Parameters of the lambdas around an expression whose default name is being made.
    pub variables: Vec<String>,
}

impl Scope {
    /// The columns of a schema, numbered in its order.
    pub fn of_fields<'a>(table: &str, fields: impl Iterator<Item = &'a FieldRef>, zone_name: &str) -> Scope {
        let columns = fields.enumerate().map(|(index, field)| (field.name().clone(), index, field.data_type().clone()));
        let zone = Zone::parse(zone_name).expect("checked before the tables are made");
        Scope {
            table: table.into(),
            hidden: None,
            columns: columns.collect(),
            sizes: Vec::new(),
            views: Vec::new(),
            event_time: None,
            zone,
            zone_name: zone_name.into(),
            variables: Vec::new(),
        }
    }

    /// Adds a column; hides one of the same name.
    pub fn shadow(&mut self, name: &str, index: usize, data_type: DataType) {
        self.columns.retain(|(known, ..)| !same(known, name));
        self.columns.push((name.into(), index, data_type));
    }

    /// The column with this name.
    pub fn column(&self, name: &str) -> Option<Expr> {
        let found = self.columns.iter().find(|(known, ..)| same(known, name));
        found.map(|(_, index, data_type)| Expr::Column(*index, data_type.clone()))
    }

    /// `[table.]column[.field…]`.
    pub fn resolve(&self, parts: &[Ident]) -> Result<Expr, Fault> {
        let qualified = parts.len() > 1 && self.has_table(&parts[0]);
        let (column, fields) = match parts {
            [table, name, fields @ ..] if self.is_qualified(parts) => (self.only(Some(table), name)?, fields),
            [name, fields @ ..] => (self.only(None, name)?, fields),
            [] => panic!("a name has parts"),
        };
        match column {
            Some(column) => fields.iter().try_fold(column, field),
            None if !qualified && parts.get(1).is_some_and(|name| self.column(&name.name).is_some()) => {
                Err(self.no_table(&parts[0]))
            }
            None => Err(self.unknown(if qualified { &parts[1] } else { &parts[0] }, parts.len() > 1)),
        }
    }

    /// The column with this name, of a table or view or of all; fails if there are two.
    fn only(&self, table: Option<&Ident>, name: &Ident) -> Result<Option<Expr>, Fault> {
        let mut found = self.columns_of(table).filter(|(known, ..)| same(known, &name.name));
        let first = found.next();
        if found.next().is_some() {
            let whose = if self.views.is_empty() { "the subquery has" } else { "there are" };
            let message = format!("{whose} several columns `{}`", name.name);
            return Err(Fault::new(name.at.clone(), message, "give them different names with AS"));
        }
        Ok(first.map(|(_, index, data_type)| Expr::Column(*index, data_type.clone())))
    }

    /// Whether a name begins with a table's or view's name, followed by one of its columns.
    pub fn is_qualified(&self, parts: &[Ident]) -> bool {
        let [table, column, ..] = parts else { return false };
        self.columns_of(Some(table)).any(|(name, ..)| same(name, &column.name))
    }

    fn has_table(&self, name: &Ident) -> bool {
        same(&name.name, &self.table) || self.views.iter().any(|(view, _)| same(view, &name.name))
    }

    /// The columns of a table or view; of all without a name.
    pub fn columns_of(&self, table: Option<&Ident>) -> impl Iterator<Item = &(String, usize, DataType)> {
        let view = table.and_then(|table| self.views.iter().find(|(view, _)| same(view, &table.name)));
        self.columns.iter().filter(move |(_, number, _)| match (table, view) {
            (None, _) => true,
            (Some(_), Some((_, numbers))) => numbers.contains(number),
            (Some(table), None) => {
                same(&table.name, &self.table) && !self.views.iter().any(|(_, numbers)| numbers.contains(number))
            }
        })
    }

    /// The columns that a star stands for: all, those of a table or view, or the fields of a STRUCT.
    pub fn star(&self, before: &[Ident], except: &[Ident]) -> Result<Vec<(String, Expr)>, Fault> {
        let all = match before {
            [] => self.named(None),
            [table] if self.has_table(table) => self.named(Some(table)),
            [table, ..] if self.column(&table.name).is_none() && !self.is_qualified(before) => {
                return Err(self.no_table(table));
            }
            path => fields_of(self.resolve(path)?, path)?,
        };
        if let Some(name) = except.iter().find(|name| !all.iter().any(|(known, _)| same(known, &name.name))) {
            return Err(self.unknown(name, false));
        }
        Ok(all.into_iter().filter(|(column, _)| !except.iter().any(|name| same(&name.name, column))).collect())
    }

    fn named(&self, table: Option<&Ident>) -> Vec<(String, Expr)> {
        let column = |(name, index, t): &(String, usize, DataType)| (name.clone(), Expr::Column(*index, t.clone()));
        self.columns_of(table).map(column).collect()
    }

    /// Of a name before `.*` that is neither a table nor a column.
    fn no_table(&self, name: &Ident) -> Fault {
        let help = if self.table.is_empty() {
            "leave it out, or give the subquery a name with AS".into()
        } else if self.hidden.as_ref().is_some_and(|hidden| same(hidden, &name.name)) {
            format!("the table is called `{}` here", self.table)
        } else {
            format!("the table is `{}`", self.table)
        };
        Fault::new(name.at.clone(), format!("unknown table `{}`", name.name), help)
    }

    fn unknown(&self, name: &Ident, has_more: bool) -> Fault {
        let names = self.columns.iter().map(|(name, ..)| name.as_str());
        let near = nearest(&name.name, names.clone());
        let is_hidden = self.hidden.as_ref().is_some_and(|hidden| has_more && same(hidden, &name.name));
        let help = if is_hidden {
            format!("the table is called `{}` here", self.table)
        } else if near.is_empty() {
            format!("the columns are {}", list(names))
        } else {
            format!("did you mean {}?", list(near.into_iter()))
        };
        let what = if has_more { "column or table" } else { "column" };
        Fault::new(name.at.clone(), format!("unknown {what} `{}`", name.name), help)
    }
}

/// The fields of a STRUCT, by name.
fn fields_of(value: Expr, path: &[Ident]) -> Result<Vec<(String, Expr)>, Fault> {
    let DataType::Struct(fields) = value.data_type() else {
        let at = path[0].at.start..path[path.len() - 1].at.end;
        let message = format!("`.*` stands behind a table or a STRUCT, not {}", types::name(&value.data_type()));
        return Err(Fault::new(at, message, "leave it out"));
    };
    let one = |(index, field): (usize, &FieldRef)| {
        let value = Expr::Field(Box::new(value.clone()), index, field.data_type().clone());
        (field.name().clone(), value)
    };
    Ok(fields.iter().enumerate().map(one).collect())
}

/// A field of a STRUCT value.
pub(crate) fn field(value: Expr, name: &Ident) -> Result<Expr, Fault> {
    match value.data_type() {
        DataType::Struct(fields) => match fields.iter().position(|field| same(field.name(), &name.name)) {
            Some(index) => {
                let data_type = fields[index].data_type().clone();
                Ok(Expr::Field(Box::new(value), index, data_type))
            }
            None => {
                let names = fields.iter().map(|field: &std::sync::Arc<Field>| field.name().as_str());
                let message = format!("there is no field `{}`", name.name);
                Err(Fault::new(name.at.clone(), message, format!("the fields are {}", list(names))))
            }
        },
        DataType::List(element) if matches!(element.data_type(), DataType::Struct(_)) => {
            let variable = field(Expr::Variable(0, element.data_type().clone()), name)?;
            Ok(field_of_each(value, element.data_type(), variable))
        }
        DataType::Map(..) if collections::index_type(&value.data_type()) == Some(DataType::Utf8) => {
            let key = Expr::Literal(Value::String(name.name.clone()), DataType::Utf8);
            let data_type = collections::element_type(&value.data_type()).expect("a map has values");
            let read = functions::find("[ ]").expect("a function of the table");
            Ok(Expr::Call(read, vec![value, key], data_type))
        }
        other => {
            let message = format!("`{}` is applied to a value of type {}", name.name, types::name(&other));
            Err(Fault::new(name.at.clone(), message, "only a STRUCT, an ARRAY of them or a MAP has fields"))
        }
    }
}

/// The field that `x['field']` reads of a STRUCT or of an ARRAY of them.
pub(super) fn field_in_brackets(x: &DataType, index: &Node) -> Option<Ident> {
    let has_fields = match x {
        DataType::List(element) => matches!(element.data_type(), DataType::Struct(_)),
        other => matches!(other, DataType::Struct(_)),
    };
    match &index.kind {
        NodeKind::Literal(Literal::String(name)) if has_fields => {
            Some(Ident { name: name.clone(), at: index.at.clone(), quoted: true })
        }
        _ => None,
    }
}

/// A field of each element of an array of structs: `transform(array, x -> x.field)`.
fn field_of_each(array: Expr, element: &DataType, body: Expr) -> Expr {
    let data_type = types::array(body.data_type());
    let lambda = Lambda { parameters: vec![(0, element.clone())], body };
    let function = HigherFunction::Transform;
    Expr::Higher(Box::new(HigherCall { function, arguments: vec![array], lambdas: vec![lambda], data_type }))
}

/// Compares names, ignoring case.
pub(crate) fn same(a: &str, b: &str) -> bool {
    a == b || a.to_lowercase() == b.to_lowercase()
}

/// `` `a`, `b` ``.
pub(crate) fn list<'a>(names: impl Iterator<Item = &'a str>) -> String {
    names.map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}
