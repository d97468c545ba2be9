"""How the rows of a query's inputs map to its output's time column.

The mapping of a table is an expression E over its columns with this promise: if rows of the table
are added, removed or changed, and E of all of them (old and new) lies in a set P of values, then
only output rows whose time lies in P, or is NULL, can change.

Why it holds. Walking down from the output, the time column is always one expression over the columns of
what is read, and each step keeps rows of different times apart:

- a filter, a projection, UNION [ALL], EXCEPT and INTERSECT look at one row, or at equal rows;
- GROUP BY and DISTINCT, when the time is made of the keys; window functions, when it is made of
  the PARTITION BY; DISTINCT ON, when it is made of its keys;
- a join, for the source S that the time comes from: each output row has S's time, or S is null
  extended, and then E(NULL, ..) must be NULL: where an outer join may do that, E may only contain
  what turns NULL into NULL;
- a join, for another source B with `S.d = B.d` for every column d in E: a row of B meets only rows
  of S with the same values, whatever the kind of join; a row of S that gains or loses its partner
  has them too. The columns must have one type, or equal values might differ in E; the caller
  checks `same_type`. The equality may also stand in WHERE, which drops the other rows.

So far times stay what they are. Some constructs let rows of different times meet, but no further apart than a bound
that is known: then the promise is about a *reach* [first, last], and rows at E change only output rows whose time lies
in [E + first, E + last], or is NULL. Reaches add up on the way down: if a row of an inner relation touches the times
in E + r of what reads it, and that touches E + s, then it touches E + r + s.

P may be widened by NULL at every step (NULL groups with NULL, equals nothing, and E(NULL) is NULL
where that matters), so rows with NULL time disturb only each other.

Filters may be pushed for the same reason: with Q the output times that are wanted, and P those from which Q can be
touched (Q widened the other way round, by each reach), putting `E in P` on a table removes rows with E in the
complement of P or NULL, so by the promise only output rows of times outside of Q change, and those in Q
stay. Hence every mapped occurrence that stands in the text is pushable, also one that is
null-extended or inside an outer or semi join: unmatched partners it leaves have times outside P.

What bounds a reach is told where it is found out: `windows`, `spread`.
"""
