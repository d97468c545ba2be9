"""The functions that may give something else in another build, by engine.

The lists are held against the catalogue of the engine: `tests/compiler/test_functions.py` walks over all of its functions,
and fails for one that is neither listed here nor the same each time by what the engine itself says of it.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping

from msgspec import Struct
from msgspec.structs import replace
from sqlglot import exp

from sqlflow.core.clock import Moving, Nature
from sqlflow.core.intervals import Grain


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


class Functions(Struct, frozen=True):
    """What is known of one engine's functions, by name in lower case.

    `bare`: those that are called without brackets. `fixed`: those of which the engine says that they depend on the time or
    the session, and that do so only by settings that SQLFlow's sessions fix, such as the time zone. `tables`: functions in
    FROM that read nothing from outside; None where they are judged like all others. `patterns`: names by their form.
    """

    natures: Mapping[str, Nature]
    bare: frozenset[str]
    fixed: frozenset[str]
    tables: frozenset[str] | None = None
    patterns: tuple[tuple[re.Pattern[str], Nature | None], ...] = ()

    def nature(self, name: str) -> Nature | None:
        """None for one that is the same each time; UNKNOWN where the engine must be asked."""
        found = self.natures.get(name)
        if found is not None:
            return found
        if name in self.fixed or (self.tables is not None and name in self.tables):
            return None
        for pattern, nature in self.patterns:
            if pattern.fullmatch(name):
                return nature
        return Nature.UNKNOWN


_DAILY = frozenset({"current_date", "today", "tomorrow", "yesterday"})

_CLOCK = _words(
    """
    now current_date current_time current_timestamp localtime localtimestamp transaction_timestamp statement_timestamp
    clock_timestamp timeofday
    """
)
_SESSION = _words(
    """
    current_catalog current_database current_query current_role current_schema current_schemas current_setting current_user
    session_user system_user user version inet_client_addr inet_client_port inet_server_addr inet_server_port
    """
)

DUCKDB = Functions(
    natures={
        **dict.fromkeys(
            _CLOCK
            | _words(
                """
                today get_current_time get_current_timestamp current_localtime current_localtimestamp ago
                pg_conf_load_time pg_postmaster_start_time
                """
            ),
            Nature.CLOCK,
        ),
        **dict.fromkeys(
            _words(
                """
                random gen_random_uuid uuid uuidv4 uuidv7 nextval setseed reservoir_quantile stats vector_type write_log
                sleep_ms pg_sleep
                """
            ),
            Nature.CHANCE,
        ),
        **dict.fromkeys(
            _SESSION
            | _words(
                """
                current_connection_id current_query_id current_transaction_id txid_current getvariable in_search_path
                """
            ),
            Nature.SESSION,
        ),
        **dict.fromkeys(
            _words(
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
    bare=_words(
        """
        user current_user session_user current_role current_catalog current_schema current_database current_date current_time
        current_timestamp localtime localtimestamp
        """
    ),
    fixed=_words(
        """
        + - age century date_diff date_part date_sub date_trunc datediff datepart datesub datetrunc day dayname dayofmonth
        dayofweek dayofyear decade era generate_series hour isodow isoyear julian last_day make_timestamptz microsecond
        millennium millisecond minute month monthname quarter range second strftime time_bucket timezone timezone_hour
        timezone_minute week weekday weekofyear year yearweek error assert_true
        col_description obj_description shobj_description
        """
    ),
    tables=_words(
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

POSTGRES = Functions(
    natures={
        **dict.fromkeys(_CLOCK, Nature.CLOCK),
        **dict.fromkeys(
            _words(
                """
                random random_normal gen_random_uuid uuidv4 uuidv7 uuid_generate_v1 uuid_generate_v1mc uuid_generate_v4
                array_sample array_shuffle nextval setseed pg_nextoid pg_sleep pg_sleep_for pg_sleep_until gen_random_bytes
                gen_salt normal_rand
                """
            ),
            Nature.CHANCE,
        ),
        **dict.fromkeys(
            _SESSION
            | _words(
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
            _words(
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
    bare=_words(
        """
        user current_user session_user current_role current_catalog current_schema current_date current_time
        current_timestamp localtime localtimestamp system_user
        """
    ),
    fixed=_words(
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

ENGINES: Mapping[str, Functions] = {"duckdb": DUCKDB, "postgres": POSTGRES}

RESTLESS_NAMES = frozenset(name for engine in ENGINES.values() for name in engine.natures) | {"error", "assert_true"}
"""Functions that are never followed: those that may give something else in another build, and those that stop it."""


def functions_of(dialect: str) -> Functions:
    return ENGINES.get(dialect, DUCKDB)


# sqlglot has classes of its own for some; whatever they stand for is called as it is in most dialects.
_CLASSES: Mapping[str, str] = {
    "CurrentDate": "current_date",
    "CurrentTimestamp": "current_timestamp",
    "CurrentTime": "current_time",
    "CurrentDatetime": "current_timestamp",
    "CurrentTimestampLTZ": "current_timestamp",
    "Localtime": "localtime",
    "Localtimestamp": "localtimestamp",
    "UtcDate": "current_date",
    "Uuid": "uuid",
    "Rand": "random",
    "Randn": "random",
    "Randstr": "random",
    "CurrentUser": "current_user",
    "SessionUser": "session_user",
    "CurrentRole": "current_role",
    "CurrentSchema": "current_schema",
    "CurrentSchemas": "current_schemas",
    "CurrentCatalog": "current_catalog",
    "CurrentDatabase": "current_database",
    "CurrentVersion": "version",
    "NextValueFor": "nextval",
    "ReadCSV": "read_csv",
    "ReadParquet": "read_parquet",
}
# Classes of functions that are never the same, in whatever dialect.
RESTLESS_CLASS = re.compile(
    r"(?:Current|Rand|Uuid|Localtime|NextValue|Session|Utc|Version|AI|Generator|Generate(?:Bool|Int|Text))"
)


def moving_of(node: exp.Expr, dialect: str) -> Moving | None:
    """What a call, a word or a cast is, itself and without what is in it; None when it is the same each time."""
    kind = type(node)
    if kind is exp.Anonymous:
        name = str(node.this).lower()
        if name == "age":  # of one time: until today; of two: between them
            return Moving("age", Nature.CLOCK, Grain.DAY) if len(node.expressions) < 2 else None
        return moving(name, dialect)
    name = _CLASSES.get(kind.__name__, "")
    if name:
        return moving("gen_random_uuid" if name == "uuid" and dialect == "postgres" else name, dialect)
    return Moving(node.key, Nature.CHANCE) if RESTLESS_CLASS.match(kind.__name__) else None


def moving(name: str, dialect: str) -> Moving | None:
    nature = functions_of(dialect).nature(name)
    if nature is None:
        return None
    return Moving(name, nature, Grain.DAY if name in _DAILY else None)


def table_function(node: exp.Expr, dialect: str) -> Moving | None:
    """What a function in FROM is."""
    call = node.this if isinstance(node, (exp.Table, exp.Lateral)) else node
    known = functions_of(dialect).tables
    if isinstance(call, (exp.Unnest, exp.GenerateSeries)):
        return None
    name = str(call.this).lower() if isinstance(call, exp.Anonymous) else _CLASSES.get(type(call).__name__, call.key)
    if known is None:
        return moving_of(call, dialect)
    return None if name in known else Moving(name, Nature.OUTSIDE)


# ---------------------------------------------------------------------- texts that are a time of now


_TIMES = frozenset(
    {
        exp.DataType.Type.DATE,
        exp.DataType.Type.DATE32,
        exp.DataType.Type.TIME,
        exp.DataType.Type.TIMETZ,
        exp.DataType.Type.TIMESTAMP,
        exp.DataType.Type.TIMESTAMPTZ,
        exp.DataType.Type.TIMESTAMPLTZ,
        exp.DataType.Type.TIMESTAMPNTZ,
        exp.DataType.Type.DATETIME,
    }
)
_TEXTS = re.compile(r"\b(?:now|today|tomorrow|yesterday)\b", re.IGNORECASE)
_CASTING = _words("date time timestamp timestamptz timetz")
_STRINGS = (exp.Literal, exp.RawString, exp.National, exp.ByteString, exp.UnicodeString)
_JOINED = (exp.DPipe, exp.Concat, exp.ConcatWs, exp.Lower, exp.Upper, exp.Trim, exp.Replace, exp.Array)
COMPARING = (exp.Predicate, exp.Between, exp.In, exp.Coalesce, exp.Greatest, exp.Least, exp.Add, exp.Sub, exp.Nullif)


def text_of_now(node: exp.Expr) -> Moving | None:
    """What a cast of a text, or a text beside a time, is on an engine where `'now'` is the time when it is read."""
    if isinstance(node, (exp.Cast, exp.TryCast)):
        kind = node.to
        while kind.this == exp.DataType.Type.ARRAY and kind.expressions:
            kind = kind.expressions[0]
        if kind.this not in _TIMES:
            return None
        return _of_texts(node.this, dated=kind.this in (exp.DataType.Type.DATE, exp.DataType.Type.DATE32))
    name = str(node.this).lower() if isinstance(node, exp.Anonymous) else node.key
    if isinstance(node, exp.Func) and name in _CASTING:
        found = next(node.iter_expressions(), None)
        return None if found is None else _of_texts(found, dated=name == "date")
    if isinstance(node, exp.Literal) and node.is_string and isinstance(node.parent, COMPARING):
        text = str(node.this).strip().lower()
        if _TEXTS.fullmatch(text):
            return Moving(text, Nature.CLOCK, None if text == "now" else Grain.DAY)
    return None


def _of_texts(node: exp.Expr, *, dated: bool) -> Moving | None:
    while isinstance(node, exp.Paren) or (isinstance(node, exp.Cast) and node.to.this in exp.DataType.TEXT_TYPES):
        node = node.this
    if isinstance(node, _JOINED) and node.find(exp.Column) is None:
        return Moving("now", Nature.CLOCK)  # which text it is, nobody has worked out
    if not isinstance(node, _STRINGS):
        return None
    text = str(node.this)
    words = [found[0].lower() for found in _TEXTS.finditer(text)]
    if not words and not (isinstance(node, (exp.ByteString, exp.UnicodeString)) and "\\" in text):
        return None
    always = not dated and (not words or "now" in words)
    return Moving(words[0] if words else "now", Nature.CLOCK, None if always else Grain.DAY)


# ---------------------------------------------------------------------- what only changes now and then


_WHOLE: Mapping[str, Grain] = {str(grain): grain for grain in Grain}


def slowed(node: exp.Expr) -> tuple[exp.Expr, Grain] | None:
    """A clock that is cut to a unit, `date_trunc('hour', now())` or `now()::date`: the clock in it, and the unit.

    Only what changes exactly when the unit begins in the session's time zone.
    """
    if isinstance(node, (exp.DateTrunc, exp.TimestampTrunc)) or (
        isinstance(node, exp.Anonymous) and str(node.this).lower() in ("date_trunc", "datetrunc")
    ):
        if node.args.get("zone") is not None or (isinstance(node, exp.Anonymous) and len(node.expressions) != 2):
            return None
        first, value = node.expressions if isinstance(node, exp.Anonymous) else (node.args.get("unit"), node.this)
        grain = _WHOLE.get(first.name.lower()) if isinstance(first, exp.Expr) else None
        leaf = _leaf(value)
        return (leaf, grain) if grain is not None and leaf is not None else None
    if isinstance(node, exp.Cast) and node.to.this in (exp.DataType.Type.DATE, exp.DataType.Type.DATE32):
        leaf = _leaf(node.this)
        return None if leaf is None else (leaf, Grain.DAY)
    if isinstance(node, (exp.Date, exp.TsOrDsToDate)):
        leaf = _leaf(node.this)
        return None if leaf is None else (leaf, Grain.DAY)
    if isinstance(node, exp.Year) or (isinstance(node, exp.Extract) and node.name.lower() == "year"):
        leaf = _leaf(node.this if isinstance(node, exp.Year) else node.expression)
        return None if leaf is None else (leaf, Grain.YEAR)
    return None


def _leaf(node: exp.Expr | None) -> exp.Expr | None:
    """The clock that a value is, but for its type."""
    while isinstance(node, exp.Paren) or (isinstance(node, exp.Cast) and node.to.this in _TIMES):
        node = node.this
    if isinstance(node, exp.Dot) and isinstance(node.expression, exp.Anonymous):
        node = node.expression if not node.expression.expressions else None
    if isinstance(node, exp.Anonymous) and node.expressions:
        return None
    return node


# ---------------------------------------------------------------------- by the words of a text


# Names that sqlglot's classes do not tell apart.
_SAME: Mapping[str, tuple[str, ...]] = {
    "current_timestamp": ("now", "get_current_timestamp", "transaction_timestamp"),
    "current_date": ("today",),
    "current_time": ("get_current_time",),
    "localtimestamp": ("current_localtimestamp",),
    "localtime": ("current_localtime",),
    "uuid": ("gen_random_uuid",),
    "gen_random_uuid": ("uuid",),
}


def as_written(item: Moving, words: Collection[str]) -> Moving:
    """With the name that the text has. `words`: those of the text."""
    if item.word in words or item.nature is Nature.UNKNOWN:
        return item
    found = [word for word in _SAME.get(item.word, ()) if word in words]
    return replace(item, word=found[0]) if len(found) == 1 else item


def named_in(words: Iterator[tuple[str, bool]], dialect: str) -> tuple[Moving, ...]:
    """What a text that cannot be read as a tree may have: of each word, whether a bracket follows."""
    functions = functions_of(dialect)
    found: set[Moving] = set()
    for word, called in words:
        if word in ("pg_catalog", "information_schema"):
            found.add(Moving(word, Nature.OUTSIDE))
        elif called and word == "age":
            found.add(Moving("age", Nature.CLOCK, Grain.DAY))
        elif called or word in functions.bare:
            item = moving(word, dialect)
            if item is not None and item.nature is not Nature.UNKNOWN:
                found.add(item)
    return tuple(sorted(found))


_CUTS = frozenset({exp.TimestampTrunc, exp.DateTrunc, exp.Cast, exp.Date, exp.TsOrDsToDate, exp.Year, exp.Extract})
CALLS: frozenset[type[exp.Expr]] = (
    _CUTS
    | {exp.Anonymous}
    | {kind for name in _CLASSES if (kind := getattr(exp, name, None)) is not None}
    | {
        kind
        for kind in vars(exp).values()
        if isinstance(kind, type) and issubclass(kind, exp.Func) and RESTLESS_CLASS.match(kind.__name__)
    }
)
"""The nodes that may be something else in another build."""

CASTS: frozenset[type[exp.Expr]] = frozenset(
    kind
    for kind in vars(exp).values()
    if isinstance(kind, type)
    and issubclass(kind, (*COMPARING, exp.Cast, exp.TryCast, exp.Date, exp.Time, exp.Timestamp))
)
"""Those beside which a text may be the time when it is read."""
