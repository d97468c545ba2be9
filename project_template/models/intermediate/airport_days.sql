-- Flights per airport of departure and day.
-- Mode auto is what a model without a mode gets: SQLFlow keeps the table equal to the query and picks the way itself.
-- Counts and sums of whole numbers let it add what changed instead of counting all days again.
-- @mode: auto
-- @checks:
--   - unique: [origin, flight_date]
--   - expression: "cancelled + departures = flights"
SELECT
    origin,                                                         -- @not_null @in(EWR, JFK, LGA)  Airport of departure
    flight_date,                                                    -- @not_null  Day
    count(*) AS flights,                                            -- Flights that were scheduled
    count(*) FILTER (WHERE cancelled) AS cancelled,                 -- Flights that never left
    count(departure_delay) AS departures,                           -- Flights that left
    CAST(sum(departure_delay) AS BIGINT) AS delay_minutes           -- All departure delays added up, early ones count negative; empty when none left
FROM staging.flights
GROUP BY origin, flight_date
