-- What holds whoever writes: this library, or the app's own SQL.

-- A link that came with the first three columns alone gets the others.
CREATE TRIGGER /*prefix*/links_completed AFTER INSERT ON /*prefix*/links WHEN NEW.id IS NULL BEGIN
    UPDATE /*prefix*/links SET
        created_at = CASE WHEN NEW.created_at GLOB '[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]*'
            THEN coalesce(strftime('%Y-%m-%dT%H:%M:%fZ', NEW.created_at), NEW.created_at) ELSE NEW.created_at END,
        updated_at = coalesce(NEW.updated_at, CASE WHEN NEW.created_at GLOB '[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]*'
            THEN strftime('%Y-%m-%dT%H:%M:%fZ', NEW.created_at) END),
        id = unhex(printf('%012x7%s8%s',
            CASE WHEN NEW.created_at GLOB '[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]*'
                THEN max(0, CAST(round(coalesce(unixepoch(NEW.created_at, 'subsec'), 0) * 1000) AS INTEGER)) ELSE 0 END,
            substr(hex(randomblob(2)), 2), substr(hex(randomblob(8)), 2)))
    WHERE rowid = NEW.rowid;
END;

CREATE TRIGGER /*prefix*/links_inserted AFTER INSERT ON /*prefix*/links BEGIN
    SELECT RAISE(ABORT, 'linkly: the id belonged to a link whose code was released')
        WHERE EXISTS (SELECT 1 FROM /*prefix*/released_links WHERE id = NEW.id);
    INSERT INTO /*prefix*/link_changes (code) SELECT NEW.code WHERE NEW.code IS NOT NULL;
END;

CREATE TRIGGER /*prefix*/links_tagged AFTER INSERT ON /*prefix*/links
WHEN NEW.tags IS NOT NULL AND NEW.id IS NOT NULL AND NEW.retired_at IS NULL BEGIN
    INSERT INTO /*prefix*/link_tags (tag, code, id, domain)
        SELECT value, NEW.code, NEW.id, NEW.domain FROM json_each(NEW.tags) WHERE true
        ON CONFLICT (tag, code) DO UPDATE SET id = excluded.id;
END;

-- Every column but `consumed`, `granted` and `url_hash`, which redirects do not depend on.
CREATE TRIGGER /*prefix*/links_updated AFTER UPDATE OF code, url, created_at, id, updated_at, version, active_from,
    expires_at, max_clicks, redirect, forward_query, title, tags, metadata, retired_at ON /*prefix*/links BEGIN
    INSERT INTO /*prefix*/link_changes (code) SELECT OLD.code WHERE OLD.code IS NOT NULL;
    INSERT INTO /*prefix*/link_changes (code) SELECT NEW.code WHERE NEW.code <> OLD.code;
END;

CREATE TRIGGER /*prefix*/links_retagged AFTER UPDATE OF code, id, tags, retired_at ON /*prefix*/links
WHEN OLD.tags IS NOT NULL OR NEW.tags IS NOT NULL BEGIN
    DELETE FROM /*prefix*/link_tags WHERE code = OLD.code AND tag IN (SELECT value FROM json_each(OLD.tags));
    INSERT INTO /*prefix*/link_tags (tag, code, id, domain)
        SELECT value, NEW.code, NEW.id, NEW.domain FROM json_each(NEW.tags)
        WHERE NEW.retired_at IS NULL AND NEW.id IS NOT NULL
        ON CONFLICT (tag, code) DO UPDATE SET id = excluded.id;
END;

-- An update that left the version alone was not one of ours: whoever read the link before must be
-- told that it changed.
CREATE TRIGGER /*prefix*/links_edited AFTER UPDATE OF url, active_from, expires_at, max_clicks, redirect,
    forward_query, title, tags, metadata ON /*prefix*/links
WHEN NEW.version = OLD.version BEGIN
    UPDATE /*prefix*/links SET version = version + 1, updated_at = strftime('%Y-%m-%dT%H:%M:%fZ', 'now')
        WHERE rowid = NEW.rowid;
END;

-- Nor can SQL make the hash of a URL: NULL is "not known", and lists look among those too.
CREATE TRIGGER /*prefix*/links_rehashed AFTER UPDATE OF url ON /*prefix*/links
WHEN NEW.url <> OLD.url AND NEW.url_hash IS OLD.url_hash BEGIN
    UPDATE /*prefix*/links SET url_hash = NULL WHERE rowid = NEW.rowid;
END;

CREATE TRIGGER /*prefix*/links_deleted AFTER DELETE ON /*prefix*/links BEGIN
    INSERT INTO /*prefix*/link_changes (code) SELECT OLD.code WHERE OLD.code IS NOT NULL;
    DELETE FROM /*prefix*/link_tags WHERE code = OLD.code AND tag IN (SELECT value FROM json_each(OLD.tags));
END;

-- The log trims itself to its last 100,000 changes, a thousand at a time.
CREATE TRIGGER /*prefix*/link_changes_trimmed AFTER INSERT ON /*prefix*/link_changes WHEN NEW.seq % 1000 = 0 BEGIN
    DELETE FROM /*prefix*/link_changes WHERE seq <= NEW.seq - 100000;
END;

-- A click that came with code and time alone is counted like any other. Costs batches 0.3 µs a row.
CREATE TRIGGER /*prefix*/clicks_counted AFTER INSERT ON /*prefix*/clicks
WHEN NEW.event_id IS NULL AND NEW.clicked_at GLOB '[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]*'
    AND NEW.clicked_at >= '1970' AND strftime('%Y-%m-%dT%H:%M:%fZ', NEW.clicked_at) IS NOT NULL BEGIN
    SELECT RAISE(ABORT, 'linkly: the click is older than what was purged')
        WHERE strftime('%Y-%m-%dT%H:%M:%fZ', NEW.clicked_at)
            < (SELECT value FROM /*prefix*/linkly_meta WHERE key = 'purged_before');
    UPDATE /*prefix*/clicks SET clicked_at = strftime('%Y-%m-%dT%H:%M:%fZ', NEW.clicked_at),
        event_id = unhex(printf('%012x7000%016x',
            max(0, CAST(round(unixepoch(NEW.clicked_at, 'subsec') * 1000) AS INTEGER)),
            NEW.id | -9223372036854775808))
        WHERE id = NEW.id;
    INSERT INTO /*prefix*/link_stats (code, clicks, bots, last_clicked_at)
        SELECT code, 1, bot, clicked_at FROM /*prefix*/clicks WHERE id = NEW.id
        ON CONFLICT (code) DO UPDATE SET clicks = clicks + 1, bots = bots + excluded.bots,
            last_clicked_at = max(coalesce(last_clicked_at, ''), excluded.last_clicked_at);
    INSERT INTO /*prefix*/click_hours (code, hour, clicks, bots)
        SELECT code, substr(clicked_at, 1, 13) || ':00:00.000Z', 1, bot FROM /*prefix*/clicks WHERE id = NEW.id
        ON CONFLICT (code, hour) DO UPDATE SET clicks = clicks + 1, bots = bots + excluded.bots;
END;
