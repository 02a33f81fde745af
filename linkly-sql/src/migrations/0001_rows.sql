-- Gives the rows that were there before this library what the new columns need, in two passes over
-- each table and without reading it into memory.
--
-- A time is read once, as milliseconds, and text and id are made of those: SQLite renders a time that it
-- has read otherwise, with a day's hour 24 and the digits cut off instead of rounded. LIMIT keeps the
-- subquery from being flattened, so it is read once for each row.
--
-- A time that SQLite cannot read stays as it is: such a link gets the id of 1970, such a click, and one
-- from before 1970, no event id, and neither is lost. The pattern keeps out what SQLite would take for
-- a time and is none: `now`, `12`, a Julian day. The last time is that of the year 9999.

-- The layout of linkly_core::derived_id: milliseconds, version 7, variant, number of the row.
UPDATE /*prefix*/links SET (created_at, updated_at, id) = (
    SELECT coalesce(strftime('%Y-%m-%dT%H:%M:%fZ', ms / 1000.0, 'unixepoch'), created_at),
        strftime('%Y-%m-%dT%H:%M:%fZ', ms / 1000.0, 'unixepoch'),
        unhex(printf('%012x7000%016x', max(0, coalesce(ms, 0)), rowid | -9223372036854775808))
    FROM (SELECT CASE WHEN created_at GLOB '[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]*'
            THEN CAST(round(unixepoch(created_at, 'subsec') * 1000) AS INTEGER) END AS ms LIMIT 1));

UPDATE /*prefix*/clicks SET (clicked_at, event_id) = (
    SELECT strftime('%Y-%m-%dT%H:%M:%fZ', ms / 1000.0, 'unixepoch'),
        unhex(printf('%012x7000%016x', ms, id | -9223372036854775808))
    FROM (SELECT CASE WHEN clicked_at GLOB '[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]*'
            THEN CAST(round(unixepoch(clicked_at, 'subsec') * 1000) AS INTEGER) END AS ms LIMIT 1)
    WHERE ms BETWEEN 0 AND 253402300799999
    UNION ALL SELECT clicked_at, NULL LIMIT 1);

INSERT INTO /*prefix*/link_stats (code, clicks, bots, last_clicked_at)
    SELECT code, count(*), sum(bot), max(clicked_at) FROM /*prefix*/clicks WHERE event_id IS NOT NULL GROUP BY code;
INSERT INTO /*prefix*/click_hours (code, hour, clicks, bots)
    SELECT code, substr(clicked_at, 1, 13) || ':00:00.000Z', count(*), sum(bot)
    FROM /*prefix*/clicks WHERE event_id IS NOT NULL GROUP BY 1, 2;

-- Which rows were there before, for the pass over them that is not SQL: the highest number of a link and of
-- a click. Where there were none, the report of that pass is known already.
INSERT INTO /*prefix*/linkly_meta (key, value)
    SELECT 'rows_before', json_array(coalesce((SELECT max(rowid) FROM /*prefix*/links), 0),
        coalesce((SELECT max(id) FROM /*prefix*/clicks), 0));
INSERT INTO /*prefix*/linkly_meta (key, value)
    SELECT 'migration_report', '{"links":0,"clicks":0,"unfit":[]}'
    WHERE NOT EXISTS (SELECT 1 FROM /*prefix*/links) AND NOT EXISTS (SELECT 1 FROM /*prefix*/clicks);
-- The clicks up to here have been looked at.
INSERT INTO /*prefix*/linkly_meta (key, value) SELECT 'adopted', coalesce(max(id), 0) FROM /*prefix*/clicks;
