-- Destinations: how many flights, how late they arrive.
-- Destinations that are missing from seeds.airports (SJU, BQN, STT, PSE) stay in, without a name.
-- @mode: replace
-- @checks:
--   - not_null: {columns: [airport_name], severity: warn}
--   - expression: "arrivals <= flights"
SELECT
    s.destination,                                                  -- @not_null @unique  FAA code
    a.name AS airport_name,                                         -- Name; empty for four airports that the seed does not have
    a.tzone AS time_zone,                                           -- Time zone of the airport
    count(*) AS flights,                                            -- @not_null  Flights that were scheduled
    count(s.arrival_delay) AS arrivals,                             -- Flights with a known arrival
    percent_of(count(*) FILTER (WHERE s.status = 'cancelled'), count(*)) AS cancelled_percent,  -- Share of flights that never left
    round(avg(s.arrival_delay), 2) AS average_arrival_delay,        -- Minutes
    median(s.arrival_delay) AS median_arrival_delay,                -- Minutes
    rank() OVER (ORDER BY count(*) DESC) AS traffic_rank            -- 1 for the destination with most flights
FROM intermediate.flight_status AS s
LEFT JOIN seeds.airports AS a ON a.faa = s.destination
GROUP BY s.destination, a.name, a.tzone
