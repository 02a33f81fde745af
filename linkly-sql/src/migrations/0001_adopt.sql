-- Clicks that other programs write with code and time alone, which an index holds until they are adopted: their
-- time is read as those of the rows that were there before, they get an event id and are counted. One whose time
-- cannot be read, or is older than what was purged, stays without event id and is not counted.
--
-- Not by a trigger of `clicks`: where a table has any, SQLite puts aside what is selected for it before it
-- inserts it, which makes a click of ours 1.39 µs instead of 1.04.
CREATE VIEW /*prefix*/linkly_adopt (id) AS SELECT NULL;
CREATE TRIGGER /*prefix*/linkly_adopt_click INSTEAD OF INSERT ON /*prefix*/linkly_adopt BEGIN
    UPDATE /*prefix*/clicks SET (clicked_at, event_id) = (
        SELECT strftime('%Y-%m-%dT%H:%M:%fZ', ms / 1000.0, 'unixepoch'),
            unhex(printf('%012x7%s8%s', ms, substr(hex(randomblob(2)), 2), substr(hex(randomblob(8)), 2)))
        FROM (SELECT CASE WHEN clicked_at GLOB '[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]*'
                THEN CAST(round(unixepoch(clicked_at, 'subsec') * 1000) AS INTEGER) END AS ms LIMIT 1)
        WHERE ms BETWEEN 0 AND 253402300799999 AND strftime('%Y-%m-%dT%H:%M:%fZ', ms / 1000.0, 'unixepoch')
            >= coalesce((SELECT value FROM /*prefix*/linkly_meta WHERE key = 'purged_before'), '')
        UNION ALL SELECT clicked_at, NULL LIMIT 1)
    WHERE id = NEW.id;
    INSERT INTO /*prefix*/link_stats (code, clicks, bots, last_clicked_at)
        SELECT code, 1, bot, clicked_at FROM /*prefix*/clicks WHERE id = NEW.id AND event_id IS NOT NULL
        ON CONFLICT (code) DO UPDATE SET clicks = clicks + 1, bots = bots + excluded.bots,
            last_clicked_at = max(coalesce(last_clicked_at, ''), excluded.last_clicked_at);
    INSERT INTO /*prefix*/click_hours (code, hour, clicks, bots)
        SELECT code, substr(clicked_at, 1, 13) || ':00:00.000Z', 1, bot
        FROM /*prefix*/clicks WHERE id = NEW.id AND event_id IS NOT NULL
        ON CONFLICT (code, hour) DO UPDATE SET clicks = clicks + 1, bots = bots + excluded.bots;
    UPDATE /*prefix*/linkly_meta SET value = NEW.id WHERE key = 'adopted';
END;
