"""The functions of DuckDB that may give something else in another build."""

from __future__ import annotations

import re

from sqlflow.compiler.functions.natures import CLOCK, SESSION, Functions, words
from sqlflow.core.clock import Nature

DUCKDB = Functions(
    natures={
        **dict.fromkeys(
            CLOCK
            | words(
                """
                today get_current_time get_current_timestamp current_localtime current_localtimestamp ago
                pg_conf_load_time pg_postmaster_start_time
                """
            ),
            Nature.CLOCK,
        ),
        **dict.fromkeys(
            words(
                """
                random gen_random_uuid uuid uuidv4 uuidv7 nextval setseed reservoir_quantile stats vector_type write_log
                sleep_ms pg_sleep
                """
            ),
            Nature.CHANCE,
        ),
        **dict.fromkeys(
            SESSION
            | words(
                """
                current_connection_id current_query_id current_transaction_id txid_current getvariable in_search_path
                """
            ),
            Nature.SESSION,
        ),
        **dict.fromkeys(
            words(
                """
                currval setval getenv get_block_size format_type pg_get_constraintdef pg_get_viewdef getvariables
                read_csv read_csv_auto sniff_csv read_parquet parquet_scan parquet_bloom_probe parquet_file_metadata
                parquet_full_metadata parquet_kv_metadata parquet_metadata parquet_page_index parquet_schema read_json
                read_json_auto read_json_objects read_json_objects_auto read_ndjson read_ndjson_auto read_ndjson_objects
                read_single_csv_file read_single_json_file read_single_parquet_file read_text read_blob read_duckdb
                read_xlsx read_avro read_arrow read_line_tokens glob query query_table json_execute_serialized_sql
                sqlite_scan sqlite_query postgres_scan postgres_scan_pushdown postgres_query mysql_scan mysql_query
                iceberg_scan iceberg_metadata iceberg_snapshots delta_scan st_read st_read_meta st_drivers which_secret
                histogram_values duckdb_logs_parsed duckdb_profiling_settings seq_scan index_scan python_map_function
                """
            ),
            Nature.OUTSIDE,
        ),
    },
    bare=words(
        """
        user current_user session_user current_role current_catalog current_schema current_database current_date current_time
        current_timestamp localtime localtimestamp
        """
    ),
    fixed=words(
        """
        + - age century date_diff date_part date_sub date_trunc datediff datepart datesub datetrunc day dayname dayofmonth
        dayofweek dayofyear decade era generate_series hour isodow isoyear julian last_day make_timestamptz microsecond
        millennium millisecond minute month monthname quarter range second strftime time_bucket timezone timezone_hour
        timezone_minute week weekday weekofyear year yearweek error assert_true
        col_description obj_description shobj_description
        """
    ),
    tables=words(
        """
        range generate_series unnest repeat repeat_row json_each json_tree test_all_types test_vector_types summary
        icu_calendar_names duckdb_keywords pg_timezone_names histogram summarize
        """
    ),
    patterns=(
        (re.compile(r"(?:duckdb|pragma)_\w+"), Nature.OUTSIDE),
        (re.compile(r"\w+_privilege|pg_has_role|pg_\w+_is_visible|pg_is_other_temp_schema|pg_my_temp_schema"), None),
    ),
)
