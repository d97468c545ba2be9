-- Flights with the weather at the airport in the hour of the scheduled departure.
-- Incremental: the table always equals this query, but a build writes only the days whose inputs changed. Both sides
-- of the join carry the day, so a change of the weather on one day is a change of that day's flights only.
-- @mode: incremental
-- @time: flight_date
-- @grain: day
-- @key: [flight_date, carrier, flight_number, origin]
-- @checks:
--   - unique: [flight_date, carrier, flight_number, origin]
--   - row_count: {min: 1}
--   - expression: {sql: has_weather, severity: warn}
SELECT
    f.flight_date,                                                  -- @not_null  Day of the scheduled departure
    f.carrier,                                                      -- @not_null  IATA code of the airline
    f.flight_number,                                                -- @not_null  Number of the flight
    f.origin,                                                       -- @not_null @in(EWR, JFK, LGA)  Airport of departure
    f.scheduled_hour,                                               -- Hour of the scheduled departure
    f.departure_delay,                                              -- Minutes; empty for a cancelled flight
    f.cancelled,                                                    -- True when the flight never left
    w.origin IS NOT NULL AS has_weather,                            -- @not_null  False when no observation exists for that hour
    w.temperature_f,                                                -- Degrees Fahrenheit
    w.wind_speed_mph,                                               -- Miles per hour
    w.precipitation_in,                                             -- Inches in that hour
    w.visibility_miles                                              -- Miles, 10 at most
FROM staging.flights AS f
LEFT JOIN staging.weather AS w
    ON w.origin = f.origin
    AND w.observed_on = f.flight_date
    AND w.observed_hour = f.scheduled_hour
WHERE f.flight_date >= $first_day
