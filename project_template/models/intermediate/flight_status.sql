-- @description: |
--   Every flight with what became of it: cancelled, diverted, long delay, late or on time.
--   Inline: there is no such table or view, the query is put into its readers.
-- @mode: inline
SELECT
    flight_date,
    carrier,
    origin,
    destination,
    tail_number,
    departure_delay,
    arrival_delay,
    air_minutes,
    distance_miles,
    CASE
        WHEN cancelled THEN 'cancelled'
        WHEN arrival_delay IS NULL THEN 'diverted'
        WHEN departure_delay >= $long_delay_minutes THEN 'long delay'
        WHEN departure_delay > 0 THEN 'late'
        ELSE 'on time'
    END AS status                    -- One of five; diverted also stands for "left, but its arrival is not known"
FROM staging.flights
