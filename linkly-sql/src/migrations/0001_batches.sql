-- Batches: a view takes one JSON parameter, and its trigger does in one statement, which is atomic by
-- itself, what would otherwise be a transaction of several round trips.

-- Deletes links: an array of [code, id, version or null, release], ids in hex, `at` the time. What
-- became of each is read afterwards: a retired row and a released id stay what they are.
CREATE VIEW /*prefix*/linkly_delete (batch, at) AS SELECT NULL, NULL;
CREATE TRIGGER /*prefix*/linkly_delete_batch INSTEAD OF INSERT ON /*prefix*/linkly_delete BEGIN
    UPDATE /*prefix*/links SET retired_at = NEW.at
        WHERE retired_at IS NULL AND id IN (
            SELECT l.id FROM json_each(NEW.batch) AS j CROSS JOIN /*prefix*/links AS l
            WHERE l.code = j.value ->> 0 AND l.id = unhex(j.value ->> 1)
                AND l.version = coalesce(j.value ->> 2, l.version));
    INSERT INTO /*prefix*/released_links (id, code, released_at)
        SELECT l.id, l.code, NEW.at FROM json_each(NEW.batch) AS j CROSS JOIN /*prefix*/links AS l
        WHERE j.value ->> 3 AND l.code = j.value ->> 0 AND l.id = unhex(j.value ->> 1) AND l.retired_at IS NOT NULL
        ON CONFLICT (id) DO NOTHING;
    -- Rows of clicks are found by the hours that their code was clicked in, and there by time.
    DELETE FROM /*prefix*/clicks WHERE id IN (
        SELECT c.id FROM json_each(NEW.batch) AS j
        CROSS JOIN /*prefix*/released_links AS r CROSS JOIN /*prefix*/links AS l
        CROSS JOIN /*prefix*/click_hours AS h CROSS JOIN /*prefix*/clicks AS c
        WHERE r.id = unhex(j.value ->> 1) AND l.id = r.id AND l.code = r.code AND h.code = l.code
            AND c.event_id >= unhex(printf('%012x70008000000000000000', max(0, unixepoch(h.hour) * 1000)))
            AND c.event_id < unhex(printf('%012x70008000000000000000', max(0, unixepoch(h.hour) * 1000) + 3600000))
            AND +c.code = h.code);
    DELETE FROM /*prefix*/clicks WHERE event_id IS NULL AND code IN (
        SELECT l.code FROM json_each(NEW.batch) AS j
        CROSS JOIN /*prefix*/released_links AS r CROSS JOIN /*prefix*/links AS l
        WHERE r.id = unhex(j.value ->> 1) AND l.id = r.id AND l.code = r.code);
    DELETE FROM /*prefix*/click_hours WHERE code IN (
        SELECT l.code FROM json_each(NEW.batch) AS j
        CROSS JOIN /*prefix*/released_links AS r CROSS JOIN /*prefix*/links AS l
        WHERE r.id = unhex(j.value ->> 1) AND l.id = r.id AND l.code = r.code);
    DELETE FROM /*prefix*/link_stats WHERE code IN (
        SELECT l.code FROM json_each(NEW.batch) AS j
        CROSS JOIN /*prefix*/released_links AS r CROSS JOIN /*prefix*/links AS l
        WHERE r.id = unhex(j.value ->> 1) AND l.id = r.id AND l.code = r.code);
    DELETE FROM /*prefix*/links WHERE id IN (
        SELECT r.id FROM json_each(NEW.batch) AS j CROSS JOIN /*prefix*/released_links AS r
        WHERE r.id = unhex(j.value ->> 1));
END;

-- Counts again: an array of [code, hour], the hour null where it is the code's total. Totals are sums of
-- hours, which outlive purged rows: an hour before the watermark stays as it is. A total that is made
-- anew was last clicked when the last row of its last hour was, or in that hour when its rows are purged.
CREATE VIEW /*prefix*/linkly_recount (batch) AS SELECT NULL;
CREATE TRIGGER /*prefix*/linkly_recount_batch INSTEAD OF INSERT ON /*prefix*/linkly_recount BEGIN
    DELETE FROM /*prefix*/click_hours WHERE (code, hour) IN (
        SELECT j.value ->> 0, j.value ->> 1 FROM json_each(NEW.batch) AS j)
        AND hour >= coalesce((SELECT value FROM /*prefix*/linkly_meta WHERE key = 'purged_before'), '');
    INSERT INTO /*prefix*/click_hours (code, hour, clicks, bots)
        SELECT asked.code, asked.hour, count(*), sum(c.bot)
        FROM (SELECT DISTINCT value ->> 0 AS code, value ->> 1 AS hour FROM json_each(NEW.batch)) AS asked
        CROSS JOIN /*prefix*/clicks AS c
        WHERE asked.hour >= coalesce((SELECT value FROM /*prefix*/linkly_meta WHERE key = 'purged_before'), '')
            AND c.event_id >= unhex(printf('%012x70008000000000000000', max(0, unixepoch(asked.hour) * 1000)))
            AND c.event_id < unhex(printf('%012x70008000000000000000', max(0, unixepoch(asked.hour) * 1000) + 3600000))
            AND +c.code = asked.code
        GROUP BY asked.code, asked.hour;
    INSERT INTO /*prefix*/link_stats (code, clicks, bots, last_clicked_at)
        SELECT sums.code, sums.clicks, sums.bots, coalesce((
            SELECT max(c.clicked_at) FROM /*prefix*/clicks AS c
            WHERE c.event_id >= unhex(printf('%012x70008000000000000000', max(0, unixepoch(sums.hour) * 1000)))
                AND c.event_id < unhex(printf('%012x70008000000000000000', max(0, unixepoch(sums.hour) * 1000) + 3600000))
                AND +c.code = sums.code), sums.hour)
        FROM (
            SELECT asked.code, coalesce(sum(h.clicks), 0) AS clicks, coalesce(sum(h.bots), 0) AS bots, max(h.hour) AS hour
            FROM (SELECT DISTINCT value ->> 0 AS code FROM json_each(NEW.batch) WHERE value ->> 1 IS NULL) AS asked
            LEFT JOIN /*prefix*/click_hours AS h ON h.code = asked.code GROUP BY asked.code
        ) AS sums
        WHERE true
        ON CONFLICT (code) DO UPDATE SET clicks = excluded.clicks, bots = excluded.bots;
END;
