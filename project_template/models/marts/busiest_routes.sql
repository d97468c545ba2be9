-- The busiest routes out of each New York airport.
-- @mode: replace
-- @checks:
--   - unique: [origin, destination]
--   - unique: [origin, route_rank]
--   - expression: "route_rank <= $top_routes"
SELECT
    origin,                                                         -- @not_null @in(EWR, JFK, LGA)  Airport of departure
    destination,                                                    -- @not_null  FAA code of the destination
    count(*) AS flights,                                            -- Flights that were scheduled
    count(DISTINCT carrier) AS carriers,                            -- Airlines on the route
    max(distance_miles) AS distance_miles,                          -- Miles
    percent_of(count(*), sum(count(*)) OVER (PARTITION BY origin)) AS share_percent,  -- Share of all flights of the airport
    row_number() OVER (PARTITION BY origin ORDER BY count(*) DESC, destination) AS route_rank  -- 1 for the busiest
FROM intermediate.flight_status
GROUP BY origin, destination
QUALIFY route_rank <= $top_routes
