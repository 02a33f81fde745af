-- Batches: what is one statement of several steps. A function sees what was committed before each of its
-- steps, so it can wait for a lock first and look afterwards.
--
-- Whoever writes clicks holds a lock of the transaction, shared, so that clicks are written at once; who
-- releases a code, counts again or purges has it alone for a moment. Otherwise a click that looked before
-- its link was released could be written after, and count for the link that has the code next.
--
-- Everything is written in one order, clicks before hours before totals and each by its key: batches with
-- the same codes never wait for each other in a ring (29 deadlocks in 60 rounds unsorted, none sorted).

-- Records clicks; how many were new. ON CONFLICT waits for another transaction that has the same click.
CREATE FUNCTION /*schema.*/linkly_record(
    event_ids uuid[], codes text[], times timestamptz[], link_ids uuid[], are_bots boolean[], visitors bigint[],
    referrers text[], browsers text[], systems text[], devices text[], countries text[], oldest timestamptz
) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    recorded bigint;
BEGIN
    PERFORM pg_advisory_xact_lock_shared(1818848875, tableoid::integer)
        FROM /*schema.*/linkly_meta WHERE key = 'schema_version';
    IF oldest < (SELECT value::timestamptz FROM /*schema.*/linkly_meta WHERE key = 'purged_before') THEN
        RAISE EXCEPTION 'linkly: a click is older than what was purged' USING ERRCODE = 'LK001';
    END IF;
    IF EXISTS (SELECT FROM /*schema.*/released_links)
        AND EXISTS (SELECT FROM /*schema.*/released_links WHERE id = ANY (link_ids)) THEN
        RAISE EXCEPTION 'linkly: a click is of a link whose code was released' USING ERRCODE = 'LK002';
    END IF;
    WITH new AS (
        INSERT INTO /*schema.*/clicks
            (event_id, code, clicked_at, link_id, bot, visitor, referrer, browser, os, device, country)
        SELECT * FROM unnest(event_ids, codes, times, link_ids, are_bots, visitors, referrers, browsers, systems,
            devices, countries) AS n (event_id)
        ORDER BY n.event_id
        ON CONFLICT (event_id) DO NOTHING
        RETURNING code, clicked_at, bot
    ), hours AS (
        INSERT INTO /*schema.*/click_hours AS h (code, hour, clicks, bots)
        SELECT code, date_trunc('hour', clicked_at, 'UTC'), count(*), count(*) FILTER (WHERE bot)
        FROM new GROUP BY 1, 2 ORDER BY 1, 2
        ON CONFLICT (code, hour) DO UPDATE SET clicks = h.clicks + excluded.clicks, bots = h.bots + excluded.bots
        RETURNING h.code
    ), totals AS (
        INSERT INTO /*schema.*/link_stats AS s (code, clicks, bots, last_clicked_at)
        SELECT code, count(*), count(*) FILTER (WHERE bot), max(clicked_at)
        FROM new WHERE (SELECT count(*) FROM hours) > 0 GROUP BY code ORDER BY code
        ON CONFLICT (code) DO UPDATE SET clicks = s.clicks + excluded.clicks, bots = s.bots + excluded.bots,
            last_clicked_at = greatest(s.last_clicked_at, excluded.last_clicked_at)
        RETURNING s.code
    )
    SELECT count(*) INTO recorded FROM new WHERE (SELECT count(*) FROM totals) > 0;
    RETURN recorded;
END
$$;

-- Deletes links. What became of each is read afterwards: a retired row and a released id stay what they are.
CREATE FUNCTION /*schema.*/linkly_delete(
    delete_codes text[], delete_ids uuid[], versions bigint[], releases boolean[], at timestamptz
) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    released text[];
    clicked record;
BEGIN
    WITH locked AS (
        SELECT l.code FROM unnest(delete_codes, delete_ids, versions) AS n (code, id, version)
        JOIN /*schema.*/links AS l ON l.code = n.code AND l.id = n.id AND l.version = coalesce(n.version, l.version)
        WHERE l.retired_at IS NULL ORDER BY l.code FOR UPDATE OF l
    )
    UPDATE /*schema.*/links AS l SET retired_at = at FROM (SELECT DISTINCT code FROM locked) AS n
        WHERE l.code = n.code;
    IF NOT true = ANY (releases) THEN
        RETURN;
    END IF;
    PERFORM pg_advisory_xact_lock(1818848875, tableoid::integer)
        FROM /*schema.*/linkly_meta WHERE key = 'schema_version';
    WITH new AS (
        INSERT INTO /*schema.*/released_links (id, code, released_at)
            SELECT DISTINCT l.id, l.code, at FROM unnest(delete_codes, delete_ids, releases) AS n (code, id, release)
            JOIN /*schema.*/links AS l ON l.code = n.code AND l.id = n.id
            WHERE n.release AND l.retired_at IS NOT NULL
            ON CONFLICT (id) DO NOTHING
            RETURNING code
    )
    SELECT array_agg(code ORDER BY code) INTO released FROM new;
    -- Rows of clicks are found by the hours that their code was clicked in, and there by time: an hour at a time,
    -- because of a join of both the planner may make a walk through all clicks.
    FOR clicked IN SELECT code, hour FROM /*schema.*/click_hours WHERE code = ANY (released) LOOP
        DELETE FROM /*schema.*/clicks WHERE event_id >= /*schema.*/linkly_first_id(clicked.hour)
            AND event_id < /*schema.*/linkly_first_id(clicked.hour + interval '1 hour') AND code = clicked.code;
    END LOOP;
    DELETE FROM /*schema.*/click_hours WHERE code = ANY (released);
    DELETE FROM /*schema.*/link_stats WHERE code = ANY (released);
    DELETE FROM /*schema.*/links WHERE code = ANY (released);
END
$$;

-- Raises the mark before which clicks are refused, and returns where it stands.
CREATE FUNCTION /*schema.*/linkly_raise_watermark(before timestamptz) RETURNS timestamptz LANGUAGE plpgsql AS $$
DECLARE
    watermark timestamptz;
BEGIN
    PERFORM pg_advisory_xact_lock(1818848875, tableoid::integer)
        FROM /*schema.*/linkly_meta WHERE key = 'schema_version';
    SELECT greatest(value::timestamptz, before) INTO watermark FROM /*schema.*/linkly_meta WHERE key = 'purged_before';
    watermark := coalesce(watermark, before);
    INSERT INTO /*schema.*/linkly_meta (key, value)
        VALUES ('purged_before', to_char(watermark AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'))
        ON CONFLICT (key) DO UPDATE SET value = excluded.value;
    RETURN watermark;
END
$$;

-- Counts again; an hour is null where it is the code's total. Totals are sums of hours, which outlive purged
-- rows: an hour before the watermark stays as it is. A total that is made anew was last clicked when the
-- last row of its last hour was, or in that hour when its rows are purged.
CREATE FUNCTION /*schema.*/linkly_recount(recount_codes text[], recount_hours timestamptz[])
RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    watermark timestamptz;
BEGIN
    PERFORM pg_advisory_xact_lock(1818848875, tableoid::integer)
        FROM /*schema.*/linkly_meta WHERE key = 'schema_version';
    SELECT value::timestamptz INTO watermark FROM /*schema.*/linkly_meta WHERE key = 'purged_before';
    watermark := coalesce(watermark, '-infinity');
    DELETE FROM /*schema.*/click_hours AS h USING unnest(recount_codes, recount_hours) AS n (code, hour)
        WHERE h.code = n.code AND h.hour = n.hour AND h.hour >= watermark;
    INSERT INTO /*schema.*/click_hours (code, hour, clicks, bots)
        SELECT n.code, n.hour, c.clicks, c.bots
        FROM (SELECT DISTINCT code, hour FROM unnest(recount_codes, recount_hours) AS n (code, hour)) AS n
        CROSS JOIN LATERAL (
            SELECT count(*) AS clicks, count(*) FILTER (WHERE c.bot) AS bots FROM /*schema.*/clicks AS c
            WHERE c.event_id >= /*schema.*/linkly_first_id(n.hour)
                AND c.event_id < /*schema.*/linkly_first_id(n.hour + interval '1 hour') AND c.code = n.code
        ) AS c
        WHERE n.hour >= watermark AND c.clicks > 0;
    INSERT INTO /*schema.*/link_stats (code, clicks, bots, last_clicked_at)
        SELECT sums.code, sums.clicks, sums.bots, coalesce((
            SELECT max(c.clicked_at) FROM /*schema.*/clicks AS c
            WHERE c.code = sums.code AND c.event_id >= /*schema.*/linkly_first_id(sums.hour)
                AND c.event_id < /*schema.*/linkly_first_id(sums.hour + interval '1 hour')), sums.hour)
        FROM (
            SELECT n.code, coalesce(sum(h.clicks), 0) AS clicks, coalesce(sum(h.bots), 0) AS bots, max(h.hour) AS hour
            FROM (SELECT DISTINCT code FROM unnest(recount_codes, recount_hours) AS n (code, hour)
                WHERE hour IS NULL) AS n
            LEFT JOIN /*schema.*/click_hours AS h ON h.code = n.code GROUP BY n.code
        ) AS sums
        ON CONFLICT (code) DO UPDATE SET clicks = excluded.clicks, bots = excluded.bots;
END
$$;
