//! The binary: verbs and wiring only. `verbs` has one file per verb; `wiring` builds the parts of a pipeline.

#![forbid(unsafe_code)]

mod args;
mod cgroup;
mod children;
mod demo;
#[cfg(test)]
mod documented;
mod group_offsets;
mod observer;
mod signals;
mod usage;
mod verbs;
mod view;
mod wiring;

use args::{Args, Verb};
use clap::Parser;
use std::process::ExitCode;
use tidemill_model::Result;
use tidemill_os::output;

fn main() -> ExitCode {
    let args = Args::parse();
    let result: Result<()> = match args.verb {
        Verb::Demo(options) => demo::run(&options),
        Verb::Run(options) => verbs::run::run(&options),
        Verb::Produce(options) => verbs::produce::run(&options),
        Verb::Broker(options) => verbs::broker::run(&options),
        Verb::Check(options) => verbs::check::run(&options),
        Verb::Simulate(options) => verbs::simulate::run(&options),
        Verb::Cost(options) => verbs::cost::run(&options),
        Verb::Ctl(options) => verbs::ctl::run(&options),
        Verb::DeadLetters(options) => verbs::dead_letters::run(&options),
        Verb::Checkpoint(options) => verbs::checkpoint::run(&options),
        Verb::Functions(options) => verbs::functions::run(&options),
        Verb::Executor => verbs::executor::run(),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            output::error_line(&error.to_string());
            ExitCode::from(error.exit_code())
        }
    }
}
