-- Log of cancelled flights in the order in which they became known.
-- Append: a build adds the rows recorded after the newest one it has, and never touches what is there. A late row
-- is found although its flight_date is old, because the cursor is the day of recording.
-- @mode: append
-- @cursor: recorded_on
-- @checks:
--   - unique: [flight_date, carrier, flight_number, origin]
SELECT
    recorded_on,                                                    -- @not_null  Day on which the flight became known
    flight_date,                                                    -- @not_null  Day on which it should have left
    recorded_on - flight_date AS days_late,                         -- Days between the two, 0 for nearly all
    carrier,                                                        -- @not_null @references(seeds.airlines.carrier)  IATA code of the airline
    flight_number,                                                  -- @not_null  Number of the flight
    origin,                                                         -- @not_null @in(EWR, JFK, LGA)  Airport of departure
    destination                                                     -- FAA code of the destination
FROM staging.flights
WHERE cancelled
