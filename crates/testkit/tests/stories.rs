//! Every story of tests/stories on the real driver, against what real Spark gave. A test is a story's file name; a file
//! without a test fails `every_story_is_told`.

use std::path::{Path, PathBuf};
use tidemill_testkit::story::Story;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/stories")
}

fn check(name: &str) {
    let path = folder().join(format!("{name}.json"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let story = Story::parse(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
    if let Err(difference) = story.check() {
        panic!("{name}: {}\n{difference}", story.about);
    }
}

macro_rules! stories {
    ($($name:ident,)*) => {
        $(#[test] fn $name() { check(stringify!($name)) })*

        #[test]
        fn every_story_is_told() {
            let files = std::fs::read_dir(folder()).expect("the folder is there");
            let mut names: Vec<String> = files
                .filter_map(|file| file.expect("the folder reads").file_name().to_str()?.strip_suffix(".json").map(str::to_owned))
                .collect();
            names.sort();
            assert_eq!(names, [$(stringify!($name)),*]);
        }
    };
}

stories! {
    j10_nested,
    j11_unicode,
    j1_null_and_blank,
    j2_malformed_anywhere,
    j3_wrong_type,
    j4_numbers,
    j5_strings_of_anything,
    j6_fields,
    j7_array_at_the_top,
    j8_quotes_and_escapes,
    j9_times,
    l1_old_row_in_an_open_window,
    l1_one_millisecond_before,
    l1_raw_time_beside_another_window,
    l1_raw_timestamp_key,
    l1_raw_timestamp_key_append,
    l1_refused_raw_time_and_window,
    l1_refused_window_and_raw_time,
    l1_refused_window_and_raw_time_update,
    l1_window_and_raw_time_complete,
    l1_window_and_raw_time_without_a_watermark,
    l1_window_end_at_the_watermark,
    l2_new_group_in_update,
    l2_two_watermarks,
    l3_dropped_groups,
    l3_dropped_in_fine_windows,
    l3_one_row_in_two_windows,
    l4_one_batch,
    l4_three_batches,
    l4_two_batches,
    m1_filter_on_a_key,
    m1_filter_on_the_batch_time,
    m1_filter_on_the_event_time,
    m1_filter_on_the_raw_column,
    m1_filter_with_and,
    m1_filter_with_or,
    m1_having_on_a_key,
    m1_having_on_an_aggregate,
    m1_having_on_the_window,
    m1_late_rows_count_for_the_maximum,
    m1_malformed_and_null,
    m1_milliseconds,
    m2_never_decreases,
    m2_zero_delay,
    m3_replay_has_its_watermarks,
    m3_watermark_survives_restarts,
    m4_complete,
    m4_no_data_batch_that_evicts_nothing,
    m4_quiet_input,
    m4_stateless,
    m5_null_event_time_in_progress,
    m6_month_has_31_days,
    m6_refused_negative,
    m6_truncated_to_milliseconds,
    m6_year_has_372_days,
    m7_before_1970,
    m7_before_1970_append,
    m7_before_1970_without_a_watermark,
    o1_closed_before_it_is_seen,
    o1_refused_window_over_an_expression,
    o1_refused_window_over_another_time,
    o1_refused_without_a_watermark,
    o1_refused_without_the_time,
    o2_evicted_silently,
    o2_unchanged_groups_come_out,
    o3_complete_backlog,
    o3_complete_keeps_all,
    o4_doubles,
    o5_append_backlog,
    o5_append_backlog_then_late,
    o5_append_drained,
    o5_append_new_group_closes_at_once,
    o5_append_restart,
    o5_append_sliding,
    o5_append_without_no_data_batches,
    o5_complete,
    o5_update_backlog,
    o5_update_drained,
    o6_complete_without_a_watermark,
    o6_refused_stateless_complete,
    o6_stateless_append,
    o6_stateless_update,
    o6_update_window_over_another_time,
    o6_update_without_a_watermark,
    o6_update_without_event_time,
    o6_update_without_the_time,
    o7_empty_file_append,
    o7_empty_file_complete,
    o7_empty_file_update,
    o7_global_aggregate,
    o7_global_aggregate_all_filtered,
    o7_global_aggregate_complete,
    o7_having,
    o7_having_append,
    o7_having_on_the_window,
    o7_having_on_the_window_complete,
    o7_having_on_the_window_sliding,
    o7_names,
    o7_refused_distinct_aggregate,
    o7_refused_limit_in_update,
    o7_refused_order_by_in_append,
    o7_select_distinct,
    o7_select_distinct_on_time,
    r_first_batch_is_replayed,
    r_new_data_waits_for_the_next_batch,
    r_state_survives,
    r_uncommitted_batches_are_replayed,
    t1_sum_overflow,
    t2_types_through_a_query,
    t3_division_by_zero,
    t3_filter_protects,
    t3_overflow_in_a_projection,
    t4_cast_nan,
    t4_cast_overflow,
    t4_exactly_two_to_the_63,
    t4_filter_before_the_cast,
    w1_long_windows,
    w1_negative_start_time,
    w1_start_time,
    w1_windows_before_1970,
    w2_fine_slices,
    w2_half_open,
    w2_refused_month,
    w2_refused_slide_over_width,
    w2_refused_start_time_over_slide,
    w2_refused_zero_width,
    w2_slide_does_not_divide,
    w2_slide_of_odd_length,
    w3_null_event_times,
    w4_keys_in_structs,
    w4_null_nan_and_zero_keys,
    w4_window_is_a_struct,
    w5_identical_windows,
    w5_refused_two_windows,
    w6_days,
    w6_ends_of_time,
    w6_fraction,
    w6_refused_min,
    w6_refused_ms,
    w6_refused_nanoseconds,
    w6_refused_number,
    w6_refused_s,
    w6_refused_sec,
    w6_signs,
    w6_units,
    w6_words,
}
