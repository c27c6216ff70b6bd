//! `tidemill cost DIR`: prints what a run used, day by day, and what a fixed size would have used.

use crate::args::CostOptions;
use crate::usage;
use tidemill_model::time::iso_millis;
use tidemill_model::{Millis, Result};
use tidemill_os::output;

pub(crate) fn run(options: &CostOptions) -> Result<()> {
    let days = usage::by_day(usage::read(&options.dir, false)?);
    let money = |executor_seconds: f64| executor_seconds / 3_600.0 * options.price;
    let row = |day: &str, seconds: f64, arrived: u64, used: f64, fixed: f64| {
        let saved = if fixed > 0.0 { 100.0 * (1.0 - used / fixed) } else { 0.0 };
        output::line(&format!(
            "{day:<12} {:>9.2} {arrived:>14} {:>14.3} {:>10.4} {:>14.3} {:>10.4} {saved:>7.1}",
            seconds / 3_600.0,
            used / 3_600.0,
            money(used),
            fixed / 3_600.0,
            money(fixed)
        ));
    };
    output::line(&format!(
        "{:<12} {:>9} {:>14} {:>14} {:>10} {:>14} {:>10} {:>7}",
        "day (UTC)", "hours run", "records", "executor-hours", "cost", "fixed size", "its cost", "saved %"
    ));
    let (mut seconds, mut arrived, mut used, mut fixed, mut most) = (0.0, 0, 0.0, 0.0, 0);
    for day in days.values() {
        let size = options.fixed.unwrap_or(day.max);
        let always = day.seconds * f64::from(size);
        row(&iso_millis(Millis(day.at_ms))[..10], day.seconds, day.arrived, day.executor_seconds, always);
        seconds += day.seconds;
        arrived += day.arrived;
        used += day.executor_seconds;
        fixed += always;
        most = most.max(size);
    }
    row("all", seconds, arrived, used, fixed);
    output::line(&format!(
        "at {} an executor-hour; the fixed size is {most} executors for as long as the run was up",
        options.price
    ));
    Ok(())
}
