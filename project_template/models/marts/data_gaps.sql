-- What is wrong with the data, counted.
-- Nothing of this is repaired silently: the checks warn, this view says how much, and README.md says what was done.
-- @mode: view
-- @checks:
--   - row_count: {min: 8}
SELECT 'flights that never left' AS gap,                            -- @not_null @unique  What is missing
    count(*) AS affected                                            -- @not_null  How many
FROM staging.flights WHERE cancelled
UNION ALL
SELECT 'flights without an arrival delay', count(*) FROM staging.flights WHERE arrival_delay IS NULL
UNION ALL
SELECT 'flights without a tail number', count(*) FROM staging.flights WHERE tail_number IS NULL
UNION ALL
SELECT 'flights to airports that seeds.airports lacks', count(*)
FROM staging.flights WHERE destination NOT IN (SELECT faa FROM seeds.airports)
UNION ALL
SELECT 'tail numbers that the register lacks', count(DISTINCT tail_number)
FROM staging.flights WHERE tail_number NOT IN (SELECT tail_number FROM staging.planes)
UNION ALL
SELECT 'flights without an observation of the weather', count(*)
FROM intermediate.flights_with_weather WHERE NOT has_weather
UNION ALL
SELECT 'hours of weather that happened twice', count(*)
FROM (SELECT origin, year, month, day, hour FROM raw.weather GROUP BY ALL HAVING count(*) > 1) AS twice
UNION ALL
SELECT 'impossible wind speeds', count(*) FROM raw.weather WHERE wind_speed >= 200
