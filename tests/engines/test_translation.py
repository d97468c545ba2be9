"""DuckDB's SQL on PostgreSQL: what is translated gives the same rows, and what does not is refused.

Each line is an expression over the table `t`, or a query. It runs on both engines over the same random rows (`tests/two_engines.py`).
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from two_engines import Pair, pair_of_engines

from sqlflow.translation.translate import Untranslatable, translated

SAME = r"""
a / b
a / 2
a // b
a // 2
-a // 2
a % b
-a % 3
a ** 2
a ^ 2
pow(a, 2)
x / y
d / 3
d % 3
a / nullif(b, 0)
CAST(x AS INTEGER)
CAST(d AS INTEGER)
CAST(1.5 AS INTEGER)
CAST(2.5 AS INTEGER)
x::INT
round(x)
round(x, 1)
round(d, 1)
round(d)
round(a, -1)
CAST(round(a, -1) AS VARCHAR)
CAST(round(a, 2) AS VARCHAR)
CAST(round(v) AS VARCHAR)
CAST(trunc(v) AS VARCHAR)
CAST(trunc(d) AS VARCHAR)
CAST(x::DECIMAL(10,2) AS VARCHAR)
trunc(x)
ceil(x)
floor(d)
sign(a)
abs(a)
sqrt(abs(x))
ln(abs(x) + 1)
log(abs(x) + 1)
exp(x / 100)
greatest(a, b)
least(a, b)
greatest(a, NULL)
coalesce(a, b, 0)
ifnull(a, 0)
nullif(a, 1)
CASE WHEN a > 1 THEN 'x' ELSE s END
if(a > 1, 'x', 'y')
a IS DISTINCT FROM b
a = b
a == b
a != b
a <> b
a > 1 AND b > 1
f AND NOT f
f::INT
CAST(f AS VARCHAR)
CAST(d AS VARCHAR)
CAST(day AS VARCHAR)
CAST(ts AS VARCHAR)
CAST(a AS VARCHAR)
CAST(a AS DOUBLE)
CAST(a AS DECIMAL(10,2))
a::BOOLEAN
a & b
a | b
xor(a, b)
a >> 1
~a
s || t
s || a
concat(s, t)
concat(s, NULL, t)
concat_ws('-', s, t)
upper(s)
lower(s)
length(s)
char_length(s)
len(s)
substr(s, 1, 2)
substr(s, 0, 2)
substring(s, 2)
substring(s, 2, 1)
left(s, 2)
left(s, -1)
right(s, 2)
right(s, -1)
trim(s)
ltrim(s)
rtrim(s)
trim(s, 'a')
ltrim(s, 'a')
trim(BOTH 'a' FROM s)
lpad(s, 5, '*')
rpad(s, 5, '*')
lpad(s, 2, '*')
replace(s, 'a', 'b')
reverse(s)
repeat(s, 2)
strpos(s, 'a')
instr(s, 'a')
position('a' IN s)
contains(s, 'a')
starts_with(s, 'a')
ends_with(s, 'a')
s LIKE 'a%'
s ILIKE 'A%'
s NOT LIKE '%b'
s LIKE 'a\%'
s LIKE '100!%' ESCAPE '!'
s ~ 'a.*'
regexp_matches(s, 'a.')
regexp_replace(s, 'a', 'x')
regexp_replace(s, 'a', 'x', 'g')
split_part(s, 'a', 1)
split_part(s, 'a', 2)
split_part(s, 'a', -1)
ascii(s)
chr(65)
md5(s)
translate(s, 'ab', 'xy')
s < t
s = 'A'
date_trunc('month', day)
date_trunc('month', ts)
date_trunc('week', ts)
date_trunc('quarter', day)
date_trunc('hour', ts)
date_trunc('decade', ts)
CAST(date_trunc('month', day) AS DATE)
date_part('year', ts)
date_part('dow', ts)
date_part('isodow', ts)
date_part('week', ts)
date_part('epoch', ts)
date_part('second', ts)
date_part('millisecond', ts)
date_part('microsecond', ts)
date_part('quarter', ts)
date_part('doy', ts)
extract(year FROM ts)
extract(dow FROM day)
extract(epoch FROM ts)
extract(second FROM ts)
extract(millisecond FROM ts)
extract(microsecond FROM ts)
extract(hour FROM ts)
extract(isoyear FROM ts)
extract(century FROM ts)
extract(decade FROM ts)
extract(day FROM ts)
year(ts)
month(ts)
day(ts)
hour(ts)
minute(ts)
second(ts)
quarter(ts)
week(ts)
weekofyear(ts)
dayofweek(ts)
dayofmonth(ts)
dayofyear(ts)
weekday(ts)
isodow(ts)
dayname(ts)
monthname(ts)
epoch(ts)
date_diff('day', day, ts)
date_diff('day', ts, ts2)
date_diff('month', ts, ts2)
date_diff('hour', ts, ts2)
date_diff('year', ts, ts2)
date_diff('minute', ts, ts2)
datediff('day', ts, ts2)
date_add(day, INTERVAL 1 MONTH)
day + 1
day - 1
day - DATE '2024-01-01'
day + INTERVAL 1 DAY
day + INTERVAL 1 MONTH
day + INTERVAL (a) DAY
ts + INTERVAL '1 hour'
ts - INTERVAL 1 WEEK
ts - ts2
ts2 - INTERVAL '1 month 2 days'
ts + to_hours(a)
ts + to_days(a)
day + to_days(3)
ts - to_quarters(a)
ts + to_millennia(1)
ts + to_minutes(a)
day + to_minutes(a)
last_day(day)
last_day(ts)
make_date(2024, 1, 2)
make_timestamp(2024, 1, 2, 3, 4, 5.5)
make_timestamp(1700000000000000)
to_timestamp(1700000000)
epoch_ms(1700000000000)
strftime(ts, '%Y-%m-%d')
strftime(ts, '%d/%m/%y %H:%M:%S')
strftime(ts, '%b %B %a %A')
strftime(ts, 'day %d')
strftime(ts, 'Year: %Y')
strftime(day, '%Y%m')
strptime('2024-01-02', '%Y-%m-%d')
strptime('02/01/2024 03:04', '%d/%m/%Y %H:%M')
CAST(ts AS DATE)
CAST(ts AS TIME)
CAST(day AS TIMESTAMP)
ts::TIMESTAMPTZ AT TIME ZONE 'Europe/Berlin'
ts AT TIME ZONE 'Europe/Berlin'
CAST('2024-01-02' AS DATE)
DATE '2024-01-02'
day BETWEEN DATE '2024-01-01' AND '2024-02-01'
ts > day
greatest(day, DATE '2024-01-15')
a IN (1, 2)
a IN (1, NULL)
a NOT IN (1, NULL)
[a, b]
[a, b][1]
list_value(a, b)[2]
list_contains([a, b], 1)
array_length([a, b])
isnan(x)
isinf(x)
x = x
x > 1
x + 1
a + x
a * d
d * d
d + x
d / x
x BETWEEN 0 AND 1
-x
pi()
sin(x)
atan2(x, 1)
degrees(x)
cbrt(x)
gcd(a, 6)
mod(a, 3)
bool_and(f) OVER ()
row_number() OVER (ORDER BY id)
row_number() OVER (ORDER BY a, id)
row_number() OVER (ORDER BY a DESC, id)
rank() OVER (ORDER BY s)
rank() OVER (ORDER BY s DESC)
dense_rank() OVER (ORDER BY x DESC NULLS LAST)
sum(a) OVER (ORDER BY id)
sum(a) OVER (ORDER BY a)
sum(a) OVER (ORDER BY a DESC)
avg(a) OVER (ORDER BY id ROWS BETWEEN 2 PRECEDING AND CURRENT ROW)
first_value(a) OVER (ORDER BY a DESC, id)
lag(a) OVER (ORDER BY id)
lag(a, 2, 0) OVER (ORDER BY id)
ntile(3) OVER (ORDER BY id)
percent_rank() OVER (ORDER BY a)
cume_dist() OVER (ORDER BY a)
nth_value(a, 2) OVER (ORDER BY id)
sum(a) OVER (ORDER BY day RANGE BETWEEN INTERVAL 3 DAYS PRECEDING AND CURRENT ROW)
count(*) FILTER (WHERE a > 1) OVER ()
(SELECT max(a) FROM t)
a = ANY([1, 2])
a = ALL (SELECT 1)
EXISTS (SELECT 1 FROM t AS u WHERE u.a = t.b)
(a, b) IN (SELECT 1, 2)
a IS NULL
f IS TRUE
f IS NOT FALSE
f = true
f > false
1e3
1_000
'it''s'
E'a\nb'
'a\nb'
$$dollar$$
CAST(a AS TINYINT)
CAST(a AS HUGEINT)
CAST(x AS FLOAT)
CAST(d AS DECIMAL)
x::DECIMAL(10,2)
x::BIGINT
CAST('1.5' AS DECIMAL(10,1))
round(CAST(2.5 AS DOUBLE))
round(CAST(0.5 AS DECIMAL(3,1)))
CAST(2.5::DOUBLE AS INTEGER)
CAST(-2.5::DOUBLE AS INTEGER)
CAST(3.5::DOUBLE AS BIGINT)
100.0 * a / nullif(b, 0)
a * 1.0 / nullif(b, 0)
sum(a) OVER () / count(*) OVER ()
a / 2 * 2
(a + b) / 2
-a / 2
7 / 2
7 // 2
-7 // 2
-7 / 2
7 % -3
2 ** 3
2 ^ 3
2 ** -1
a // 3
(a // b) / 2
sum(v) OVER () // 3
extract(year FROM ts) // 10
year(ts) // 10
date_part('month', day) / 2
date_diff('hour', day, ts)
date_diff('minute', ts2, ts)
date_diff('second', ts2, ts)
date_diff('quarter', ts2, ts)
date_diff('day', ts2, day)
substr(s, strpos(s, 'b') + 1)
substr(s, length(s))
substring(s, 2, 100)
[a, b][1:1]
[a, b][3]
s LIKE t
s LIKE t || '%'
s ILIKE 'A\_'
NOT s LIKE 'a\%'
regexp_replace(s, '[ab]+', 'x')
regexp_matches(s, '^[aA]b?$')
regexp_matches(s, '\d')
regexp_matches(s, 'a|b')
isnan(x / 0.5)
x = 'nan'
CASE a WHEN 1 THEN 'x' WHEN NULL THEN 'y' ELSE 'z' END
a IS NOT DISTINCT FROM NULL
@a
a % 2 = 1
CAST(1e10 AS BIGINT)
round(a / 3, 2)
round(-2.5)
round(2.345, 2)
round(d, 0)
round(d / 3, 2)
round(avg(d) OVER (), 3)
x::FLOAT::DOUBLE
hour(ts) * 60 + minute(ts)
date_trunc('day', ts + INTERVAL 5 HOUR)
date_trunc('month', day) + INTERVAL 1 MONTH
date_trunc('week', day)::DATE
date_trunc('month', ts) = date_trunc('month', day)
date_trunc('minute', CAST(ts AS TIMESTAMP))
strftime(ts, '%Y-%m-%d %H:%M:%S')
strftime(ts, '%Y-W%V')
strftime(ts, '%-d.%-m.%Y')
strftime(ts, '%I %p')
strftime(ts, '%B %b %A %a')
strftime(day, '%y%j')
strftime(ts, 'on %d at %H')
strftime(ts, '100%%')
strptime('2024-01-02 03', '%Y-%m-%d %H')
strptime(strftime(ts, '%Y-%m-%d'), '%Y-%m-%d')
count(*) OVER (ORDER BY x RANGE BETWEEN 1 PRECEDING AND 1 FOLLOWING)
count(*) OVER (ORDER BY a, id GROUPS BETWEEN 1 PRECEDING AND CURRENT ROW)
sum(a) OVER (ORDER BY id ROWS BETWEEN 2 PRECEDING AND CURRENT ROW EXCLUDE CURRENT ROW)
max(s) OVER (PARTITION BY b)
min(day) OVER (PARTITION BY f)
list(a) OVER (ORDER BY id ROWS 1 PRECEDING)
s || NULL
l || NULL
NULL || l
l || CASE WHEN f THEN l END
l || l || l
concat(a, s)
concat_ws(',', s, NULL, t)
coalesce(s, 'x') || coalesce(t, 'y')
upper(s) = 'ÄB'
lower('ÄÖ')
length('äö')
lpad(s, 3, 'xy')
left(s, 0)
replace(s, '', 'x')
strpos(s, '')
repeat(s, -1)
ltrim(s, ' a')
s < 'b'
s >= 'A'
greatest(s, t)
least(s, t)
'a' < 'B'
nullif(s, '')
a::VARCHAR || 'x'
CAST(day AS VARCHAR) || 'x'
CAST(ts2 AS VARCHAR)
CAST(f AS VARCHAR) || 'x'
CAST(d AS VARCHAR) || 'x'
'2024-01-01'::DATE + 1
CAST('2024-01-01 10:00' AS TIMESTAMP)
day::TIMESTAMP + INTERVAL 1 SECOND
(ts2 - ts) > INTERVAL 1 DAY
day - day
ts::DATE - day
epoch(ts2 - ts)
extract(day FROM ts2 - ts)
extract(hour FROM ts2 - ts)
date_part('epoch', ts2 - ts)
INTERVAL 1 DAY * a
INTERVAL '90 minutes'
ts + INTERVAL (a) MONTH
ts + a * INTERVAL 1 HOUR
ts + to_seconds(1.5)
last_day(day) - day
make_timestamp(2024, 1, 2, 3, 4, 5)
day = '2024-01-31'
ts BETWEEN day AND ts2
f OR NULL
f AND NULL
f = f
count_if(f) OVER ()
CASE WHEN f THEN 1 END
(SELECT count(*) FROM t AS u WHERE u.a > t.a)
a > ALL (SELECT b FROM t WHERE b IS NOT NULL)
a = ANY (SELECT b FROM t)
a NOT IN (SELECT b FROM t)
EXISTS (SELECT 1 FROM t u WHERE u.b = t.a)
a / 2.0
d / 2
d * 1.5
d / b
a * 100.0 / b
1 / 3
1 / 3.0
10 ** 2
2 ^ 10
sqrt(a * a)
sign(x)
trunc(d)
ceil(d)
floor(-2.5)
abs(x)
mod(-7, 3)
-7 % 3
power(x, 2)
log(10)
ln(2)
log(2, 8)
isodow(day)
week(day)
dayofweek(day)
dayname(day)
monthname(day)
quarter(day)
regexp_matches('a' || chr(10) || 'b', 'a.b')
regexp_replace(s, 'a.', 'x')
FROM t SELECT a, b
FROM t
SELECT a, count(*) FROM t GROUP BY ALL
SELECT a + 1 AS q, s, count(*) FROM t GROUP BY ALL
SELECT 1 AS one, a, count(*) FROM t GROUP BY ALL
SELECT 'x' AS one, count(*) FROM t GROUP BY ALL
SELECT NULL AS n, a, count(*) FROM t GROUP BY ALL
SELECT DATE '2024-01-01' AS n, a, count(*) FROM t GROUP BY ALL
SELECT (SELECT 1) AS n, a, count(*) FROM t GROUP BY ALL
SELECT -1 AS m, count(*) FROM t GROUP BY ALL
SELECT a AS q FROM t GROUP BY q
SELECT a % 2 AS a, count(*) FROM t GROUP BY a
SELECT a, b FROM t QUALIFY row_number() OVER (PARTITION BY a ORDER BY b, id) = 1
SELECT a, row_number() OVER (PARTITION BY a ORDER BY b, id) AS rn FROM t QUALIFY rn = 1
SELECT a, count(*) AS n FROM t GROUP BY a QUALIFY rank() OVER (ORDER BY count(*)) = 1
SELECT DISTINCT ON (a) a, b, id FROM t ORDER BY a, b, id
SELECT DISTINCT ON (a) a, id FROM t ORDER BY a DESC, b DESC, id
SELECT a FROM t ORDER BY a DESC, id LIMIT 5
SELECT a FROM t ORDER BY a, id LIMIT 5
SELECT a FROM t ORDER BY a DESC NULLS FIRST, id LIMIT 5
SELECT s FROM t ORDER BY s, id LIMIT 12
SELECT s, id FROM t ORDER BY ALL LIMIT 7
SELECT s, id FROM t ORDER BY ALL DESC LIMIT 7
SELECT a, id FROM t ORDER BY 1 DESC, 2 LIMIT 7
SELECT x, id FROM t ORDER BY x DESC, id LIMIT 5
SELECT min(s), max(s) FROM t
SELECT a, min(s), max(t) FROM t GROUP BY a
SELECT max(a), min(day), max(ts) FROM t
SELECT b, arg_max(id, a * 100 + id) FROM t GROUP BY b
SELECT b, arg_min(id, id) FROM t GROUP BY b
SELECT b, max_by(id, id) FROM t GROUP BY b
SELECT b, min_by(s, id) FROM t GROUP BY b
SELECT b, first(a ORDER BY id) FROM t GROUP BY b
SELECT b, any_value(a ORDER BY id) FROM t GROUP BY b
SELECT b, any_value(b) FROM t GROUP BY b
SELECT b, string_agg(s, ',' ORDER BY id) FROM t GROUP BY b
SELECT b, string_agg(s ORDER BY id) FROM t GROUP BY b
SELECT b, string_agg(s, ',' ORDER BY s, id) FROM t GROUP BY b
SELECT b, string_agg(DISTINCT s, ',' ORDER BY s) FROM t GROUP BY b
SELECT b, group_concat(s, ';' ORDER BY id) FROM t GROUP BY b
SELECT b, listagg(s, ';' ORDER BY id) FROM t GROUP BY b
SELECT b, list(a ORDER BY id) FROM t GROUP BY b
SELECT b, list(a ORDER BY a) FROM t GROUP BY b
SELECT b, list(a ORDER BY a DESC) FROM t GROUP BY b
SELECT b, array_agg(a ORDER BY a DESC) FROM t GROUP BY b
SELECT b, array_agg(a ORDER BY id) FILTER (WHERE a > 100) FROM t GROUP BY b
SELECT b, median(a) FROM t GROUP BY b
SELECT b, quantile_cont(a, 0.25) FROM t GROUP BY b
SELECT b, quantile_disc(a, 0.25) FROM t GROUP BY b
SELECT b, quantile_cont(x, [0.25, 0.5]) FROM t GROUP BY b
SELECT b, percentile_cont(0.5) WITHIN GROUP (ORDER BY a) FROM t GROUP BY b
SELECT b, percentile_disc(0.5) WITHIN GROUP (ORDER BY a DESC) FROM t GROUP BY b
SELECT b, count(DISTINCT a), count(DISTINCT s) FROM t GROUP BY b
SELECT b, count(DISTINCT (a, s)) FROM t GROUP BY b
SELECT b, sum(a), avg(a), sum(x), avg(x), sum(d), avg(d) FROM t GROUP BY b
SELECT b, sum(f::INT), count_if(f), countif(a > 1) FROM t GROUP BY b
SELECT b, bool_and(f), bool_or(f) FROM t GROUP BY b
SELECT b, bit_and(a), bit_or(a), bit_xor(a) FROM t GROUP BY b
SELECT b, stddev(a), stddev_pop(a), variance(a), var_pop(a) FROM t GROUP BY b
SELECT b, sum(a) FILTER (a > 1) FROM t GROUP BY b
SELECT b, sum(a) FILTER (WHERE a > 1) FROM t GROUP BY b
SELECT b, sum(a) / count(*) AS r FROM t GROUP BY b
SELECT b, sum(a) // count(*) AS r FROM t GROUP BY b
SELECT b, count(*) / 2 AS r FROM t GROUP BY b
SELECT b, round(avg(a), 2) AS r, round(sum(a) / count(*), 2) AS q FROM t GROUP BY b
SELECT b, round(avg(x), 1) AS r FROM t GROUP BY b
SELECT a, b, count(*) FROM t GROUP BY ROLLUP (a, b)
SELECT a, b, count(*), grouping(a) FROM t GROUP BY CUBE (a, b)
SELECT u.id FROM t AS u SEMI JOIN t AS v ON u.a = v.b
SELECT u.id FROM t AS u ANTI JOIN t AS v ON u.a = v.b
SELECT u.id, v.id FROM t AS u LEFT JOIN t AS v ON u.a = v.b
SELECT u.id, v.id FROM t AS u FULL JOIN t AS v ON u.id = v.a
SELECT a, u.id, v.id FROM t AS u FULL JOIN (SELECT a, id FROM t WHERE a > 1) AS v USING (a)
SELECT u.id, v.id FROM t AS u CROSS JOIN t AS v
SELECT id, l.q FROM t, LATERAL (SELECT a + 1 AS q) AS l
SELECT a FROM t UNION SELECT b FROM t
SELECT a FROM t UNION ALL SELECT d FROM t
SELECT a FROM t EXCEPT SELECT b FROM t
SELECT a FROM t EXCEPT ALL SELECT b FROM t
SELECT a FROM t INTERSECT SELECT b FROM t
SELECT a FROM t UNION SELECT b FROM t INTERSECT SELECT id FROM t
SELECT id, unnest([1, 2]) AS u FROM t
SELECT id, u FROM t, unnest([a, b]) AS x(u)
SELECT * FROM range(3) AS r(i)
SELECT * FROM range(1, 7, 2) AS r(i)
SELECT * FROM generate_series(1, 5) AS r(i)
SELECT * FROM generate_series(1, 7, 2) AS r(i)
SELECT id, i FROM t, range(a) AS r(i)
SELECT * FROM range(DATE '2024-01-01', DATE '2024-01-04', INTERVAL 1 DAY) AS r(i)
SELECT * FROM generate_series(DATE '2024-01-01', DATE '2024-01-04', INTERVAL 1 DAY) AS r(i)
SELECT * FROM generate_series(TIMESTAMP '2024-01-01', TIMESTAMP '2024-01-04', INTERVAL 1 DAY) AS r(i)
SELECT * FROM (VALUES (1, 'a'), (2, 'b')) AS v(i, j)
VALUES (1, 'a'), (2, 'b')
WITH RECURSIVE r AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM r WHERE n < 5) SELECT n FROM r
SELECT t.a FROM t AS T
SELECT a AS "Total", b AS total2 FROM t
SELECT "Total" + 1 FROM (SELECT a AS "Total" FROM t) AS q
SELECT "total" + 1 FROM (SELECT a AS Total FROM t) AS q
SELECT sum(a) AS sum, count(*) AS count FROM t
SELECT a AS user, b AS "order" FROM t
SELECT a user FROM t
SELECT id: a FROM t
SELECT x: a + 1 FROM t
SELECT a FROM t WHERE s IN ('a', 'A')
SELECT a FROM t WHERE a IN (SELECT b FROM t)
SELECT a FROM t WHERE a NOT IN (SELECT b FROM t WHERE b IS NOT NULL)
SELECT a FROM t WHERE (a, b) IN ((1, 2), (2, 3))
SELECT id FROM t WHERE s > 'a'
SELECT id FROM t WHERE s BETWEEN 'A' AND 'b'
SELECT id FROM t WHERE a = '1'
SELECT id FROM t WHERE day = '2024-01-01'
SELECT id FROM t WHERE ts >= '2024-01-01'
SELECT count(*) FROM t GROUP BY GROUPING SETS (())
SELECT a, count(*) FROM t GROUP BY 1 ORDER BY count(*) DESC, a LIMIT 3
SELECT list(DISTINCT a) FROM t WHERE a IS NOT NULL AND false
SELECT max(id) FILTER (WHERE false), sum(a) FILTER (WHERE false), count(a) FILTER (WHERE false) FROM t
SELECT sum(a) FROM t WHERE false
SELECT list(a ORDER BY a NULLS LAST) FROM t
SELECT row_number() OVER w FROM t WINDOW w AS (PARTITION BY a ORDER BY id)
SELECT id, sum(a) OVER w, avg(a) OVER w FROM t WINDOW w AS (ORDER BY a DESC)
SELECT id, row_number() OVER (ORDER BY s, id) FROM t
SELECT id, row_number() OVER (ORDER BY s DESC, id) FROM t
SELECT id, lead(s) OVER (PARTITION BY b ORDER BY s NULLS FIRST, id) FROM t
SELECT id FROM t LIMIT 5 OFFSET 3
SELECT id FROM t ORDER BY id OFFSET 35
SELECT date_trunc('month', day) AS m, count(*) FROM t GROUP BY ALL
SELECT date_trunc('month', day) = DATE '2024-01-01' FROM t
SELECT strftime(day, '%Y-%m') AS m, count(*) FROM t GROUP BY 1
SELECT count(*) FROM t WHERE day >= DATE '2024-01-01' - INTERVAL 30 DAY
SELECT current_date - INTERVAL 1 DAY < current_date
SELECT today() = current_date
SELECT now() >= TIMESTAMP '2024-01-01'
SELECT md5(string_agg(s, '' ORDER BY id)) FROM t
SELECT s, count(*) FROM t GROUP BY s
SELECT lower(s) AS s, count(*) FROM t GROUP BY s
SELECT lower(s) AS s, count(*) FROM t GROUP BY ALL HAVING count(*) > 1
SELECT b, count(*) AS n FROM t GROUP BY b ORDER BY n DESC, b LIMIT 2
SELECT -a AS a FROM t ORDER BY a, id LIMIT 5
SELECT -a AS q FROM t ORDER BY q, id LIMIT 5
SELECT -a AS a, count(*) FROM t GROUP BY t.a HAVING a > 0
SELECT -a AS b FROM t WHERE b > 1
SELECT a AS x1, row_number() OVER (ORDER BY id) AS rn FROM t QUALIFY rn <= 3
SELECT a, count(*) AS n, row_number() OVER (ORDER BY count(*) DESC, a) AS r FROM t GROUP BY a QUALIFY r <= 3
SELECT DISTINCT a, b FROM t
SELECT b, any_value(s ORDER BY id) FROM t GROUP BY b
SELECT b, any_value(b) AS q FROM t GROUP BY b
SELECT b, first(a ORDER BY a DESC, id) FROM t GROUP BY b
SELECT b, arg_max(s, id) FROM t GROUP BY b
SELECT b, arg_min(s, id) FROM t GROUP BY b
SELECT b, max_by(a, id), min_by(a, id) FROM t GROUP BY b
SELECT b, arg_max(id, s || id) FROM t GROUP BY b
SELECT b, arg_max(a, x), count(*) FROM (SELECT a, b, CAST(id AS DOUBLE) AS x FROM t) AS q GROUP BY b
SELECT b, sum(a), sum(d), sum(x), count(x) FROM t GROUP BY b HAVING sum(a) > 1
SELECT b, sum(v) // 2 AS h FROM t GROUP BY b
SELECT h // 2 FROM (SELECT sum(v) AS h FROM t) AS q
SELECT b, stddev(x), stddev_samp(a), var_samp(d) FROM t GROUP BY b
SELECT b, string_agg(s, '') FROM (SELECT b, s FROM t WHERE id < 1) AS q GROUP BY b
SELECT b, count(*) FILTER (WHERE f) / count(*) AS share FROM t GROUP BY b
SELECT max(ts) - min(ts) FROM t
SELECT a, b, sum(id) FROM t GROUP BY GROUPING SETS ((a, b), (a), ()) HAVING sum(id) > 10
SELECT day, count(*) FROM t GROUP BY day HAVING day > DATE '2024-01-01'
SELECT u.id, v.id FROM t AS u JOIN t AS v ON u.s = v.t AND u.id < v.id
SELECT u.id FROM t AS u WHERE EXISTS (SELECT 1 FROM t AS v WHERE v.b = u.a)
SELECT u.id, v.a FROM t AS u LEFT JOIN LATERAL (SELECT a FROM t AS w WHERE w.b = u.a ORDER BY w.id LIMIT 1) AS v ON true
SELECT id, a FROM t WHERE f IS NOT TRUE
SELECT a FROM t UNION ALL SELECT NULL
SELECT a FROM t UNION ALL SELECT x FROM t
SELECT s FROM t UNION SELECT t FROM t
WITH q AS (SELECT a, b FROM t), r AS MATERIALIZED (SELECT a FROM q) SELECT r.a, count(*) FROM r JOIN q USING (a) GROUP BY ALL
SELECT a, (SELECT max(b) FROM t AS u WHERE u.a = t.a) AS m FROM t
SELECT q.* FROM (SELECT a, b FROM t) AS q
SELECT id, unnest([a, b]) AS u, unnest([1]) AS w FROM t
SELECT i FROM generate_series(1, 3) AS g(i) JOIN t ON t.id = i
SELECT * FROM (SELECT 1 AS a UNION ALL SELECT 2) AS q WHERE a IN (SELECT 1)
SELECT count(*) FROM t WHERE ts >= TIMESTAMP '2024-01-01' AND ts < TIMESTAMP '2024-01-01' + INTERVAL 1 MONTH
SELECT s, rank() OVER (ORDER BY s NULLS FIRST) FROM t
SELECT id, s FROM t WHERE s IN ('a', NULL)
SELECT DISTINCT ON (b) b, id FROM t ORDER BY b, id DESC
SELECT b, max(a) AS a FROM t GROUP BY b ORDER BY a DESC, b LIMIT 3
SELECT * FROM (VALUES (1, 2.5), (2, NULL)) AS v(a, b)
SELECT median(x), quantile_cont(x, 0.9) FROM t
SELECT a FROM (SELECT a, b FROM t)
SELECT a FROM (FROM t SELECT a)
SELECT unnamed_subquery.a FROM (SELECT a FROM t)
SELECT unnamed_subquery2.q, u.id FROM (SELECT a FROM t), t AS u, (SELECT 7 AS q)
SELECT a, (SELECT max(q) FROM (SELECT t.b AS q)) FROM t
SELECT unnamed_subquery.a FROM (SELECT a FROM t) WHERE EXISTS (SELECT unnamed_subquery.b FROM (SELECT b FROM t))
SELECT a, q FROM t, LATERAL (SELECT t.a + 1 AS q)
SELECT a FROM (SELECT a FROM t UNION SELECT b FROM (SELECT b FROM t))
SELECT a FROM (SELECT a FROM t) JOIN (SELECT b AS a FROM t) USING (a)
SELECT a FROM (SELECT a FROM t) SEMI JOIN (SELECT b FROM t) ON a = b
SELECT zz, id FROM ((SELECT 1 AS zz) JOIN t ON true)
SELECT zz, id FROM (t JOIN ((SELECT 1 AS zz)) ON true)
SELECT id FROM (FROM t)
SELECT count(*) FROM ((t AS u CROSS JOIN t AS v))
SELECT k.zz FROM ((SELECT 1 AS zz) AS k JOIN t ON true)
SELECT a FROM (SELECT a, b, id FROM t QUALIFY row_number() OVER (ORDER BY id) < 5)
WITH unnamed_subquery AS (SELECT 1 AS a) SELECT b FROM unnamed_subquery, (SELECT 2 AS b)
SELECT col1 FROM (VALUES (1, 'a'), (2, 'b'))
SELECT col1 FROM ((VALUES (1, 'a')))
SELECT col0 FROM (VALUES (1), (2)) AS v
SELECT v.x, col1 FROM (VALUES (1, 2)) AS v(x)
SELECT a FROM t WHERE (a, b) IN (SELECT * FROM (VALUES (1, 2), (2, 3)))
"""

REFUSED = r"""
TRY_CAST(s AS INTEGER)
substr(s, -2)
substr(s, -2, 1)
s[-1]
s SIMILAR TO 'a.*'
s GLOB 'a*'
unicode(s)
format('{}-{}', s, a)
format('{:.2f}', x)
extract(yearweek FROM ts)
date_diff('week', ts, ts2)
age(ts, ts2)
timezone(ts)
list_sort([a, b])
list_reverse_sort([a, b])
array_sort([a, b])
strftime(ts, '%j %U %W %w %u %V %G')
strftime(ts, '%x %X %c')
last_value(a IGNORE NULLS) OVER (ORDER BY id)
(a, b) = (1, 2)
date_diff('week', day, ts2)
date_diff('millisecond', ts2, ts)
substr(s, a)
[a, b][-1]
regexp_replace(s, 'a|ab', 'x')
lag(a IGNORE NULLS) OVER (ORDER BY id)
split_part(s, '', 1)
(a, b) NOT IN (SELECT 1, 2)
SELECT * EXCLUDE (js, x) FROM t
SELECT * REPLACE (a + 1 AS a) FROM t
SELECT * RENAME (a AS aa) FROM t
SELECT COLUMNS('a|b') FROM t
SELECT DISTINCT a FROM t QUALIFY row_number() OVER (PARTITION BY a ORDER BY id) = 1
SELECT * FROM t QUALIFY row_number() OVER (PARTITION BY a ORDER BY id) = 1
SELECT b, corr(a, x), covar_pop(a, x), regr_slope(x, a) FROM t GROUP BY b
SELECT b, max(a, 2) FROM t GROUP BY b
SELECT u.id FROM t AS u SEMI JOIN t AS v USING (a)
SELECT id FROM t AS u SEMI JOIN (SELECT b AS a FROM t) AS v USING (a)
SELECT u.id, v.id FROM t AS u ASOF JOIN t AS v ON u.ts >= v.ts2
SELECT u.id, v.id FROM t AS u POSITIONAL JOIN t AS v
SELECT a, s FROM t UNION ALL BY NAME SELECT t AS s, b AS a FROM t
PIVOT t ON f USING count(*) GROUP BY b
SELECT * FROM (PIVOT t ON f USING count(*) GROUP BY b)
SELECT * FROM (UNPIVOT (SELECT id, a, b FROM t) ON a, b INTO NAME n VALUE v)
SELECT a AS b, row_number() OVER (ORDER BY id) AS a FROM t QUALIFY a <= 3
SELECT a FROM t QUALIFY row_number() OVER (ORDER BY id) <= 3 ORDER BY a LIMIT 2
SELECT b, arg_max(id, id) FILTER (WHERE a > 0) FROM t GROUP BY b
SELECT b, avg(a) // 2 AS h FROM t GROUP BY b
SELECT t.* EXCLUDE (js) FROM t
"""

NOT_THERE = r"""
round_even(x, 1)
log10(abs(x) + 1)
log2(abs(x) + 1)
NOT b
bit_count(a)
strlen(s)
s[1]
s[1:2]
prefix(s, 'a')
suffix(s, 'a')
regexp_full_match(s, 'a.')
regexp_extract(s, 'a.')
regexp_extract(s, '(a)(.)', 2)
string_split(s, 'a')
str_split(s, 'a')[1]
sha256(s)
hash(s)
levenshtein(s, t)
printf('%d', a)
to_base64(encode(s))
hex(a)
to_hex(a)
bin(a)
s COLLATE NOCASE = 'a'
yearweek(ts)
epoch_ms(ts)
epoch_us(ts)
date_sub('day', ts, ts2)
date_sub('month', ts, ts2)
factorial(3)
try_strptime('x', '%Y')
time_bucket(INTERVAL '1 day', ts)
time_bucket(INTERVAL '2 weeks', ts)
len([a, b])
list_sum([a, b])
list_aggregate([a, b], 'sum')
[x + 1 FOR x IN [a, b]]
list_distinct([a, a])
{'k': a}.k
struct_pack(k := a).k
map([1], [2])[1]
json_extract(js, '$.a')
json_extract_string(js, '$.a')
js->'a'
js->>'a'
js->>'$.a'
js->'$.b[0]'
js->>'$.b[0]'
json_extract(js, '$.b[0]')
json_array_length(js->'b')
typeof(a)
isfinite(x)
even(x)
fmod(x, 3)
fdiv(a, 3)
divide(a, 3)
nextafter(x, 1)
sum(DISTINCT a) OVER ()
date_trunc('month', CAST(ts AS DATE))
date_trunc('week', iv)
trunc(x, 1)
century(ts)
isoyear(ts)
SELECT a + 1 AS q FROM t WHERE q > 1
SELECT a + 1 AS q, q + 1 AS r FROM t
SELECT id FROM t ORDER BY id LIMIT 10%
SELECT b, last(a ORDER BY id) FROM t GROUP BY b
SELECT b, median(day) FROM t GROUP BY b
SELECT b, mode(b) FROM t GROUP BY b
SELECT b, quantile(a, 0.5) FROM t GROUP BY b
SELECT b, approx_count_distinct(a) FROM t GROUP BY b
SELECT count() FROM t
SELECT b, sum(f), avg(f::INT) FROM t GROUP BY b
SELECT b, product(x) FROM t GROUP BY b
SELECT b, skewness(a), kurtosis(a) FROM t GROUP BY b
SELECT b, entropy(a) FROM t GROUP BY b
SELECT b, histogram(a) FROM t GROUP BY b
SELECT a, b, count(*), grouping_id(a, b) FROM t GROUP BY GROUPING SETS ((a), (b), ())
SELECT id, l.q FROM t, (SELECT a + 1 AS q) AS l
SELECT id, u FROM t, UNNEST(string_split(s, 'a')) AS x(u)
SELECT unnest(range(3)) AS u
SELECT A, "b", "S" FROM T
SELECT TOTAL + 1 FROM (SELECT a AS "Total" FROM t) AS q
SELECT #1 FROM t
SELECT id FROM t WHERE a
SELECT CASE WHEN a THEN 1 ELSE 2 END FROM t
SELECT id FROM t WHERE f = 1
SELECT -a AS a, count(*) FROM t GROUP BY 1 HAVING a > 0
SELECT mode(a) FROM t WHERE a = 1
"""


@pytest.fixture(scope="module")
def pair() -> Iterator[Pair]:
    with pair_of_engines() as both:
        yield both


@pytest.mark.parametrize("first", range(0, len(SAME.strip().splitlines()), 100))
def test_what_is_translated_gives_the_same_rows(pair: Pair, first: int) -> None:
    lines = SAME.strip().splitlines()[first : first + 100]
    wrong = [found for line in lines if (found := pair.compare(line, "duckdb")).outcome != "equal"]
    assert not wrong, "\n\n".join(f"{one.outcome}: {one.line}\n  {one.told}" for one in wrong)


@pytest.mark.parametrize("line", REFUSED.strip().splitlines())
def test_what_gives_other_rows_is_refused_with_its_reason(pair: Pair, line: str) -> None:
    assert pair.compare(line, "duckdb").outcome == "refused"


@pytest.mark.parametrize("line", NOT_THERE.strip().splitlines())
def test_what_only_duckdb_has_is_refused_before_anything_runs(pair: Pair, line: str) -> None:
    assert pair.compare(line, "duckdb").outcome in ("refused", "refused by the engine")


@pytest.mark.parametrize(
    ("query", "dialect", "target"),
    [
        ("SELECT interval + 1 AS c FROM t", "duckdb", "postgres"),
        ("SELECT interval + 1 AS c FROM t", "postgres", "duckdb"),
        ("SELECT max(DISTINCT) FROM t", "postgres", "duckdb"),
    ],
)
def test_what_the_parser_takes_for_something_else_is_refused(query: str, dialect: str, target: str) -> None:
    with pytest.raises(Untranslatable):
        translated(query, dialect, target)
