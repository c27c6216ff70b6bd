//! Spark's functions that Tidemill refuses: the reason, and the way round.

/// Functions that are refused for the same reason.
#[derive(Debug, PartialEq, Eq)]
pub struct Refused {
    /// Their names.
    pub names: &'static [&'static str],
    /// Why.
    pub reason: &'static str,
    /// What to do instead.
    pub instead: &'static str,
}

/// All of them.
pub const REFUSED: &[Refused] = &[
    Refused {
        names: &["cume_dist", "dense_rank", "lag", "lead", "nth_value", "ntile", "percent_rank", "rank", "row_number"],
        reason: "Spark refuses functions OVER a window of rows on streams",
        instead: "group by window(…), and use max_by, min_by, first or last",
    },
    Refused {
        names: &["count_min_sketch"],
        reason: "only Spark's libraries read the bytes of its sketches",
        instead: "count(*) by key is exact",
    },
    Refused {
        names: &[
            "hll_sketch_agg",
            "hll_sketch_estimate",
            "hll_union",
            "hll_union_agg",
            "theta_difference",
            "theta_intersection",
            "theta_intersection_agg",
            "theta_sketch_agg",
            "theta_sketch_estimate",
            "theta_union",
            "theta_union_agg",
        ],
        reason: "only DataSketches libraries read the bytes of these sketches",
        instead: "approx_count_distinct gives the estimate",
    },
    Refused {
        names: &[
            "kll_sketch_agg_bigint",
            "kll_sketch_agg_double",
            "kll_sketch_agg_float",
            "kll_sketch_get_n_bigint",
            "kll_sketch_get_n_double",
            "kll_sketch_get_n_float",
            "kll_sketch_get_quantile_bigint",
            "kll_sketch_get_quantile_double",
            "kll_sketch_get_quantile_float",
            "kll_sketch_get_rank_bigint",
            "kll_sketch_get_rank_double",
            "kll_sketch_get_rank_float",
            "kll_sketch_merge_bigint",
            "kll_sketch_merge_double",
            "kll_sketch_merge_float",
            "kll_sketch_to_string_bigint",
            "kll_sketch_to_string_double",
            "kll_sketch_to_string_float",
        ],
        reason: "only DataSketches libraries read the bytes of these sketches",
        instead: "percentile is exact, and percentile_approx gives a value that occurs",
    },
    Refused {
        names: &["approx_top_k", "approx_top_k_accumulate", "approx_top_k_combine", "approx_top_k_estimate"],
        reason: "only DataSketches libraries read the bytes of these sketches",
        instead: "count(*) by key, or mode(x) for the most frequent value",
    },
    Refused {
        names: &["bitmap_construct_agg", "bitmap_or_agg", "bitmap_and_agg"],
        reason: "bitmaps of 4,096 bytes a group are not supported",
        instead: "approx_count_distinct counts distinct values",
    },
    Refused {
        names: &[
            "parse_json",
            "try_parse_json",
            "variant_get",
            "try_variant_get",
            "variant_explode",
            "variant_explode_outer",
            "is_variant_null",
            "schema_of_variant",
            "schema_of_variant_agg",
            "to_variant_object",
        ],
        reason: "the type VARIANT is not supported",
        instead: "declare the fields in the schema, or read one with get_json_object(text, '$.path')",
    },
    Refused {
        names: &[
            "xpath",
            "xpath_boolean",
            "xpath_double",
            "xpath_float",
            "xpath_int",
            "xpath_long",
            "xpath_number",
            "xpath_short",
            "xpath_string",
            "from_xml",
            "to_xml",
            "schema_of_xml",
        ],
        reason: "XML is not supported",
        instead: "turn the records into JSON before they come to Kafka",
    },
    Refused {
        names: &["from_avro", "to_avro", "schema_of_avro", "from_protobuf", "to_protobuf"],
        reason: "Avro and Protobuf records are not supported",
        instead: "turn the records into JSON before they come to Kafka",
    },
    Refused {
        names: &["collate", "collation", "collations"],
        reason: "collations are not supported: STRINGs compare by their UTF-8 bytes, Spark's default",
        instead: "compare lower(text) where case does not matter",
    },
    Refused {
        names: &["st_asbinary", "st_geogfromwkb", "st_geomfromwkb", "st_setsrid", "st_srid"],
        reason: "the types GEOMETRY and GEOGRAPHY are not supported",
        instead: "keep longitude and latitude as DOUBLE columns",
    },
    Refused {
        names: &["make_time", "to_time", "try_to_time", "time_diff", "time_trunc", "current_time"],
        reason: "the type TIME is not supported",
        instead: "keep the time of day as text or as seconds: hour(t) * 3600 + minute(t) * 60 + second(t)",
    },
    Refused {
        names: &["spark_partition_id"],
        reason: "it numbers Spark's own partitions of a batch",
        instead: "use the columns partition and offset of a Kafka source",
    },
    Refused {
        names: &["input_file_name", "input_file_block_start", "input_file_block_length"],
        reason: "the name of the file that a row comes from is not kept",
        instead: "put what the query needs of it into the records",
    },
    Refused {
        names: &[
            "current_catalog",
            "current_database",
            "current_schema",
            "current_user",
            "session_user",
            "user",
            "version",
            "sql_keywords",
            "python_worker_logs",
        ],
        reason: "it describes a Spark session, and there is none",
        instead: "write the value as a constant",
    },
    Refused {
        names: &["java_method", "reflect", "try_reflect"],
        reason: "it calls a Java method, and there is no JVM",
        instead: "run the pipeline on Spark",
    },
    Refused {
        names: &["range"],
        reason: "a stream comes from a source",
        instead: "sequence(1, 10) makes an array of numbers, and explode makes rows of it",
    },
];
