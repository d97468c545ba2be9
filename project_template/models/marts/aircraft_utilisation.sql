-- Aircraft: how much each one flew, and where it was last seen.
-- 721 tail numbers are not in the register; they stay in with `registered` false.
-- @mode: replace
-- @checks:
--   - expression: {sql: registered, severity: warn}
--   - references: {column: tail_number, to: intermediate.aircraft_last_seen.tail_number}
WITH flown AS (
    SELECT
        tail_number,
        count(*) AS flights,
        count(DISTINCT flight_date) AS days_flown,
        CAST(coalesce(sum(air_minutes), 0) AS BIGINT) AS air_minutes,
        CAST(sum(distance_miles) AS BIGINT) AS distance_miles
    FROM staging.flights
    WHERE tail_number IS NOT NULL AND NOT cancelled
    GROUP BY tail_number
)

SELECT
    f.tail_number,                                                  -- @not_null @unique  Registration of the aircraft
    p.tail_number IS NOT NULL AS registered,                        -- @not_null  False when the register does not know the aircraft
    p.manufacturer,                                                 -- Maker, as registered
    p.model,                                                        -- Maker's model
    p.seats,                                                        -- Number of seats
    f.flights,                                                      -- Flights that left
    f.days_flown,                                                   -- Days with at least one flight out of New York
    f.air_minutes,                                                  -- Minutes in the air
    f.distance_miles,                                               -- Miles
    l.carrier AS last_carrier,                                      -- Airline of the newest report
    l.airport AS last_airport,                                      -- Airport of the newest report
    l.recorded_on AS last_seen_on,                                  -- Day of the newest report
    rank() OVER (PARTITION BY p.model ORDER BY f.air_minutes DESC) AS rank_in_model  -- 1 for the aircraft of this model that flew most
FROM flown AS f
LEFT JOIN staging.planes AS p ON p.tail_number = f.tail_number
LEFT JOIN intermediate.aircraft_last_seen AS l ON l.tail_number = f.tail_number
