-- Gives the rows that were there before this library what the new columns need, in two passes over
-- each table and without reading it into memory.
--
-- A time that SQLite cannot read stays as it is: such a link gets the id of 1970, such a click no
-- event id, and neither is lost. The pattern keeps out what SQLite would take for a time and is
-- none: `now`, `12`, a Julian day.

UPDATE /*prefix*/links SET
    created_at = strftime('%Y-%m-%dT%H:%M:%fZ', created_at),
    updated_at = strftime('%Y-%m-%dT%H:%M:%fZ', created_at)
WHERE created_at GLOB '[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]*'
    AND strftime('%Y-%m-%dT%H:%M:%fZ', created_at) IS NOT NULL;
-- The layout of linkly_core::derived_id: milliseconds, version 7, variant, number of the row.
UPDATE /*prefix*/links SET id = unhex(printf('%012x7000%016x',
    CASE WHEN updated_at IS NULL THEN 0 ELSE max(0, CAST(round(unixepoch(created_at, 'subsec') * 1000) AS INTEGER)) END,
    rowid | -9223372036854775808));

UPDATE /*prefix*/clicks SET clicked_at = strftime('%Y-%m-%dT%H:%M:%fZ', clicked_at),
    event_id = unhex(printf('%012x7000%016x',
        max(0, CAST(round(unixepoch(clicked_at, 'subsec') * 1000) AS INTEGER)),
        id | -9223372036854775808))
WHERE clicked_at GLOB '[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]*' AND clicked_at >= '1970'
    AND strftime('%Y-%m-%dT%H:%M:%fZ', clicked_at) IS NOT NULL;

INSERT INTO /*prefix*/link_stats (code, clicks, bots, last_clicked_at)
    SELECT code, count(*), sum(bot), max(clicked_at) FROM /*prefix*/clicks WHERE event_id IS NOT NULL GROUP BY code;
INSERT INTO /*prefix*/click_hours (code, hour, clicks, bots)
    SELECT code, substr(clicked_at, 1, 13) || ':00:00.000Z', count(*), sum(bot)
    FROM /*prefix*/clicks WHERE event_id IS NOT NULL GROUP BY 1, 2;
