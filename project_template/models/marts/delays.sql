-- Delays and cancellations per carrier and day.
-- The table behind most reports. Rows of a day come from flights of that day alone, so late rows of June that arrive
-- in July rewrite those days of June and nothing else.
-- @mode: incremental
-- @time: flight_date
-- @grain: day
-- @key: [flight_date, carrier]
-- @tags: [mart, daily]
-- @checks:
--   - unique: [flight_date, carrier]
--   - row_count: {min: 1}
--   - expression: "cancelled + departures = flights"
--   - expression: "diverted <= departures AND long_delays <= departures"
--   - expression: "average_delay BETWEEN -60 AND 1440"
SELECT
    flight_date,                                                    -- @not_null  Day of the scheduled departure
    carrier,                                                        -- @not_null @references(seeds.airlines.carrier)  IATA code of the airline
    count(*) AS flights,                                            -- @not_null  Flights that were scheduled
    count(*) FILTER (WHERE status = 'cancelled') AS cancelled,      -- Flights that never left
    count(*) FILTER (WHERE status = 'diverted') AS diverted,        -- Flights that left, with no arrival known
    count(*) FILTER (WHERE departure_delay >= $long_delay_minutes) AS long_delays,  -- Flights that left long_delay_minutes late or more, see sqlflow.yml
    CAST(coalesce(sum(departure_delay), 0) AS BIGINT) AS delay_minutes,  -- All departure delays added up
    count(departure_delay) AS departures,                           -- Flights that left
    round(avg(departure_delay), 2) AS average_delay,                -- Minutes per flight that left; empty when none did
    max(departure_delay) AS longest_delay                           -- Minutes
FROM intermediate.flight_status
WHERE flight_date >= $first_day
GROUP BY flight_date, carrier
