"""The tables, queries and refreshes of TPC-H at a small scale, made by SQL alone: the same rows on every machine.

Columns, vocabularies and value ranges are those of the specification, so that each query finds rows; the distribution is
uniform and comments are short. `python -m tpch` prints tier and method of each query.
"""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import duckdb
from lawful import Lawful
from on_postgres import LawfulPostgres

ORDERS = 1500


def _pick(words: str, of: str, salt: str) -> str:
    listed = ", ".join(f"'{word.strip()}'" for word in words.split(","))
    return f"[{listed}][1 + (hash({of}, '{salt}') % {len(words.split(','))})::INT]"


def _number(low: int, high: int, of: str, salt: str) -> str:
    return f"({low} + (hash({of}, '{salt}') % {high - low + 1})::BIGINT)"


_SEGMENTS = "AUTOMOBILE, BUILDING, FURNITURE, MACHINERY, HOUSEHOLD"
_NATIONS = (
    "ALGERIA 0, ARGENTINA 1, BRAZIL 1, CANADA 1, EGYPT 4, ETHIOPIA 0, FRANCE 3, GERMANY 3, INDIA 2, INDONESIA 2, IRAN 4, IRAQ 4, JAPAN 2, "
    "JORDAN 4, KENYA 0, MOROCCO 0, MOZAMBIQUE 0, PERU 1, CHINA 2, ROMANIA 3, SAUDI ARABIA 4, VIETNAM 2, RUSSIA 3, UNITED KINGDOM 3, UNITED STATES 1"
)
_COLORS = "almond, antique, azure, beige, forest, green, khaki, lavender, lemon, red"


def orders(first: int, last: int) -> str:
    """The query of orders of these numbers."""
    return (
        f"SELECT i::INTEGER AS o_orderkey, {_number(1, ORDERS // 10, 'i', 'cust')}::INTEGER AS o_custkey, "
        f"{_pick('F, O, P', 'i', 'status')} AS o_orderstatus, ({_number(1000, 500000, 'i', 'price')} + 0.5)::DECIMAL(15,2) AS o_totalprice, "
        f"DATE '1992-01-01' + {_number(0, 2405, 'i', 'date')}::INTEGER AS o_orderdate, "
        f"{_pick('1-URGENT, 2-HIGH, 3-MEDIUM, 4-NOT SPECIFIED, 5-LOW', 'i', 'priority')} AS o_orderpriority, "
        f"'Clerk#' || i % 7 AS o_clerk, 0 AS o_shippriority, {_pick('quickly, special packages requests, furiously', 'i', 'comment')} AS o_comment "
        f"FROM range({first}, {last + 1}) AS r (i)"
    )


def lineitems(first: int, last: int) -> str:
    """The query of the one to seven lines of each of these orders."""
    parts, suppliers = ORDERS // 8, ORDERS // 50
    key = "(i * 10 + n)"
    return (
        f"SELECT o_orderkey AS l_orderkey, {_number(1, parts, key, 'part')}::INTEGER AS l_partkey, "
        f"(1 + ({_number(1, parts, key, 'part')} + {_number(0, 3, key, 'supp')} * 7) % {suppliers})::INTEGER AS l_suppkey, "
        f"n::INTEGER AS l_linenumber, {_number(1, 50, key, 'quantity')}::DECIMAL(15,2) AS l_quantity, "
        f"({_number(90000, 9000000, key, 'price')} / 100)::DECIMAL(15,2) AS l_extendedprice, "
        f"({_number(0, 10, key, 'discount')} / 100)::DECIMAL(15,2) AS l_discount, ({_number(0, 8, key, 'tax')} / 100)::DECIMAL(15,2) AS l_tax, "
        f"{_pick('R, A, N', key, 'flag')} AS l_returnflag, {_pick('O, F', key, 'status')} AS l_linestatus, "
        f"o_orderdate + {_number(1, 121, key, 'ship')}::INTEGER AS l_shipdate, "
        f"o_orderdate + {_number(30, 90, key, 'commit')}::INTEGER AS l_commitdate, "
        f"o_orderdate + {_number(2, 150, key, 'receipt')}::INTEGER AS l_receiptdate, "
        f"{_pick('DELIVER IN PERSON, COLLECT COD, NONE, TAKE BACK RETURN', key, 'instruct')} AS l_shipinstruct, "
        f"{_pick('REG AIR, AIR, RAIL, SHIP, TRUCK, MAIL, FOB', key, 'mode')} AS l_shipmode, 'line' AS l_comment "
        f"FROM (SELECT o_orderkey, o_orderdate, o_orderkey::BIGINT AS i FROM ({orders(first, last)})) "
        f"CROSS JOIN range(1, 8) AS m (n) WHERE n <= {_number(1, 7, 'i', 'lines')}"
    )


def tables() -> Iterator[str]:
    """The statements that make all tables, in the schema `tpch`."""
    customers, parts, suppliers = ORDERS // 10, ORDERS // 8, ORDERS // 50
    yield "CREATE SCHEMA tpch"
    yield (
        "CREATE TABLE tpch.region AS SELECT * FROM (VALUES (0, 'AFRICA'), (1, 'AMERICA'), (2, 'ASIA'), (3, 'EUROPE'), (4, 'MIDDLE EAST')) "
        "AS t (r_regionkey, r_name)"
    )
    nations = ", ".join(
        f"({n}, '{text.strip().rpartition(' ')[0]}', {text.strip().rpartition(' ')[2]})"
        for n, text in enumerate(_NATIONS.split(","))
    )
    yield f"CREATE TABLE tpch.nation AS SELECT * FROM (VALUES {nations}) AS t (n_nationkey, n_name, n_regionkey)"
    yield (
        f"CREATE TABLE tpch.supplier AS SELECT i::INTEGER AS s_suppkey, 'Supplier#' || i AS s_name, 'address ' || i AS s_address, "
        f"{_number(0, 24, 'i', 'snation')}::INTEGER AS s_nationkey, '27-' || i AS s_phone, "
        f"({_number(-99999, 999999, 'i', 'sbal')} / 100)::DECIMAL(15,2) AS s_acctbal, "
        f"{_pick('fine, Customer some Complaints, quick', 'i', 'scomment')} AS s_comment FROM range(1, {suppliers + 1}) AS r (i)"
    )
    yield (
        f"CREATE TABLE tpch.customer AS SELECT i::INTEGER AS c_custkey, 'Customer#' || i AS c_name, 'address ' || i AS c_address, "
        f"{_number(0, 24, 'i', 'cnation')}::INTEGER AS c_nationkey, {_number(10, 34, 'i', 'phone')} || '-' || i AS c_phone, "
        f"({_number(-99999, 999999, 'i', 'cbal')} / 100)::DECIMAL(15,2) AS c_acctbal, {_pick(_SEGMENTS, 'i', 'segment')} AS c_mktsegment, "
        f"'customer ' || i AS c_comment FROM range(1, {customers + 1}) AS r (i)"
    )
    yield (
        f"CREATE TABLE tpch.part AS SELECT i::INTEGER AS p_partkey, {_pick(_COLORS, 'i', 'color')} || ' ' || {_pick(_COLORS, 'i', 'second')} AS p_name, "
        f"'Manufacturer#' || {_number(1, 5, 'i', 'mfgr')} AS p_mfgr, 'Brand#' || {_number(1, 3, 'i', 'b1')} || {_number(1, 3, 'i', 'b2')} AS p_brand, "
        f"{_pick('STANDARD, SMALL, MEDIUM, LARGE, ECONOMY, PROMO', 'i', 't1')} || ' ' || {_pick('ANODIZED, POLISHED, BURNISHED', 'i', 't2')} || ' ' || "
        f"{_pick('TIN, BRASS, STEEL', 'i', 't3')} AS p_type, {_number(1, 50, 'i', 'size')}::INTEGER AS p_size, "
        f"{_pick('SM, MED, LG, JUMBO', 'i', 'c1')} || ' ' || {_pick('CASE, BOX, BAG, PACK, PKG', 'i', 'c2')} AS p_container, "
        f"(900 + i % 200)::DECIMAL(15,2) AS p_retailprice, 'part' AS p_comment FROM range(1, {parts + 1}) AS r (i)"
    )
    yield (
        f"CREATE TABLE tpch.partsupp AS SELECT p::INTEGER AS ps_partkey, (1 + (p + n * 7) % {suppliers})::INTEGER AS ps_suppkey, "
        f"{_number(1, 9999, '(p * 4 + n)', 'qty')}::INTEGER AS ps_availqty, ({_number(100, 100000, '(p * 4 + n)', 'cost')} / 100)::DECIMAL(15,2) "
        f"AS ps_supplycost, 'ps' AS ps_comment FROM range(1, {parts + 1}) AS r (p), range(4) AS s (n)"
    )
    yield f"CREATE TABLE tpch.orders AS {orders(1, ORDERS)}"
    yield f"CREATE TABLE tpch.lineitem AS {lineitems(1, ORDERS)}"


def insert_orders(first: int, count: int) -> tuple[str, ...]:
    """RF1: new orders and their lines."""
    return (
        f"INSERT INTO tpch.orders {orders(first, first + count - 1)}",
        f"INSERT INTO tpch.lineitem {lineitems(first, first + count - 1)}",
    )


def delete_orders(first: int, count: int) -> tuple[str, ...]:
    """RF2: old orders go, and their lines."""
    return (
        f"DELETE FROM tpch.lineitem WHERE l_orderkey BETWEEN {first} AND {first + count - 1}",
        f"DELETE FROM tpch.orders WHERE o_orderkey BETWEEN {first} AND {first + count - 1}",
    )


QUERIES: Mapping[str, str] = {
    "q01": """SELECT l_returnflag, l_linestatus, sum(l_quantity) AS sum_qty, sum(l_extendedprice) AS sum_base_price,
    sum(l_extendedprice * (1 - l_discount)) AS sum_disc_price, sum(l_extendedprice * (1 - l_discount) * (1 + l_tax)) AS sum_charge,
    avg(l_quantity) AS avg_qty, avg(l_extendedprice) AS avg_price, avg(l_discount) AS avg_disc, count(*) AS count_order
FROM tpch.lineitem WHERE l_shipdate <= DATE '1998-12-01' - INTERVAL 90 DAY
GROUP BY l_returnflag, l_linestatus ORDER BY l_returnflag, l_linestatus""",
    "q02": """SELECT s_acctbal, s_name, n_name, p_partkey, p_mfgr, s_address, s_phone, s_comment
FROM tpch.part, tpch.supplier, tpch.partsupp, tpch.nation, tpch.region
WHERE p_partkey = ps_partkey AND s_suppkey = ps_suppkey AND p_size > 15 AND p_type LIKE '%BRASS' AND s_nationkey = n_nationkey
    AND n_regionkey = r_regionkey AND r_name = 'EUROPE'
    AND ps_supplycost = (SELECT min(ps_supplycost) FROM tpch.partsupp, tpch.supplier, tpch.nation, tpch.region
        WHERE p_partkey = ps_partkey AND s_suppkey = ps_suppkey AND s_nationkey = n_nationkey AND n_regionkey = r_regionkey AND r_name = 'EUROPE')
ORDER BY s_acctbal DESC, n_name, s_name, p_partkey LIMIT 100""",
    "q03": """SELECT l_orderkey, sum(l_extendedprice * (1 - l_discount)) AS revenue, o_orderdate, o_shippriority
FROM tpch.customer, tpch.orders, tpch.lineitem
WHERE c_mktsegment = 'BUILDING' AND c_custkey = o_custkey AND l_orderkey = o_orderkey AND o_orderdate < DATE '1995-03-15' AND l_shipdate > DATE '1995-03-15'
GROUP BY l_orderkey, o_orderdate, o_shippriority ORDER BY revenue DESC, o_orderdate LIMIT 10""",
    "q04": """SELECT o_orderpriority, count(*) AS order_count FROM tpch.orders
WHERE o_orderdate >= DATE '1993-07-01' AND o_orderdate < DATE '1993-07-01' + INTERVAL 3 MONTH
    AND EXISTS (SELECT * FROM tpch.lineitem WHERE l_orderkey = o_orderkey AND l_commitdate < l_receiptdate)
GROUP BY o_orderpriority ORDER BY o_orderpriority""",
    "q05": """SELECT n_name, sum(l_extendedprice * (1 - l_discount)) AS revenue
FROM tpch.customer, tpch.orders, tpch.lineitem, tpch.supplier, tpch.nation, tpch.region
WHERE c_custkey = o_custkey AND l_orderkey = o_orderkey AND l_suppkey = s_suppkey AND c_nationkey = s_nationkey AND s_nationkey = n_nationkey
    AND n_regionkey = r_regionkey AND r_name = 'ASIA' AND o_orderdate >= DATE '1994-01-01' AND o_orderdate < DATE '1995-01-01'
GROUP BY n_name ORDER BY revenue DESC""",
    "q06": """SELECT sum(l_extendedprice * l_discount) AS revenue FROM tpch.lineitem
WHERE l_shipdate >= DATE '1994-01-01' AND l_shipdate < DATE '1995-01-01' AND l_discount BETWEEN 0.05 AND 0.07 AND l_quantity < 24""",
    "q07": """SELECT supp_nation, cust_nation, l_year, sum(volume) AS revenue
FROM (SELECT n1.n_name AS supp_nation, n2.n_name AS cust_nation, extract(year FROM l_shipdate) AS l_year, l_extendedprice * (1 - l_discount) AS volume
    FROM tpch.supplier, tpch.lineitem, tpch.orders, tpch.customer, tpch.nation n1, tpch.nation n2
    WHERE s_suppkey = l_suppkey AND o_orderkey = l_orderkey AND c_custkey = o_custkey AND s_nationkey = n1.n_nationkey AND c_nationkey = n2.n_nationkey
        AND (n1.n_regionkey = 3 OR n2.n_regionkey = 3) AND l_shipdate BETWEEN DATE '1995-01-01' AND DATE '1996-12-31') AS shipping
GROUP BY supp_nation, cust_nation, l_year ORDER BY supp_nation, cust_nation, l_year""",
    "q08": """SELECT o_year, sum(CASE WHEN nation = 'BRAZIL' THEN volume ELSE 0 END) / sum(volume) AS mkt_share
FROM (SELECT extract(year FROM o_orderdate) AS o_year, l_extendedprice * (1 - l_discount) AS volume, n2.n_name AS nation
    FROM tpch.part, tpch.supplier, tpch.lineitem, tpch.orders, tpch.customer, tpch.nation n1, tpch.nation n2, tpch.region
    WHERE p_partkey = l_partkey AND s_suppkey = l_suppkey AND l_orderkey = o_orderkey AND o_custkey = c_custkey AND c_nationkey = n1.n_nationkey
        AND n1.n_regionkey = r_regionkey AND r_name = 'AMERICA' AND s_nationkey = n2.n_nationkey
        AND o_orderdate BETWEEN DATE '1995-01-01' AND DATE '1996-12-31' AND p_type LIKE 'ECONOMY%') AS all_nations
GROUP BY o_year ORDER BY o_year""",
    "q09": """SELECT nation, o_year, sum(amount) AS sum_profit
FROM (SELECT n_name AS nation, extract(year FROM o_orderdate) AS o_year, l_extendedprice * (1 - l_discount) - ps_supplycost * l_quantity AS amount
    FROM tpch.part, tpch.supplier, tpch.lineitem, tpch.partsupp, tpch.orders, tpch.nation
    WHERE s_suppkey = l_suppkey AND ps_suppkey = l_suppkey AND ps_partkey = l_partkey AND p_partkey = l_partkey AND o_orderkey = l_orderkey
        AND s_nationkey = n_nationkey AND p_name LIKE '%green%') AS profit
GROUP BY nation, o_year ORDER BY nation, o_year DESC""",
    "q10": """SELECT c_custkey, c_name, sum(l_extendedprice * (1 - l_discount)) AS revenue, c_acctbal, n_name, c_address, c_phone, c_comment
FROM tpch.customer, tpch.orders, tpch.lineitem, tpch.nation
WHERE c_custkey = o_custkey AND l_orderkey = o_orderkey AND o_orderdate >= DATE '1993-10-01' AND o_orderdate < DATE '1994-01-01'
    AND l_returnflag = 'R' AND c_nationkey = n_nationkey
GROUP BY c_custkey, c_name, c_acctbal, c_phone, n_name, c_address, c_comment ORDER BY revenue DESC LIMIT 20""",
    "q11": """SELECT ps_partkey, sum(ps_supplycost * ps_availqty) AS value FROM tpch.partsupp, tpch.supplier, tpch.nation
WHERE ps_suppkey = s_suppkey AND s_nationkey = n_nationkey AND n_regionkey = 3
GROUP BY ps_partkey HAVING sum(ps_supplycost * ps_availqty) > (SELECT sum(ps_supplycost * ps_availqty) * 0.0050
    FROM tpch.partsupp, tpch.supplier, tpch.nation WHERE ps_suppkey = s_suppkey AND s_nationkey = n_nationkey AND n_regionkey = 3)
ORDER BY value DESC""",
    "q12": """SELECT l_shipmode, sum(CASE WHEN o_orderpriority = '1-URGENT' OR o_orderpriority = '2-HIGH' THEN 1 ELSE 0 END) AS high_line_count,
    sum(CASE WHEN o_orderpriority <> '1-URGENT' AND o_orderpriority <> '2-HIGH' THEN 1 ELSE 0 END) AS low_line_count
FROM tpch.orders, tpch.lineitem
WHERE o_orderkey = l_orderkey AND l_shipmode IN ('MAIL', 'SHIP') AND l_commitdate < l_receiptdate AND l_shipdate < l_commitdate
    AND l_receiptdate >= DATE '1994-01-01' AND l_receiptdate < DATE '1995-01-01'
GROUP BY l_shipmode ORDER BY l_shipmode""",
    "q13": """SELECT c_count, count(*) AS custdist
FROM (SELECT c_custkey, count(o_orderkey) FROM tpch.customer LEFT OUTER JOIN tpch.orders ON c_custkey = o_custkey AND o_comment NOT LIKE '%special%requests%'
    GROUP BY c_custkey) AS c_orders (c_custkey, c_count)
GROUP BY c_count ORDER BY custdist DESC, c_count DESC""",
    "q14": """SELECT 100.00 * sum(CASE WHEN p_type LIKE 'PROMO%' THEN l_extendedprice * (1 - l_discount) ELSE 0 END)
    / sum(l_extendedprice * (1 - l_discount)) AS promo_revenue
FROM tpch.lineitem, tpch.part WHERE l_partkey = p_partkey AND l_shipdate >= DATE '1995-09-01' AND l_shipdate < DATE '1995-10-01'""",
    "q15": """WITH revenue AS (SELECT l_suppkey AS supplier_no, sum(l_extendedprice * (1 - l_discount)) AS total_revenue FROM tpch.lineitem
    WHERE l_shipdate >= DATE '1996-01-01' AND l_shipdate < DATE '1996-04-01' GROUP BY l_suppkey)
SELECT s_suppkey, s_name, s_address, s_phone, total_revenue FROM tpch.supplier, revenue
WHERE s_suppkey = supplier_no AND total_revenue = (SELECT max(total_revenue) FROM revenue) ORDER BY s_suppkey""",
    "q16": """SELECT p_brand, p_type, p_size, count(DISTINCT ps_suppkey) AS supplier_cnt FROM tpch.partsupp, tpch.part
WHERE p_partkey = ps_partkey AND p_brand <> 'Brand#12' AND p_type NOT LIKE 'MEDIUM POLISHED%' AND p_size IN (49, 14, 23, 45, 19, 3, 36, 9)
    AND ps_suppkey NOT IN (SELECT s_suppkey FROM tpch.supplier WHERE s_comment LIKE '%Customer%Complaints%')
GROUP BY p_brand, p_type, p_size ORDER BY supplier_cnt DESC, p_brand, p_type, p_size""",
    "q17": """SELECT sum(l_extendedprice) / 7.0 AS avg_yearly FROM tpch.lineitem, tpch.part
WHERE p_partkey = l_partkey AND p_brand LIKE 'Brand#2%' AND p_container LIKE 'MED%'
    AND l_quantity < (SELECT 0.5 * avg(l_quantity) FROM tpch.lineitem WHERE l_partkey = p_partkey)""",
    "q18": """SELECT c_name, c_custkey, o_orderkey, o_orderdate, o_totalprice, sum(l_quantity) AS quantity
FROM tpch.customer, tpch.orders, tpch.lineitem
WHERE o_orderkey IN (SELECT l_orderkey FROM tpch.lineitem GROUP BY l_orderkey HAVING sum(l_quantity) > 200)
    AND c_custkey = o_custkey AND o_orderkey = l_orderkey
GROUP BY c_name, c_custkey, o_orderkey, o_orderdate, o_totalprice ORDER BY o_totalprice DESC, o_orderdate LIMIT 100""",
    "q19": """SELECT sum(l_extendedprice * (1 - l_discount)) AS revenue FROM tpch.lineitem, tpch.part
WHERE (p_partkey = l_partkey AND p_brand = 'Brand#12' AND p_container IN ('SM CASE', 'SM BOX', 'SM PACK', 'SM PKG') AND l_quantity BETWEEN 1 AND 31
        AND p_size BETWEEN 1 AND 45 AND l_shipmode IN ('AIR', 'REG AIR'))
    OR (p_partkey = l_partkey AND p_brand = 'Brand#23' AND p_container IN ('MED BAG', 'MED BOX', 'MED PKG', 'MED PACK') AND l_quantity BETWEEN 10 AND 40
        AND p_size BETWEEN 1 AND 45)
    OR (p_partkey = l_partkey AND p_brand = 'Brand#33' AND p_container IN ('LG CASE', 'LG BOX', 'LG PACK', 'LG PKG') AND l_quantity BETWEEN 20 AND 50)""",
    "q20": """SELECT s_name, s_address FROM tpch.supplier, tpch.nation
WHERE s_suppkey IN (SELECT ps_suppkey FROM tpch.partsupp
        WHERE ps_partkey IN (SELECT p_partkey FROM tpch.part WHERE p_name LIKE 'forest%')
            AND ps_availqty > (SELECT 0.5 * sum(l_quantity) FROM tpch.lineitem WHERE l_partkey = ps_partkey AND l_suppkey = ps_suppkey
                AND l_shipdate >= DATE '1994-01-01' AND l_shipdate < DATE '1998-01-01'))
    AND s_nationkey = n_nationkey AND n_regionkey IN (1, 3) ORDER BY s_name""",
    "q21": """SELECT s_name, count(*) AS numwait FROM tpch.supplier, tpch.lineitem l1, tpch.orders, tpch.nation
WHERE s_suppkey = l1.l_suppkey AND o_orderkey = l1.l_orderkey AND o_orderstatus = 'F' AND l1.l_receiptdate > l1.l_commitdate
    AND EXISTS (SELECT * FROM tpch.lineitem l2 WHERE l2.l_orderkey = l1.l_orderkey AND l2.l_suppkey <> l1.l_suppkey)
    AND NOT EXISTS (SELECT * FROM tpch.lineitem l3 WHERE l3.l_orderkey = l1.l_orderkey AND l3.l_suppkey <> l1.l_suppkey
        AND l3.l_receiptdate > l3.l_commitdate)
    AND s_nationkey = n_nationkey AND n_regionkey IN (1, 3)
GROUP BY s_name ORDER BY numwait DESC, s_name LIMIT 100""",
    "q22": """SELECT cntrycode, count(*) AS numcust, sum(c_acctbal) AS totacctbal
FROM (SELECT substring(c_phone, 1, 2) AS cntrycode, c_acctbal FROM tpch.customer
    WHERE substring(c_phone, 1, 2) IN ('13', '31', '23', '29', '30', '18', '17', '20', '21', '22')
        AND c_acctbal > (SELECT avg(c_acctbal) FROM tpch.customer WHERE c_acctbal > 0.00
            AND substring(c_phone, 1, 2) IN ('13', '31', '23', '29', '30', '18', '17', '20', '21', '22'))
        AND NOT EXISTS (SELECT * FROM tpch.orders WHERE o_custkey = c_custkey AND o_orderdate > DATE '1997-06-01')) AS custsale
GROUP BY cntrycode ORDER BY cntrycode""",
}
# What a LIMIT hides from the deltas.
UNLIMITED: Mapping[str, str] = {
    f"{name}_all": sql.rpartition(" LIMIT ")[0] for name, sql in QUERIES.items() if " LIMIT " in sql
}


_MADE = re.compile(r"(CREATE TABLE|INSERT INTO) (tpch\.\w+) (?:AS )?(?=SELECT)")
_IN_POSTGRES = {"STRING": "TEXT", "NUMBER": "DECIMAL(15,2)"}


def begin(project: Lawful) -> None:
    """A project with the 22 queries, and those with a LIMIT once more without it, as models; nothing built yet."""
    project.begin(
        {f"models/out/{name}.sql": f"-- @strategy: delta\n{sql}\n" for name, sql in {**QUERIES, **UNLIMITED}.items()}
    )
    fill(project, *tables())


def fill(project: Lawful, *statements: str) -> None:
    """Run statements whose rows DuckDB makes: `CREATE TABLE ... AS` and `INSERT INTO`, or others."""
    if not isinstance(project, LawfulPostgres):
        project.sql(*statements)
        return
    with duckdb.connect() as here:
        for statement in statements:
            made = _MADE.match(statement)
            if made is None:
                project.sql(statement)
                continue
            new, table = made[1].startswith("CREATE"), made[2]
            found = here.execute(statement[made.end() :])
            columns = ", ".join(
                f"{entry[0]} {_IN_POSTGRES.get(str(entry[1]), entry[1])}" for entry in found.description
            )
            if new:
                project.own_sql(f"CREATE TABLE {table} ({columns})")
            with project.connected() as connection:
                connection.copy(table, found.fetchall())


def methods(project: Lawful) -> list[tuple[str, str, str, str]]:
    """For each query that has something to do: name, tier, method, and what keeps it from a better one."""
    plan = json.loads(project.plan())
    found = []
    for task in plan["tasks"]:
        if not task["table"].startswith("out."):
            continue
        refusal = task.get("refusal") or {}
        why = f"{refusal['construct']}, line {refusal['line']}: {refusal['reason']}" if refusal else ""
        found.append(
            (task["table"].removeprefix("out."), str(task.get("tier")), str(task.get("strategy") or None), why)
        )
    return sorted(found)


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        project = Lawful(Path(folder))
        begin(project)
        assert project.build().code == 0
        project.sql(
            *insert_orders(ORDERS + 1, 15),
            *delete_orders(1, 15),
            "UPDATE tpch.supplier SET s_acctbal = s_acctbal + 1 WHERE s_suppkey = 3",
        )
        print("| query | tier | method | why not more |\n|---|---|---|---|")
        for row in methods(project):
            print(f"| {' | '.join(row)} |")


if __name__ == "__main__":
    main()
