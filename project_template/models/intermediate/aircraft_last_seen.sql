-- The newest report about each aircraft.
-- Merge: one row per key. New tail numbers are inserted, known ones replaced by a newer report; the cursor says
-- which rows of staging.flights are newer than the last build.
-- @mode: merge
-- @key: tail_number
-- @cursor: recorded_on
-- @checks:
--   - unique: [tail_number]
SELECT
    tail_number,                                                    -- @not_null  Registration of the aircraft
    recorded_on,                                                    -- @not_null  Day of the newest report
    scheduled_departure,                                            -- @not_null  Departure that was reported, New York time
    carrier,                                                        -- @not_null @references(seeds.airlines.carrier)  Airline that flew it
    flight_number,                                                  -- Number of the flight
    CASE WHEN cancelled THEN origin ELSE destination END AS airport -- @not_null  Where it should be now: at the origin if the flight was cancelled
FROM staging.flights
WHERE tail_number IS NOT NULL
QUALIFY row_number() OVER (
    PARTITION BY tail_number
    ORDER BY recorded_on DESC, scheduled_departure DESC, carrier, flight_number, origin
) = 1
