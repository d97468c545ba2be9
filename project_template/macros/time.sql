-- Minutes since midnight of a clock time written as HHMM: 517 is 5 * 60 + 17.
CREATE MACRO minutes_of_day(hhmm) AS
    (hhmm // 100) * 60 + hhmm % 100;

-- One row per day, both ends included: FROM calendar($first_day, $last_day).
CREATE MACRO calendar(from_day, to_day) AS TABLE
    SELECT
        CAST(moment AS DATE) AS day,
        isodow(moment) >= 6 AS is_weekend
    FROM generate_series(CAST(from_day AS TIMESTAMP), CAST(to_day AS TIMESTAMP), INTERVAL 1 DAY) AS days (moment);
