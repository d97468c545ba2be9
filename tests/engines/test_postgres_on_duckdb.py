"""PostgreSQL's SQL on DuckDB: what is translated gives the same rows, and what does not is refused.

Each line is an expression over the table `t`, or a query. It runs on both engines over the same random rows
(`tests/two_engines.py`).
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from two_engines import Pair, pair_of_engines

SAME = r"""
7 / 2
-7 / 2
a / b
a / 2
a / 2.0
v / 2
d / 3
d / b
x / y
x / 2
a % b
-a % 3
mod(a, 3)
d % 2
div(a, 2)
a + b
a * d
a - v
x + a
x * d
re + a
re + re
re * x
a ^ 2
2 ^ 10
-2 ^ 2
2 ^ 3 ^ 2
power(a, 2)
power(d, 2)
sqrt(abs(x))
abs(a)
abs(d)
abs(x)
sign(d)
sign(x)
sign(a)
round(x)
round(2.5::float8)
round(3.5::float8)
round(-2.5::float8)
round(d)
round(d, 1)
CAST(round(d, 3) AS varchar)
CAST(trunc(d, 3) AS varchar)
CAST(round(d, 1) AS varchar)
round(e, 2)
round(a)
round(a, 2)
round(x::numeric, 2)
round(x::numeric, 1)
round(2.675::float8::numeric, 2)
round(avg(d) OVER (), 2)
round(a / 3.0, 2)
round(100.0 * a / nullif(b, 0), 1)
round(d / 3, 2)
trunc(x)
trunc(d)
trunc(d, 1)
ceil(x)
ceiling(d)
floor(x)
floor(-2.5)
a::numeric
a::numeric(10,2)
d::numeric(5,1)
x::numeric(10,2)
x::numeric
(a::numeric / 3)::numeric(10,4)
d::int
2.5::int
-2.5::int
3.5::int
2.5::float8::int
3.5::float8::int
x::real
a::float8
a::text
d::text
day::text
ts::text
tz::text
f::text
uid::text
tm::text
(a / 2)::text
avg(a) OVER ()
sum(a) OVER ()
(sum(a) OVER ())::text
sum(d) OVER ()
a::smallint
a::bigint
a::bool
f::int
s::varchar(2)
a::varchar(1)
'12'::int
' 12 '::int
'1.5'::numeric
'1.50'::numeric(10,2)
't'::bool
'yes'::boolean
'2024-01-05'::date
'2024-01-05 10:00'::timestamp
'2024-01-05 10:00+02'::timestamptz
DATE '2024-01-05'
TIMESTAMP '2024-01-05 10:00:00'
s || t
s || a
a || s
s || NULL
s || d
s || f
s || day
s || ts
'x' || 1
concat(s, a, NULL)
concat_ws('-', s, NULL, t)
concat_ws('-', s, a)
upper(s)
lower(s)
length(s)
char_length(s)
substr(s, 1, 2)
substr(s, 0, 2)
substr(s, -1)
substr(s, -1, 3)
substr('abc', -1)
substr(s, a)
substr(s, a, 2)
substring(s, 2)
substring(s from 2 for 1)
substring(s for 2)
left(s, 2)
left(s, -1)
right(s, 2)
right(s, -1)
trim(s)
trim(both from s)
trim(both 'a' from s)
trim(leading 'a' from s)
btrim(s)
btrim(s, 'ab')
ltrim(s)
rtrim(s)
lpad(s, 5)
lpad(s, 5, '*')
rpad(s, 1, 'xy')
lpad(s, -1)
replace(s, 'a', 'b')
replace(s, '', 'x')
reverse(s)
repeat(s, 2)
repeat(s, -1)
strpos(s, 'a')
position('a' in s)
translate(s, 'ab', 'x')
split_part(s, 'a', 1)
split_part(s, 'a', 2)
starts_with(s, 'a')
s ^@ 'a'
ascii(s)
chr(65)
md5(s)
s LIKE 'a%'
s LIKE 'a\%'
s LIKE 'a\_b'
s LIKE 'a!%' ESCAPE '!'
s LIKE '%\\%'
s NOT LIKE 'a%'
s LIKE t
s LIKE t || '%'
s ILIKE 'A%'
s ILIKE 'A\%'
s NOT ILIKE '%B'
s ~~ 'a%'
s ~~* 'A%'
s !~~ 'a%'
s ~ 'a.*'
s ~ '^a'
s ~ 'a.b'
s ~* 'A'
s !~ 'a'
s !~* 'A'
s ~ '\d'
regexp_replace(s, 'a', 'x')
regexp_replace(s, 'a', 'x', 'g')
s < t
s = 'a'
s = 'A'
s IN ('a', 'b')
s NOT IN ('a', NULL)
s BETWEEN 'a' AND 'b'
a = '1'
day = '2024-01-31'
ts >= '2024-01-01'
ts > day
a = d
a = x
d = x
f = 't'
f = true
f > g
f AND g
f OR NULL
NOT f
f IS TRUE
f IS NOT FALSE
f IS UNKNOWN
a IS NULL
a ISNULL
a NOTNULL
a IS DISTINCT FROM b
a IS NOT DISTINCT FROM NULL
a BETWEEN 1 AND 3
a IN (1, 2, NULL)
a NOT IN (1, NULL)
a = ANY(ARRAY[1, 2])
a = ALL(SELECT 1)
a IN (SELECT b FROM t)
a NOT IN (SELECT b FROM t)
EXISTS (SELECT 1 FROM t AS q WHERE q.a = t.b)
CASE WHEN a > 1 THEN 'x' ELSE s END
CASE a WHEN 1 THEN 2 END
CASE WHEN f THEN a ELSE d END
coalesce(a, b, 0)
coalesce(s, 'x')
coalesce(day, '2024-01-01')
nullif(a, 1)
nullif(s, '')
greatest(a, b)
greatest(a, NULL, d)
least(day, day2)
day + 1
day - 1
1 + day
day - day2
day - DATE '2024-01-01'
day + interval '1 month'
day + interval '1 day'
day - interval '1 day'
ts + interval '1 hour'
ts - interval '1 month 2 days'
ts - interval '90 minutes'
ts - ts2
ts - day
tz - tz
tz + interval '1 day'
ts + a * interval '1 day'
iv * 2
iv + iv
tm + interval '1 hour'
interval '1 month'
interval '1' day
interval '1 year 2 months'
now() >= timestamp '2024-01-01'
current_date >= date '2024-01-01'
localtimestamp >= timestamp '2024-01-01'
extract(year FROM day)
extract(month FROM ts)
extract(dow FROM ts)
extract(isodow FROM day)
extract(doy FROM ts)
extract(week FROM ts)
extract(quarter FROM day)
extract(hour FROM ts)
extract(second FROM ts)
extract(milliseconds FROM ts)
extract(microseconds FROM ts)
extract(epoch FROM ts)
extract(epoch FROM tz)
extract(century FROM day)
extract(millennium FROM ts)
extract(decade FROM ts)
extract(isoyear FROM ts)
extract(year FROM day)::text
extract(year FROM day)::int
extract(year FROM day) / 2
date_part('year', ts)
date_part('epoch', ts)
date_part('second', ts)
date_part('year', ts)::text
date_trunc('month', ts)
date_trunc('week', ts)
date_trunc('day', day)
date_trunc('month', day)
date_trunc('month', day)::date
date_trunc('hour', tz)
date_trunc('quarter', ts)
to_char(ts, 'YYYY-MM-DD')
to_char(ts, 'YYYY-MM-DD HH24:MI:SS')
to_char(ts, 'DD.MM.YY')
to_char(ts, 'US')
to_char(ts, 'DDD')
to_char(ts, 'FMDD')
to_char(ts, 'yyyy-mm-dd')
to_char(day, 'YYYYMM')
to_char(tz, 'YYYY-MM-DD HH24')
make_date(2024, 1, 2)
make_timestamp(2024, 1, 2, 3, 4, 5.5)
ts AT TIME ZONE 'Europe/Berlin'
tz AT TIME ZONE 'Europe/Berlin'
tz AT TIME ZONE 'UTC'
ts::date
tz::date
ts::time
day::timestamp
day::timestamptz
ts::timestamptz
tz::timestamp
ARRAY[a, b]
ARRAY[1, NULL]
l[1]
l[5]
m[1]
cardinality(l)
l || l
l = ARRAY[5]
ARRAY(SELECT 1)
a & b
a | b
a # b
~a
|/ abs(x)
gcd(a, b)
pi()
degrees(x)
atan2(x, y)
ln(abs(x) + 1)
log(abs(x) + 1)
exp(x / 1e17)
cbrt(x)
$$x$$
$tag$it's$tag$
1e3
1.50
row_number() OVER (ORDER BY a, id)
row_number() OVER (ORDER BY a DESC, id)
rank() OVER (ORDER BY a DESC)
dense_rank() OVER (ORDER BY s NULLS FIRST)
sum(a) OVER (ORDER BY id)
sum(a) OVER (PARTITION BY b ORDER BY id ROWS 2 PRECEDING)
count(*) OVER (ORDER BY day RANGE BETWEEN INTERVAL '3 days' PRECEDING AND CURRENT ROW)
lag(a) OVER (ORDER BY id)
lag(a, 2, 0) OVER (ORDER BY id)
lead(s, 1, 'x') OVER (ORDER BY id)
first_value(a) OVER (PARTITION BY b ORDER BY id DESC)
last_value(a) OVER (ORDER BY id)
nth_value(a, 2) OVER (ORDER BY id)
ntile(4) OVER (ORDER BY id)
percent_rank() OVER (ORDER BY a)
max(a) FILTER (WHERE f) OVER ()
SELECT a, count(*) FROM t GROUP BY a
SELECT a % 2, count(*) FROM t GROUP BY 1
SELECT a % 2 AS a, count(*) FROM t GROUP BY a
SELECT a + 1 AS q, count(*) FROM t GROUP BY q
SELECT a, count(*) FROM t GROUP BY a HAVING count(*) > 1
SELECT a FROM t ORDER BY a LIMIT 5
SELECT a FROM t ORDER BY a DESC LIMIT 5
SELECT a, id FROM t ORDER BY a NULLS FIRST, id LIMIT 7
SELECT s, id FROM t ORDER BY s, id LIMIT 7
SELECT a, id FROM t ORDER BY a DESC, id FETCH FIRST 3 ROWS ONLY
SELECT a, id FROM t ORDER BY id OFFSET 3 ROWS
SELECT DISTINCT a FROM t
SELECT DISTINCT ON (a) a, id FROM t ORDER BY a, id DESC
SELECT DISTINCT ON (b) b, id FROM t ORDER BY b DESC, id
SELECT b, sum(a), avg(a), min(a), max(a), count(a) FROM t GROUP BY b
SELECT b, sum(d), avg(d), sum(x), avg(x), sum(v), avg(v) FROM t GROUP BY b
SELECT b, round(avg(a), 2) FROM t GROUP BY b
SELECT b, round(avg(x)::numeric, 2) FROM t GROUP BY b
SELECT b, sum(a) / count(*) FROM t GROUP BY b
SELECT b, sum(v) / count(*) FROM t GROUP BY b
SELECT b, sum(d) / count(*) FROM t GROUP BY b
SELECT b, count(DISTINCT a), sum(DISTINCT a) FROM t GROUP BY b
SELECT b, count(*) FILTER (WHERE a > 1) FROM t GROUP BY b
SELECT b, bool_and(f), bool_or(f), every(f) FROM t GROUP BY b
SELECT b, string_agg(s, ',' ORDER BY id) FROM t GROUP BY b
SELECT b, string_agg(s, ',' ORDER BY s DESC, id) FROM t GROUP BY b
SELECT b, string_agg(DISTINCT s, ',' ORDER BY s) FROM t GROUP BY b
SELECT b, string_agg(a::text, ',' ORDER BY id) FROM t GROUP BY b
SELECT b, array_agg(a ORDER BY id) FROM t GROUP BY b
SELECT b, array_agg(a ORDER BY a) FROM t GROUP BY b
SELECT b, array_agg(a ORDER BY a DESC) FROM t GROUP BY b
SELECT b, (array_agg(a ORDER BY id))[1] FROM t GROUP BY b
SELECT b, percentile_cont(0.5) WITHIN GROUP (ORDER BY a) FROM t GROUP BY b
SELECT b, percentile_disc(0.5) WITHIN GROUP (ORDER BY a) FROM t GROUP BY b
SELECT b, percentile_disc(0.5) WITHIN GROUP (ORDER BY a DESC) FROM t GROUP BY b
SELECT b, percentile_cont(0.25) WITHIN GROUP (ORDER BY x) FROM t GROUP BY b
SELECT b, stddev(a), stddev_pop(a), variance(a), var_pop(x) FROM t GROUP BY b
SELECT b, covar_pop(a, y) FROM t GROUP BY b
SELECT b, bit_and(a), bit_or(a) FROM t GROUP BY b
SELECT b, min(s), max(s), min(day), max(ts) FROM t GROUP BY b
SELECT a, b, count(*) FROM t GROUP BY ROLLUP (a, b)
SELECT a, b, count(*), grouping(a) FROM t GROUP BY CUBE (a, b)
SELECT a, b, count(*), grouping(a, b) FROM t GROUP BY GROUPING SETS ((a), (b), ())
SELECT count(*) FROM t
SELECT max(a), min(b) FROM t
SELECT count FROM (SELECT count(*) FROM t) AS q
SELECT "case" FROM (SELECT CASE WHEN f THEN 1 END FROM t) AS q
SELECT p.id, q.id FROM t AS p JOIN t AS q ON p.a = q.b
SELECT p.id, q.id FROM t AS p LEFT JOIN t AS q ON p.a = q.b AND q.f
SELECT a, p.id, q.id FROM t AS p FULL JOIN (SELECT a, id FROM t) AS q USING (a)
SELECT * FROM (SELECT id, a FROM t) AS p JOIN (SELECT id, b FROM t) AS q USING (id)
SELECT * FROM (SELECT id, a FROM t) AS p NATURAL JOIN (SELECT id, b FROM t) AS q
SELECT p.id, q.c FROM t AS p CROSS JOIN LATERAL (SELECT p.a + 1 AS c) AS q
SELECT p.id, q.c FROM t AS p LEFT JOIN LATERAL (SELECT max(a) AS c FROM t AS o WHERE o.b = p.b) AS q ON true
SELECT * FROM generate_series(1, 3) AS g
SELECT g FROM generate_series(1, 7, 2) AS g
SELECT * FROM generate_series(date '2024-01-01', date '2024-01-03', interval '1 day') AS g
SELECT g::date FROM generate_series(date '2024-01-01', date '2024-01-03', interval '1 day') AS g
SELECT * FROM generate_series(timestamp '2024-01-01', timestamp '2024-01-03', interval '12 hours') AS g
SELECT generate_series(1, 3)
SELECT id, generate_series(1, 2) FROM t
SELECT * FROM (VALUES (1, 'a'), (2, 'b')) AS v(i, j)
SELECT column1, column2 FROM (VALUES (1, 'a'), (2, 'b')) AS v
VALUES (1, 'a'), (2, 'b')
SELECT a FROM t UNION SELECT b FROM t
SELECT a FROM t UNION ALL SELECT d FROM t
SELECT a FROM t EXCEPT SELECT b FROM t
SELECT a FROM t INTERSECT ALL SELECT b FROM t
SELECT a FROM t UNION ALL SELECT b FROM t ORDER BY 1 LIMIT 5
WITH q AS (SELECT a, b FROM t) SELECT q.a / q.b FROM q
WITH q AS (SELECT a / b AS c FROM t) SELECT c / 2 FROM q
WITH q(x1, x2) AS (SELECT a, s FROM t) SELECT x1 / 2, x2 || x1 FROM q
WITH RECURSIVE r AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM r WHERE n < 5) SELECT n, n / 2 FROM r
WITH q AS MATERIALIZED (SELECT a FROM t) SELECT a FROM q
SELECT id, (SELECT max(a) FROM t AS o WHERE o.b = t.b) / 2 FROM t
SELECT sum(a) OVER w FROM t WINDOW w AS (PARTITION BY b ORDER BY id)
SELECT t.* FROM t WHERE id < 0
SELECT t FROM t WHERE id < 0
SELECT a AS "Total" FROM t
SELECT "Total" + 1 FROM (SELECT a AS "Total" FROM t) AS q
SELECT a AS user, b AS "order" FROM t
SELECT "user" FROM (SELECT a AS "user" FROM t) AS q
SELECT q.user FROM (SELECT a AS user FROM t) AS q
SELECT id FROM t WHERE ts BETWEEN '2024-01-01' AND '2024-02-01'
SELECT id FROM t WHERE s IN (SELECT t FROM t AS q)
SELECT id FROM t WHERE a > (SELECT avg(a) FROM t)
SELECT count(*) FROM t WHERE tz >= '2024-01-01' AND tz < '2024-02-01'
SELECT date_trunc('month', ts)::date AS m, count(*) FROM t GROUP BY 1 ORDER BY 1
SELECT CASE WHEN count(*) = 0 THEN NULL ELSE sum(a)::numeric / count(*) END FROM t
SELECT a, lag(a) OVER (ORDER BY a, id) - a FROM t
SELECT id FROM t ORDER BY id DESC LIMIT ALL
SELECT b, array_agg(s ORDER BY id) FILTER (WHERE s IS NOT NULL) FROM t GROUP BY b
"""

REFUSED = r"""
nullif(v, x)
CAST(nullif(d, x) AS varchar)
x::text
iv::text
l::text
(7.0 / 2)::text
(avg(a) OVER ())::text
s::char(3)
'Jan 5 2024'::date
'20240105'::date
'today'::date
s || x
concat(s, f)
concat(s, x)
initcap(s)
octet_length(s)
bit_length(s)
substring(s from 'a.')
trim(E'\t a \n')
overlay(s placing 'x' from 1 for 1)
split_part(s, 'a', -1)
to_hex(a)
quote_literal(s)
format('%s-%s', s, a)
s LIKE 'a\%' ESCAPE ''
s SIMILAR TO '(a|b)%'
s ~ '\y'
s ~ '\w'
s ~ '[[:alpha:]]'
s ~ t
regexp_replace(s, '(a)', '\1\1')
regexp_replace(s, 'a|ab', 'x')
regexp_replace(s, 'A', 'x', 'gi')
regexp_match(s, 'a')
regexp_split_to_array(s, 'a')
string_to_array(s, 'a')
string_to_array(s, '')
s COLLATE "C" < 'b'
day > 'yesterday'
re = 0.1
x = 'NaN'
a BETWEEN SYMMETRIC 3 AND 1
(a, b) = (1, 2)
(a, b) IN ((1, 2))
(a, b) < (1, 2)
ROW(a, b) IS NULL
a = ANY('{1,2}'::int[])
a <> ALL(ARRAY[1, 2])
a = ANY(l)
day + tm
interval '1 day' * 2.5
iv / 2
tm - tm
interval '1 day' day
interval 'P1D'
interval '1-2'
extract(epoch FROM day)
extract(epoch FROM ts - ts2)
extract(day FROM ts - ts2)
extract(hour FROM ts - ts2)
extract(julian FROM day)
extract(second FROM ts)::text
date_trunc('day', iv)
date_trunc('day', tz, 'Europe/Berlin')
to_char(ts, 'Month')
to_char(ts, 'FMMonth')
to_char(ts, 'Mon')
to_char(ts, 'Day')
to_char(ts, 'IYYY-IW')
to_char(ts, 'HH12 AM')
to_char(ts, 'Q')
to_char(ts, 'MS')
to_char(ts, '"Year" YYYY')
to_char(ts, 'YYYY"x"MM')
to_char(ts, 'TZ')
to_char(d, '999.99')
to_char(a, 'FM000')
to_char(iv, 'HH24:MI')
to_date('2024-01-05', 'YYYY-MM-DD')
to_timestamp('2024-01-05', 'YYYY-MM-DD')
to_timestamp(1700000000)
to_number('12', '99')
age(ts, ts2)
age(ts)
make_interval(days => 2)
make_time(1, 2, 3)
ts AT TIME ZONE '+02'
day AT TIME ZONE 'UTC'
ts::timestamp(0)
date(ts)
l[0]
l[-1]
l[a]
l[1:2]
array_length(l, 1)
array_append(l, a)
l || 1
array_to_string(m, ',')
array_position(l, 2)
l @> ARRAY[1]
l && ARRAY[1]
js -> 'a'
js ->> 'c'
js ->> 'a'
js -> 'b' -> 0
js -> 'b' ->> 0
js #>> '{b,0}'
js @> '{"a": 1}'
js ? 'a'
(js ->> 'a')::int
jsonb_array_length(js -> 'b')
a << 1
a >> 1
@ a
width_bucket(x, 0, 10, 5)
random() < 2
log(2, 8)
E'a\nb'
E'it\'s'
U&'\0041'
B'101'
X'1F'
1_000
0x1F
user
current_user
session_user
current_schema
current_catalog
SELECT a, id FROM t ORDER BY a FETCH FIRST 3 ROWS WITH TIES
SELECT b, avg(a)::text FROM t GROUP BY b
SELECT b, sum(re) FROM t GROUP BY b
SELECT b, array_agg(DISTINCT a) FROM t GROUP BY b
SELECT b, mode() WITHIN GROUP (ORDER BY a) FROM t GROUP BY b
SELECT b, corr(a, x) FROM t GROUP BY b
SELECT b, regr_slope(a, y) FROM t GROUP BY b
SELECT b, json_agg(a) FROM t GROUP BY b
SELECT b, jsonb_object_agg(id, a) FROM t GROUP BY b
SELECT max + 1 FROM (SELECT max(a) FROM t) AS q
SELECT id, q FROM t, unnest(l) AS q
SELECT id, unnest(l) AS q FROM t
SELECT id, unnest(l), unnest(m) FROM t
SELECT id, q, n FROM t, unnest(l) WITH ORDINALITY AS z(q, n)
SELECT g.i FROM generate_series(5, 1, -2) AS g(i)
SELECT user FROM (SELECT a AS "user" FROM t) AS q
SELECT a FROM t FOR UPDATE
SELECT a FROM t TABLESAMPLE SYSTEM (100)
SELECT a FROM ONLY t
SELECT id FROM t WHERE (a, b) IN (SELECT 1, 2)
"""


@pytest.fixture(scope="module")
def pair() -> Iterator[Pair]:
    with pair_of_engines() as both:
        yield both


@pytest.mark.parametrize("first", range(0, len(SAME.strip().splitlines()), 100))
def test_what_is_translated_gives_the_same_rows(pair: Pair, first: int) -> None:
    lines = SAME.strip().splitlines()[first : first + 100]
    wrong = [found for line in lines if (found := pair.compare(line, "postgres")).outcome != "equal"]
    assert not wrong, "\n\n".join(f"{one.outcome}: {one.line}\n  {one.told}" for one in wrong)


@pytest.mark.parametrize("line", REFUSED.strip().splitlines())
def test_what_may_give_other_rows_is_refused_with_its_reason(pair: Pair, line: str) -> None:
    assert pair.compare(line, "postgres").outcome == "refused"
