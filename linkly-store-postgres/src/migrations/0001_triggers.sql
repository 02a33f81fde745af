-- What holds whoever writes: this library, or the app's own SQL.

-- The layout of linkly_core::first_id: milliseconds, version 7, variant, zeros.
CREATE FUNCTION /*schema.*/linkly_first_id(at timestamptz) RETURNS uuid LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT (lpad(to_hex(floor(greatest(0, extract(epoch FROM at)) * 1000)::bigint), 12, '0')
        || '70008000000000000000')::uuid
$$;

CREATE FUNCTION /*schema.*/linkly_new_id(at timestamptz) RETURNS uuid LANGUAGE sql VOLATILE PARALLEL SAFE AS $$
    SELECT (lpad(to_hex(floor(greatest(0, extract(epoch FROM at)) * 1000)::bigint), 12, '0')
        || '7' || substr(replace(gen_random_uuid()::text, '-', ''), 14))::uuid
$$;

-- A link that came with the first three columns alone gets the others.
CREATE FUNCTION /*schema.*/linkly_complete_link() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.id := coalesce(NEW.id, /*schema.*/linkly_new_id(NEW.created_at));
    NEW.updated_at := coalesce(NEW.updated_at, NEW.created_at);
    RETURN NEW;
END
$$;
CREATE TRIGGER links_completed BEFORE INSERT ON /*schema.*/links FOR EACH ROW
    WHEN (NEW.id IS NULL OR NEW.updated_at IS NULL) EXECUTE FUNCTION /*schema.*/linkly_complete_link();

CREATE FUNCTION /*schema.*/linkly_links_inserted() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM new_links AS n JOIN /*schema.*/released_links AS r ON r.id = n.id) THEN
        RAISE EXCEPTION 'linkly: the id belonged to a link whose code was released' USING ERRCODE = 'LK003';
    END IF;
    INSERT INTO /*schema.*/link_changes (code) SELECT code FROM new_links;
    INSERT INTO /*schema.*/link_tags (tag, code, id, domain)
        SELECT DISTINCT tag, n.code, n.id, n.domain FROM new_links AS n, unnest(n.tags) AS tag
        WHERE n.retired_at IS NULL AND tag IS NOT NULL
        ON CONFLICT (tag, code) DO UPDATE SET id = excluded.id;
    RETURN NULL;
END
$$;
CREATE TRIGGER links_inserted AFTER INSERT ON /*schema.*/links REFERENCING NEW TABLE AS new_links
    FOR EACH STATEMENT EXECUTE FUNCTION /*schema.*/linkly_links_inserted();

-- An update that left the version alone was not one of ours: whoever read the link before must be told
-- that it changed.
CREATE FUNCTION /*schema.*/linkly_edit_link() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.version := OLD.version + 1;
    NEW.updated_at := clock_timestamp();
    RETURN NEW;
END
$$;
CREATE TRIGGER links_edited BEFORE UPDATE OF url, active_from, expires_at, max_clicks, redirect, forward_query, title,
    tags, metadata ON /*schema.*/links FOR EACH ROW
    WHEN (NEW.version = OLD.version) EXECUTE FUNCTION /*schema.*/linkly_edit_link();

-- Nor can SQL make the hash of a URL: NULL is "not known", and lists look among those too.
CREATE FUNCTION /*schema.*/linkly_rehash_link() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.url_hash := NULL;
    RETURN NEW;
END
$$;
CREATE TRIGGER links_rehashed BEFORE UPDATE OF url ON /*schema.*/links FOR EACH ROW
    WHEN (NEW.url <> OLD.url AND NEW.url_hash IS NOT DISTINCT FROM OLD.url_hash)
    EXECUTE FUNCTION /*schema.*/linkly_rehash_link();

-- Every column but `consumed` and `url_hash`, which redirects do not depend on.
CREATE FUNCTION /*schema.*/linkly_link_updated() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO /*schema.*/link_changes (code) VALUES (OLD.code);
    IF NEW.code <> OLD.code THEN
        INSERT INTO /*schema.*/link_changes (code) VALUES (NEW.code);
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER links_updated AFTER UPDATE OF code, url, created_at, id, updated_at, version, active_from, expires_at,
    max_clicks, redirect, forward_query, title, tags, metadata, retired_at ON /*schema.*/links
    FOR EACH ROW EXECUTE FUNCTION /*schema.*/linkly_link_updated();

CREATE FUNCTION /*schema.*/linkly_retag_link() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM /*schema.*/link_tags WHERE code = OLD.code AND tag = ANY (OLD.tags);
    IF NEW.retired_at IS NULL THEN
        INSERT INTO /*schema.*/link_tags (tag, code, id, domain)
            SELECT DISTINCT tag, NEW.code, NEW.id, NEW.domain FROM unnest(NEW.tags) AS tag WHERE tag IS NOT NULL
            ON CONFLICT (tag, code) DO UPDATE SET id = excluded.id;
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER links_retagged AFTER UPDATE OF code, id, tags, retired_at ON /*schema.*/links FOR EACH ROW
    WHEN ((OLD.tags <> '{}' OR NEW.tags <> '{}') AND (OLD.tags, OLD.code, OLD.id, OLD.retired_at)
        IS DISTINCT FROM (NEW.tags, NEW.code, NEW.id, NEW.retired_at))
    EXECUTE FUNCTION /*schema.*/linkly_retag_link();

CREATE FUNCTION /*schema.*/linkly_links_deleted() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO /*schema.*/link_changes (code) SELECT code FROM old_links;
    DELETE FROM /*schema.*/link_tags AS t USING old_links AS o, unnest(o.tags) AS old_tag
        WHERE t.tag = old_tag AND t.code = o.code;
    RETURN NULL;
END
$$;
CREATE TRIGGER links_deleted AFTER DELETE ON /*schema.*/links REFERENCING OLD TABLE AS old_links
    FOR EACH STATEMENT EXECUTE FUNCTION /*schema.*/linkly_links_deleted();

-- The log trims itself to its last 100,000 changes, a thousand at a time. One transaction at a time does,
-- and the others do not wait for it. The mark is moved first: should the deletion be rolled back, readers
-- are told of more than was lost.
CREATE FUNCTION /*schema.*/linkly_trim_changes() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    trimmed bigint;
BEGIN
    IF pg_try_advisory_xact_lock(1818848876, TG_RELID::integer) THEN
        SELECT last_value INTO trimmed FROM /*schema.*/linkly_trimmed;
        IF NEW.seq - 100000 > trimmed THEN
            PERFORM setval(c.oid, NEW.seq - 100000) FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
                WHERE c.relname = 'linkly_trimmed' AND n.nspname = TG_TABLE_SCHEMA;
            DELETE FROM /*schema.*/link_changes WHERE seq > trimmed AND seq <= NEW.seq - 100000;
        END IF;
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER link_changes_trimmed AFTER INSERT ON /*schema.*/link_changes FOR EACH ROW
    WHEN (NEW.seq % 1000 = 0) EXECUTE FUNCTION /*schema.*/linkly_trim_changes();

-- A click that came without an event id is counted like any other. In a table with partitions the row is
-- in the wrong one when its id is made, so it is inserted once more, and the first one dropped.
CREATE FUNCTION /*schema.*/linkly_count_click() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock_shared(1818848875, tableoid::integer)
        FROM /*schema.*/linkly_meta WHERE key = 'schema_version';
    IF NEW.clicked_at < (SELECT value::timestamptz FROM /*schema.*/linkly_meta WHERE key = 'purged_before') THEN
        RAISE EXCEPTION 'linkly: the click is older than what was purged' USING ERRCODE = 'LK001';
    END IF;
    IF NEW.clicked_at < '1970-01-01T00:00:00Z' THEN
        RAISE EXCEPTION 'linkly: the click is from before 1970' USING ERRCODE = 'LK001';
    END IF;
    NEW.event_id := /*schema.*/linkly_new_id(NEW.clicked_at);
    INSERT INTO /*schema.*/click_hours AS h (code, hour, clicks, bots)
        VALUES (NEW.code, date_trunc('hour', NEW.clicked_at, 'UTC'), 1, NEW.bot::integer)
        ON CONFLICT (code, hour) DO UPDATE SET clicks = h.clicks + 1, bots = h.bots + excluded.bots;
    INSERT INTO /*schema.*/link_stats AS s (code, clicks, bots, last_clicked_at)
        VALUES (NEW.code, 1, NEW.bot::integer, NEW.clicked_at)
        ON CONFLICT (code) DO UPDATE SET clicks = s.clicks + 1, bots = s.bots + excluded.bots,
            last_clicked_at = greatest(s.last_clicked_at, excluded.last_clicked_at);
    IF TG_TABLE_NAME = 'clicks' THEN
        RETURN NEW;
    END IF;
    INSERT INTO /*schema.*/clicks SELECT NEW.*;
    RETURN NULL;
END
$$;
CREATE TRIGGER clicks_counted BEFORE INSERT ON /*schema.*/clicks FOR EACH ROW
    WHEN (NEW.event_id IS NULL) EXECUTE FUNCTION /*schema.*/linkly_count_click();
