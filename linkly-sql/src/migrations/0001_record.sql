-- Recording clicks.
--
-- A batch comes as columns. What differs from row to row is packed, each value in a fixed width: `ids` 16
-- bytes, `times` 24, `visitors` 20 (blank for none; NULL when there is none at all). `substr` of a blob takes
-- the same time wherever it looks, where a row of JSON has to be parsed for every column: 1.0 µs a row,
-- totals included, against 3.9. What repeats stands once in `dictionary`, an array of [code, link id, bot,
-- referrer, browser, os, device, country], ids in hex, and `entries` is an array of each row's place in it.
--
-- `hours` is an array of [code, hour, clicks, bots, last click], what the rows raise the counts by if all of
-- them are new; NULL leaves it to be read off the rows. `oldest` is the time of the oldest click, `mark` the
-- highest id before.
--
-- Never INSERT OR IGNORE: it also drops a row that breaks NOT NULL, which is an acknowledged click lost. The
-- LIMIT keeps the dictionary from being read again for each row. Nothing before the rows reads `clicks`, or SQLite
-- puts the rows aside before it inserts them.
CREATE VIEW /*prefix*/linkly_record (ids, times, visitors, entries, dictionary, hours, oldest, mark) AS
    SELECT NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL;
CREATE TRIGGER /*prefix*/linkly_record_batch INSTEAD OF INSERT ON /*prefix*/linkly_record BEGIN
    SELECT RAISE(ABORT, 'linkly: a click is older than what was purged')
        WHERE NEW.oldest < (SELECT value FROM /*prefix*/linkly_meta WHERE key = 'purged_before');
    SELECT RAISE(ABORT, 'linkly: a click is of a link whose code was released')
        WHERE EXISTS (SELECT 1 FROM /*prefix*/released_links)
        AND EXISTS (SELECT 1 FROM json_each(NEW.dictionary) AS d CROSS JOIN /*prefix*/released_links AS r
            WHERE r.id = unhex(d.value ->> 1));
    INSERT INTO /*prefix*/clicks (event_id, code, clicked_at, link_id, bot, visitor, referrer, browser, os, device, country)
        SELECT substr(NEW.ids, e.key * 16 + 1, 16), d.code, CAST(substr(NEW.times, e.key * 24 + 1, 24) AS TEXT),
            d.link_id, d.bot, CASE WHEN NEW.visitors IS NOT NULL
                THEN nullif(trim(CAST(substr(NEW.visitors, e.key * 20 + 1, 20) AS TEXT)), '') END,
            d.referrer, d.browser, d.os, d.device, d.country
        FROM json_each(NEW.entries) AS e CROSS JOIN (
            SELECT key, value ->> 0 AS code, unhex(value ->> 1) AS link_id, value ->> 2 AS bot,
                value ->> 3 AS referrer, value ->> 4 AS browser, value ->> 5 AS os, value ->> 6 AS device,
                value ->> 7 AS country
            FROM (SELECT key, value FROM json_each(NEW.dictionary) LIMIT -1) LIMIT -1) AS d
        WHERE d.key = e.value
        ON CONFLICT (event_id) DO NOTHING;
    INSERT INTO /*prefix*/linkly_count (hours, mark, all_new)
        VALUES (NEW.hours, NEW.mark, NEW.hours IS NOT NULL AND changes() = json_array_length(NEW.entries));
    INSERT INTO /*prefix*/linkly_adopt (id) SELECT id FROM /*prefix*/clicks INDEXED BY /*prefix*/clicks_new
        WHERE event_id IS NULL AND id > (SELECT value FROM /*prefix*/linkly_meta WHERE key = 'adopted')
        ORDER BY id LIMIT 1000;
END;

-- Raises the counts by `hours` when every row was new, else by the rows above the mark: those that were.
CREATE VIEW /*prefix*/linkly_count (hours, mark, all_new) AS SELECT NULL, NULL, NULL;
CREATE TRIGGER /*prefix*/linkly_count_batch INSTEAD OF INSERT ON /*prefix*/linkly_count BEGIN
    INSERT INTO /*prefix*/link_stats (code, clicks, bots, last_clicked_at)
        SELECT code, sum(clicks), sum(bots), max(last) FROM (
            SELECT value ->> 0 AS code, value ->> 2 AS clicks, value ->> 3 AS bots, value ->> 4 AS last
            FROM json_each(NEW.hours) WHERE NEW.all_new
            UNION ALL SELECT code, 1, bot, clicked_at
            FROM /*prefix*/clicks WHERE NOT NEW.all_new AND id > NEW.mark
        ) GROUP BY code
        ON CONFLICT (code) DO UPDATE SET clicks = clicks + excluded.clicks, bots = bots + excluded.bots,
            last_clicked_at = max(coalesce(last_clicked_at, ''), excluded.last_clicked_at);
    INSERT INTO /*prefix*/click_hours (code, hour, clicks, bots)
        SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3 FROM json_each(NEW.hours) WHERE NEW.all_new
        UNION ALL SELECT code, substr(clicked_at, 1, 13) || ':00:00.000Z', count(*), sum(bot)
        FROM /*prefix*/clicks WHERE NOT NEW.all_new AND id > NEW.mark GROUP BY 1, 2
        ON CONFLICT (code, hour) DO UPDATE SET clicks = clicks + excluded.clicks, bots = bots + excluded.bots;
END;
