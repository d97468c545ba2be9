-- Departure delays by kind of weather.
-- @mode: replace
-- @checks:
--   - unique: [weather]
SELECT
    CASE
        WHEN NOT has_weather THEN 'unknown'
        WHEN visibility_miles < 2 THEN 'fog'
        WHEN precipitation_in > 0 AND temperature_f <= 32 THEN 'snow'
        WHEN precipitation_in > 0 THEN 'rain'
        WHEN wind_speed_mph >= 25 THEN 'wind'
        ELSE 'fair'
    END AS weather,                                                 -- @not_null @in(fog, snow, rain, wind, fair, unknown)  Kind of weather in the hour of departure
    count(*) AS flights,                                            -- @not_null  Flights that were scheduled
    percent_of(count(*) FILTER (WHERE cancelled), count(*)) AS cancelled_percent,  -- Share of flights that never left
    round(avg(departure_delay), 2) AS average_delay,                -- Minutes per flight that left
    percent_of(count(*) FILTER (WHERE departure_delay >= $long_delay_minutes), count(departure_delay)) AS long_delay_percent  -- Share of departures with a long delay
FROM intermediate.flights_with_weather
GROUP BY 1
