-- Aircraft by tail number.
-- @checks:
--   - row_count: {min: 3000}
--   - in: {column: kind, values: [Fixed wing multi engine, Fixed wing single engine, Rotorcraft]}
--   - not_null: {columns: [built_in], severity: warn}
SELECT
    tailnum AS tail_number,                                         -- @not_null @unique  Registration of the aircraft
    year AS built_in,                                               -- Year of manufacture; unknown for 70 aircraft
    type AS kind,                                                   -- @not_null  Kind of aircraft
    manufacturer,                                                   -- @not_null  Maker, as registered
    model,                                                          -- @not_null  Maker's model
    engines,                                                        -- Number of engines
    seats                                                           -- @not_null  Number of seats
FROM raw.planes
