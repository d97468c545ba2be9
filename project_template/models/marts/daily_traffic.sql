-- Flights per day with the average of the last seven days.
-- The days come from the table macro `calendar`, so a day without a single flight would show as 0.
-- @mode: replace
-- @checks:
--   - row_count: {min: 1}
--   - expression: "flights > 0"
WITH days AS (
    SELECT
        c.day,
        c.is_weekend,
        CAST(coalesce(sum(d.flights), 0) AS BIGINT) AS flights,
        CAST(coalesce(sum(d.cancelled), 0) AS BIGINT) AS cancelled
    FROM calendar($first_day, $last_day) AS c
    LEFT JOIN intermediate.airport_days AS d ON d.flight_date = c.day
    WHERE c.day <= (SELECT max(flight_date) FROM intermediate.airport_days)
    GROUP BY c.day, c.is_weekend
)

SELECT
    day,                                                            -- @not_null @unique  Day
    is_weekend,                                                     -- Saturday or Sunday
    flights,                                                        -- @not_null  Flights that were scheduled
    cancelled,                                                      -- Flights that never left
    round(avg(flights) OVER (ORDER BY day ROWS BETWEEN 6 PRECEDING AND CURRENT ROW), 1) AS flights_7_days  -- Average of this day and the six before
FROM days
