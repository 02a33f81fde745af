-- What holds whoever writes: this library, or the app's own SQL.

-- A link that came with the first three columns alone gets the others. Its time is read as those of the
-- rows that were there before.
CREATE TRIGGER /*prefix*/links_completed AFTER INSERT ON /*prefix*/links WHEN NEW.id IS NULL BEGIN
    UPDATE /*prefix*/links SET (created_at, updated_at, id) = (
        SELECT coalesce(strftime('%Y-%m-%dT%H:%M:%fZ', ms / 1000.0, 'unixepoch'), NEW.created_at),
            coalesce(NEW.updated_at, strftime('%Y-%m-%dT%H:%M:%fZ', ms / 1000.0, 'unixepoch')),
            unhex(printf('%012x7%s8%s', max(0, coalesce(ms, 0)),
                substr(hex(randomblob(2)), 2), substr(hex(randomblob(8)), 2)))
        FROM (SELECT CASE WHEN NEW.created_at GLOB '[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]*'
                THEN CAST(round(unixepoch(NEW.created_at, 'subsec') * 1000) AS INTEGER) END AS ms LIMIT 1))
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
