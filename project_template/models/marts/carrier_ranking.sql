-- Carriers per month, the most punctual first.
-- Replace: the whole table is made anew and swapped in, which is right for small results with ranks in them.
-- @mode: replace
-- @checks:
--   - unique: [month, carrier]
--   - unique: [month, punctuality_rank]
--   - row_count: {min: 1}
WITH months AS (
    SELECT
        date_trunc('month', flight_date) AS month,
        carrier,
        CAST(sum(flights) AS BIGINT) AS flights,
        CAST(sum(departures) AS BIGINT) AS departures,
        CAST(sum(cancelled) AS BIGINT) AS cancelled,
        CAST(sum(long_delays) AS BIGINT) AS long_delays,
        CAST(sum(delay_minutes) AS BIGINT) AS delay_minutes
    FROM marts.delays
    GROUP BY ALL
)

SELECT
    CAST(m.month AS DATE) AS month,                                 -- @not_null  First day of the month
    m.carrier,                                                      -- @not_null @references(seeds.airlines.carrier)  IATA code of the airline
    a.name AS carrier_name,                                         -- @not_null  Name of the airline
    m.flights,                                                      -- Flights that were scheduled
    percent_of(m.cancelled, m.flights) AS cancelled_percent,        -- Share of flights that never left
    percent_of(m.long_delays, m.departures) AS long_delay_percent,  -- Share of departures with a long delay
    round(m.delay_minutes / nullif(m.departures, 0), 2) AS average_delay,      -- Minutes per departure
    row_number() OVER (
        PARTITION BY m.month
        ORDER BY m.delay_minutes / nullif(m.departures, 0) NULLS LAST, m.carrier
    ) AS punctuality_rank,                                          -- 1 for the smallest average delay of the month
    m.flights - lag(m.flights) OVER (
        PARTITION BY m.carrier
        ORDER BY m.month
    ) AS flights_gained                                             -- Flights more than in the last month in which the carrier flew
FROM months AS m
JOIN seeds.airlines AS a ON a.carrier = m.carrier
