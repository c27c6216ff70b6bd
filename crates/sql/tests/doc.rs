//! Every function says how it is called, what it gives and shows it. `crates/cli/tests/e2e/functions.rs` compares the pages in
//! `docs/functions` with them.

use arrow_array::{RecordBatch, RecordBatchOptions, new_null_array};
use tidemill_model::Millis;
use tidemill_sql::eval::{RowErrors, evaluate};
use tidemill_sql::functions::{Function, all};
use tidemill_sql::plan::Body;
use tidemill_sql::reference::{REFUSED, Refused, sections};
use tidemill_sql::{AGGREGATE_FUNCTIONS, GENERATORS, LAMBDAS};

/// Those that a query can call: a name with a space is the planner's own.
fn callable() -> impl Iterator<Item = &'static Function> {
    all().filter(|function| !function.name.contains(' '))
}

#[test]
fn the_reference_has_every_function_once() {
    let entries = sections().into_iter().flat_map(|section| section.entries);
    let listed: Vec<&str> = entries.flat_map(|entry| entry.names()).collect();
    let callable = callable().flat_map(|function| function.aliases.iter().copied().chain([function.name]));
    let planned = AGGREGATE_FUNCTIONS.into_iter().chain(GENERATORS).chain(LAMBDAS);
    let missing: Vec<&str> = callable.chain(planned).filter(|name| !listed.contains(name)).collect();
    assert!(missing.is_empty(), "the reference does not have {missing:?}");
    let refused = REFUSED.iter().flat_map(|refused| refused.names);
    let both: Vec<&&str> = refused.filter(|name| listed.contains(name)).collect();
    assert!(both.is_empty(), "listed and refused: {both:?}");
}

#[test]
fn what_is_refused_is_refused_with_its_reason() {
    for Refused { names, reason, instead } in REFUSED {
        for name in *names {
            let fault = fault(&format!("{name}(1)")).expect("a refusal");
            assert!(fault.contains(reason), "{name}: {fault}, and the reference says {reason}; {instead}");
        }
    }
}

#[test]
fn every_function_says_how_it_is_called_and_what_it_gives() {
    let is_empty = |function: &&Function| {
        function.about.is_empty() || function.example.is_empty() || !function.usage.contains(function.name)
    };
    let empty: Vec<&str> = callable().filter(is_empty).map(|function| function.name).collect();
    assert!(empty.is_empty(), "rows without usage, about or example: {empty:?}");
}

#[test]
fn every_example_has_a_value() {
    let wrong: Vec<String> = callable().filter_map(|function| fault(function.example)).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What is wrong with an example: it is refused, or its row fails.
fn fault(example: &str) -> Option<String> {
    let sql = serde_json::to_string(&format!("SELECT {example} AS x FROM t")).unwrap();
    let text = format!(
        "[sources.t]\ntype = \"kafka\"\nbootstrap_servers = \"h:1\"\ntopic = \"t\"\nschema = \"row INT\"\n\
         [query]\nsql = {sql}\n[sinks.out]\ntype = \"console\"\n"
    );
    let pipeline = tidemill_config::parse("p.toml", &text, &[]).unwrap();
    let plan = match tidemill_sql::plan(&pipeline) {
        Ok(plan) => plan,
        Err(faults) => return Some(format!("{example}: {}", faults.0[0].message)),
    };
    let Body::Project(outputs) = plan.body() else {
        panic!("no aggregate here");
    };
    let schema = plan.branches[0].row_schema.clone();
    let columns = schema.fields().iter().map(|field| new_null_array(field.data_type(), 1)).collect();
    let options = RecordBatchOptions::new().with_row_count(Some(1));
    let rows = RecordBatch::try_new_with_options(schema, columns, &options).unwrap();
    let mut errors = RowErrors::default();
    evaluate(&outputs[0], &rows, &plan.context(Millis(0)), &mut errors);
    errors.get(0).map(|error| format!("{example}: {}", error.class))
}
