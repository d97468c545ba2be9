"""Functions without a class in sqlglot, by what they do: aggregates, scalars, those that give a list."""

from __future__ import annotations

from sqlflow.compiler.functions.natures import words

AGGREGATES = words(
    """
    any_value approx_count_distinct approx_quantile approx_top_k arbitrary arg_max arg_max_null
    arg_max_nulls_last arg_min arg_min_null arg_min_nulls_last argmax argmin array_agg avg bit_and
    bit_or bit_xor bitstring_agg bool_and bool_or combine_aggr corr count count_if count_star
    countif covar_pop covar_samp decimal_average entropy favg first fsum group_concat histogram
    histogram_exact kahan_sum kurtosis kurtosis_pop last list listagg lttb mad max max_by mean
    median min min_by mode product quantile quantile_cont quantile_disc regr_avgx regr_avgy
    regr_count regr_intercept regr_r2 regr_slope regr_sxx regr_sxy regr_syy reservoir_quantile sem
    skewness stddev stddev_pop stddev_samp string_agg sum sum_no_overflow sumkahan var_pop var_samp
    variance variant_group_object every json_group_array json_group_object json_agg jsonb_agg
    json_object_agg jsonb_object_agg
    """
)

# Those that are known to be scalar and to depend on nothing else.
SCALARS = words(
    """
    row epoch epoch_us epoch_ns make_timestamptz century decade millennium era isoyear yearweek
    to_years to_months to_days to_hours to_minutes to_seconds to_milliseconds to_microseconds
    to_weeks strptime try_strptime strftime list_value list_transform list_filter list_reduce
    list_sum list_avg list_min list_max list_sort list_distinct list_unique list_concat
    array_to_string regexp_matches printf format bar hash md5_number damerau_levenshtein
    jaccard jaro_similarity jaro_winkler_similarity list_count list_aggregate datesub datediff
    datepart date_part trim_scale struct_pack struct_extract struct_insert map_keys map_values
    map_entries map_extract element_at timezone
    """
)

LIST_FUNCTIONS = words(
    """
    list_value list_concat list_sort list_distinct list_transform list_filter string_split
    str_split split regexp_split_to_array regexp_extract_all map_keys map_values map_entries
    str_split_regex string_split_regex list_reverse_sort list_slice range generate_series
    glob
    """
)
