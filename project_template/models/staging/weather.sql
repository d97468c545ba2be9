-- Weather per airport and hour, once each.
-- When clocks went back on 2013-11-03 the hour from 1 to 2 happened twice at each airport. Flights only know the
-- wall clock, so the first of the two is kept: three rows of raw.weather are left out.
-- @checks:
--   - unique: [origin, observed_on, observed_hour]
--   - expression: "wind_speed_mph < 200"
--   - expression: {sql: "temperature_f IS NOT NULL", severity: warn}
SELECT
    origin,                                                         -- @not_null @in(EWR, JFK, LGA)  Airport
    make_date(year, month, day) AS observed_on,                     -- @not_null  Day, New York time
    hour AS observed_hour,                                          -- @not_null  Hour of the day by the wall clock, 0 to 23
    temp AS temperature_f,                                          -- Degrees Fahrenheit
    humid AS humidity,                                              -- Relative humidity in percent
    CASE WHEN wind_speed < 200 THEN wind_speed END AS wind_speed_mph,  -- Miles per hour; one reading of 1,048 is taken as missing
    precip AS precipitation_in,                                     -- Inches in this hour
    visib AS visibility_miles                                       -- Miles, 10 at most
FROM raw.weather
QUALIFY row_number() OVER (PARTITION BY origin, make_date(year, month, day), hour ORDER BY time_hour) = 1
