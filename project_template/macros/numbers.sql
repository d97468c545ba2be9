-- A share in percent with two digits; NULL when the whole is zero.
CREATE MACRO percent_of(part, whole) AS
    round(100.0 * part / nullif(whole, 0), 2);
