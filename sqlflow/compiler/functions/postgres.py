"""The functions of PostgreSQL that may give something else in another build."""

from __future__ import annotations

import re

from sqlflow.compiler.functions.natures import CLOCK, SESSION, Functions, words
from sqlflow.core.clock import Nature

POSTGRES = Functions(
    natures={
        **dict.fromkeys(CLOCK, Nature.CLOCK),
        **dict.fromkeys(
            words(
                """
                random random_normal gen_random_uuid uuidv4 uuidv7 uuid_generate_v1 uuid_generate_v1mc uuid_generate_v4
                array_sample array_shuffle nextval setseed pg_nextoid pg_sleep pg_sleep_for pg_sleep_until gen_random_bytes
                gen_salt normal_rand
                """
            ),
            Nature.CHANCE,
        ),
        **dict.fromkeys(
            SESSION
            | words(
                """
                pg_backend_pid getpgusername getdatabaseencoding pg_client_encoding get_current_ts_config pg_trigger_depth
                row_security_active set_config txid_current txid_current_if_assigned txid_current_snapshot
                pg_current_snapshot pg_current_xact_id pg_current_xact_id_if_assigned pg_export_snapshot pg_my_temp_schema
                pg_is_other_temp_schema pg_has_role pg_jit_available pg_numa_available
                """
            ),
            Nature.SESSION,
        ),
        **dict.fromkeys(
            words(
                """
                currval lastval setval currtid2 mxid_age aclexplode amvalidate fmgr_c_validator fmgr_internal_validator
                fmgr_sql_validator plpgsql_validator col_description obj_description shobj_description oidvectortypes
                format_type regclass ts_stat ts_rewrite ts_debug ts_parse ts_token_type txid_status loread lowrite
                crosstab connectby
                """
            ),
            Nature.OUTSIDE,
        ),
    },
    bare=words(
        """
        user current_user session_user current_role current_catalog current_schema current_date current_time
        current_timestamp localtime localtimestamp system_user
        """
    ),
    fixed=words(
        """
        age anytextcat array_to_json array_to_string array_to_text concat concat_ws convert convert_from convert_to date
        date_add date_part date_subtract date_trunc enum_first enum_last enum_range extract format generate_series in_range
        interval_pl_timestamptz json_agg json_agg_strict json_build_array json_build_object json_object_agg
        json_object_agg_strict json_object_agg_unique json_object_agg_unique_strict json_populate_record
        json_populate_recordset json_to_record json_to_recordset json_to_tsvector jsonb_agg jsonb_agg_strict
        jsonb_build_array jsonb_build_object jsonb_object_agg jsonb_object_agg_strict jsonb_object_agg_unique
        jsonb_object_agg_unique_strict jsonb_path_exists_tz jsonb_path_match_tz jsonb_path_query_array_tz
        jsonb_path_query_first_tz jsonb_path_query_tz jsonb_populate_record jsonb_populate_record_valid
        jsonb_populate_recordset jsonb_to_record jsonb_to_recordset jsonb_to_tsvector length make_timestamptz money numeric
        overlaps phraseto_tsquery plainto_tsquery pg_collation_for pg_input_error_info pg_input_is_valid pg_typeof
        pg_char_to_encoding pg_encoding_to_char pg_basetype pg_get_keywords pg_config pg_timezone_names
        pg_timezone_abbrevs_abbrevs pg_timezone_abbrevs_zone pg_timezone_abbrevs quote_literal quote_nullable row_to_json
        textanycat time timestamp timestamptz timestamptz_mi_interval timestamptz_pl_interval timetz timezone to_char
        to_date to_json to_jsonb to_number to_timestamp to_tsquery to_tsvector ts_headline ts_match_tq ts_match_tt
        websearch_to_tsquery xml xml_is_well_formed brin_bloom_summary_send brin_minmax_multi_summary_send
        """
    ),
    patterns=(
        (re.compile(r"(?:date|timestamp|timestamptz)_(?:lt|le|eq|ne|ge|gt|cmp)_(?:date|timestamp|timestamptz)"), None),
        (re.compile(r"(?:\w+_send|\w+send)"), None),
        (re.compile(r"has_\w+_privilege"), Nature.SESSION),
        (re.compile(r"(?:pg|lo|dblink|binary_upgrade|brin|gin|gist|postgres_fdw|to_reg)_?\w*"), Nature.OUTSIDE),
        (re.compile(r"(?:cursor|query|table|schema|database)_to_xml\w*"), Nature.OUTSIDE),
    ),
)
