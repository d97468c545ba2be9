-- Flights as delivered, with real dates and times, readable names and a flag for cancelled ones.
-- The mode is view, from `defaults` in sqlflow.yml: nothing is copied, the files are read when asked.
-- @owner: data-platform
-- @checks:
--   - unique: [flight_date, carrier, flight_number, origin]
--   - row_count: {min: 1}
--   - expression: "recorded_on >= flight_date"
--   - not_null: {columns: [departure_delay, departed_at], where: "NOT cancelled"}
--   - not_null: {columns: [arrival_delay], where: "NOT cancelled", severity: warn}
--   - not_null: {columns: [tail_number], severity: warn}
--   - references: {column: destination, to: seeds.airports.faa, severity: warn}
--   - references: {column: tail_number, to: staging.planes.tail_number, severity: warn}
SELECT
    make_date(year, month, day) AS flight_date,                     -- @not_null  Day of the scheduled departure, New York time
    make_date(year, month, day)
        + to_minutes(minutes_of_day(sched_dep_time)) AS scheduled_departure,  -- @not_null  Scheduled departure, New York time
    make_date(year, month, day)
        + to_minutes(minutes_of_day(sched_dep_time) + dep_delay) AS departed_at,  -- Actual departure; empty for a cancelled flight
    hour AS scheduled_hour,                                         -- @not_null  Hour of the scheduled departure, joins the weather
    carrier,                                                        -- @not_null @references(seeds.airlines.carrier)  IATA code of the airline
    flight AS flight_number,                                        -- @not_null  Number of the flight, unique per carrier, airport and day
    tailnum AS tail_number,                                         -- Registration of the aircraft; 2,512 cancelled flights have none
    origin,                                                         -- @not_null @in(EWR, JFK, LGA)  Airport of departure
    dest AS destination,                                            -- @not_null  FAA code of the destination; four of them are not in seeds.airports
    dep_delay AS departure_delay,                                   -- Minutes, negative when early; empty for a cancelled flight
    arr_delay AS arrival_delay,                                     -- Minutes, negative when early; empty for cancelled and diverted flights
    air_time AS air_minutes,                                        -- Minutes in the air
    distance AS distance_miles,                                     -- Miles between the airports
    dep_time IS NULL AS cancelled,                                  -- @not_null  True when the flight never left
    recorded_on                                                     -- @not_null  Day on which the flight became known; one in a hundred is late
FROM raw.flights
