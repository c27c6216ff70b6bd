//! `tidemill functions [NAME]`: lists the SQL functions, or explains one. Also writes the pages in `docs/functions`.

use crate::args::FunctionsOptions;
use serde_json::json;
use std::path::Path;
use std::sync::Arc;
use tidemill_flow::alone;
use tidemill_model::{Error, Millis, Result};
use tidemill_os::output;
use tidemill_sql::eval::EvalContext;
use tidemill_sql::reference::{self, Entry, Example, Found, REFUSED, Refused, Section};
use tidemill_sql::text::show;
use tidemill_sql::zone::{WallClock, Zone};

/// Where a line of names ends.
const WIDTH: usize = 100;

pub(crate) fn run(options: &FunctionsOptions) -> Result<()> {
    match (&options.pages, &options.name) {
        (Some(directory), _) => write_pages(directory),
        (None, Some(name)) => explain(name, options.json),
        (None, None) => {
            list(options.json);
            Ok(())
        }
    }
}

fn explain(name: &str, json: bool) -> Result<()> {
    let found = reference::find(name);
    if found.is_empty() {
        let near: Vec<String> = reference::near(name).iter().map(|name| format!("`{name}`")).collect();
        let help = match near.as_slice() {
            [] => "`tidemill functions` lists all".to_string(),
            near => format!("did you mean {}?", near.join(" or ")),
        };
        return Err(Error::user(format!("there is no function `{name}`; {help}")));
    }
    for (at, found) in found.iter().enumerate() {
        match found {
            Found::Function(entry) if json => output::line(&of_entry(entry, None).to_string()),
            Found::Refused(refused) if json => output::line(&of_refused(refused).to_string()),
            found => {
                if at > 0 {
                    output::line("");
                }
                print(found);
            }
        }
    }
    Ok(())
}

fn print(found: &Found) {
    match found {
        Found::Function(entry) => {
            output::line(entry.usage);
            output::line(&format!("  {}", entry.about));
            if !entry.aliases.is_empty() {
                output::line(&format!("  Also called {}.", entry.aliases.join(", ")));
            }
            output::line(&format!("  Example: {}", entry.example.text()));
            if let Some(value) = value(&entry.example) {
                output::line(&format!("        -> {value}"));
            }
        }
        Found::Refused(refused) => {
            output::line(&refused.names.join(", "));
            output::line(&format!("  Not supported: {}.", refused.reason));
            output::line(&format!("  Instead: {}.", refused.instead));
        }
    }
}

fn list(json: bool) {
    let sections = reference::sections();
    if json {
        let entries = sections.iter().flat_map(|section| section.entries.iter().map(move |entry| (section, entry)));
        entries.for_each(|(section, entry)| output::line(&of_entry(entry, Some(section)).to_string()));
        REFUSED.iter().for_each(|refused| output::line(&of_refused(refused).to_string()));
        return;
    }
    for section in &sections {
        output::line(section.title);
        lines(section.entries.iter().flat_map(|entry| entry.names()));
    }
    output::line("Functions of Spark that are not supported");
    lines(REFUSED.iter().flat_map(|refused| refused.names.iter().copied()));
    output::line("`tidemill functions NAME` explains one.");
}

/// Names in lines of at most [`WIDTH`] characters.
fn lines<'a>(names: impl Iterator<Item = &'a str>) {
    let mut line = String::new();
    for name in names {
        if line.len() + name.len() + 3 > WIDTH {
            output::line(&format!("  {}", std::mem::take(&mut line)));
        }
        line.push_str(if line.is_empty() { "" } else { " " });
        line.push_str(name);
    }
    output::line(&format!("  {line}\n"));
}

fn of_entry(entry: &Entry, section: Option<&Section>) -> serde_json::Value {
    let mut value = json!({
        "name": entry.name, "aliases": entry.aliases, "usage": entry.usage, "about": entry.about,
        "example": entry.example.text(), "value": value(&entry.example),
    });
    if let Some(section) = section {
        value["section"] = section.title.into();
    }
    value
}

fn of_refused(refused: &Refused) -> serde_json::Value {
    json!({ "refused": refused.names, "reason": refused.reason, "instead": refused.instead })
}

/// What an example gives, computed; `None` for an example that is not run.
fn value(example: &Example) -> Option<String> {
    let query = example.query()?;
    let text = format!(
        "[sources.t]\ntype = \"kafka\"\nbootstrap_servers = \"h:1\"\ntopic = \"t\"\nschema = \"row INT\"\n[query]\n\
         sql = {}\noutput_mode = \"update\"\n[sinks.out]\ntype = \"console\"\n",
        json!(query)
    );
    let pipeline = tidemill_config::parse("example", &text, &[]).expect("the file around an example is right");
    let plan = match tidemill_sql::plan(&pipeline) {
        Ok(plan) => Arc::new(plan),
        Err(faults) => return Some(format!("refused: {}", faults.0[0].message)),
    };
    let context = EvalContext { timestamp: Millis(0), zone: Zone::UTC, seed: 0 };
    let rows = match alone::run(&plan, &["{}".to_string()], &context) {
        Ok(rows) => rows,
        Err(class) => return Some(format!("error {class}")),
    };
    let row = |row: usize| {
        let values = rows.columns().iter().map(|column| show::value(column, row, &WallClock::utc()));
        values.collect::<Vec<_>>().join(", ")
    };
    Some((0..rows.num_rows()).map(row).collect::<Vec<_>>().join("; "))
}

/// Writes a page for each section, and one for what is refused.
fn write_pages(directory: &Path) -> Result<()> {
    let write = |name: &str, text: String| {
        let path = directory.join(format!("{name}.md"));
        std::fs::write(&path, text).map_err(|error| Error::external(format!("{}: {error}", path.display())))
    };
    std::fs::create_dir_all(directory).map_err(|error| Error::external(format!("{}: {error}", directory.display())))?;
    for section in reference::sections() {
        write(section.name, page(&section))?;
    }
    write("refused", refused_page())
}

fn page(section: &Section) -> String {
    let mut text = format!(
        "# {}\n`tidemill functions NAME` prints the same. The values are computed by the program.\n\n| call | gives | example |\n|---|---|---|\n",
        section.title
    );
    for entry in &section.entries {
        let also = match entry.aliases {
            [] => String::new(),
            aliases => {
                format!(" Also called {}.", aliases.iter().map(|name| code(name)).collect::<Vec<_>>().join(", "))
            }
        };
        let gives = value(&entry.example).map_or(String::new(), |value| format!(" → {}", code(&value)));
        let example = code(&entry.example.text());
        text.push_str(&format!(
            "| {} | {}{also} | {example}{gives} |\n",
            code(entry.usage),
            entry.about.replace('|', "\\|")
        ));
    }
    text
}

fn refused_page() -> String {
    let mut text = String::from(
        "# Functions of Spark that are not supported\n`tidemill check` refuses them with the same words.\n\n| functions | reason | instead |\n|---|---|---|\n",
    );
    for Refused { names, reason, instead } in REFUSED {
        let names = names.iter().map(|name| code(name)).collect::<Vec<_>>().join(" ");
        text.push_str(&format!("| {names} | {reason} | {instead} |\n"));
    }
    text
}

/// As code in a cell of a table.
fn code(text: &str) -> String {
    let text = text.replace('|', "\\|").replace('\n', "\\n");
    let fence = if text.contains('`') { "``" } else { "`" };
    format!("{fence}{text}{fence}")
}
