-- Tables and indexes, of a new database and of one that has the first three columns of `links` and
-- of `clicks` already.
--
-- Times are RFC 3339 in UTC with milliseconds, ids are the 16 bytes of a UUID of version 7. The
-- comment that stands in front of every name is where a configured prefix goes.

-- The first statement, which fails in all but one of the processes that migrate at once.
CREATE TABLE /*prefix*/linkly_meta (key TEXT PRIMARY KEY, value) WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS /*prefix*/links (
    code TEXT PRIMARY KEY,
    url TEXT NOT NULL,
    created_at TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS /*prefix*/clicks (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    code TEXT NOT NULL,
    clicked_at TEXT NOT NULL
);

-- Made once; the row of a retired code stays, so that its code stays taken.
ALTER TABLE /*prefix*/links ADD COLUMN id BLOB;
ALTER TABLE /*prefix*/links ADD COLUMN updated_at TEXT;
ALTER TABLE /*prefix*/links ADD COLUMN version INTEGER NOT NULL DEFAULT 1;
ALTER TABLE /*prefix*/links ADD COLUMN active_from TEXT;
ALTER TABLE /*prefix*/links ADD COLUMN expires_at TEXT;
ALTER TABLE /*prefix*/links ADD COLUMN max_clicks INTEGER;
ALTER TABLE /*prefix*/links ADD COLUMN consumed INTEGER NOT NULL DEFAULT 0;
-- How many the last consumption got: the answer of the statement that raised `consumed`, because
-- RETURNING knows no old values.
ALTER TABLE /*prefix*/links ADD COLUMN granted INTEGER NOT NULL DEFAULT 0;
ALTER TABLE /*prefix*/links ADD COLUMN redirect INTEGER NOT NULL DEFAULT 302;
ALTER TABLE /*prefix*/links ADD COLUMN forward_query INTEGER NOT NULL DEFAULT 0;
ALTER TABLE /*prefix*/links ADD COLUMN title TEXT;
-- A sorted JSON array, or NULL for none. link_tags is its index and is kept by triggers.
ALTER TABLE /*prefix*/links ADD COLUMN tags TEXT;
ALTER TABLE /*prefix*/links ADD COLUMN metadata TEXT;
-- SipHash-2-4 of the URL; NULL until this library has seen the row.
ALTER TABLE /*prefix*/links ADD COLUMN url_hash INTEGER;
ALTER TABLE /*prefix*/links ADD COLUMN retired_at TEXT;
-- The host of `//host/code`, '' for a link in no domain.
ALTER TABLE /*prefix*/links ADD COLUMN domain TEXT AS (
    CASE WHEN substr(code, 1, 2) = '//' AND instr(substr(code, 3), '/') > 0
        THEN substr(code, 3, instr(substr(code, 3), '/') - 1)
        ELSE ''
    END
) VIRTUAL;

ALTER TABLE /*prefix*/clicks ADD COLUMN event_id BLOB;
ALTER TABLE /*prefix*/clicks ADD COLUMN link_id BLOB;
ALTER TABLE /*prefix*/clicks ADD COLUMN referrer TEXT;
ALTER TABLE /*prefix*/clicks ADD COLUMN browser TEXT;
ALTER TABLE /*prefix*/clicks ADD COLUMN os TEXT;
ALTER TABLE /*prefix*/clicks ADD COLUMN device TEXT;
ALTER TABLE /*prefix*/clicks ADD COLUMN country TEXT;
ALTER TABLE /*prefix*/clicks ADD COLUMN visitor INTEGER;
ALTER TABLE /*prefix*/clicks ADD COLUMN bot INTEGER NOT NULL DEFAULT 0;

CREATE TABLE /*prefix*/link_tags (
    tag TEXT NOT NULL,
    code TEXT NOT NULL,
    id BLOB NOT NULL,
    domain TEXT NOT NULL,
    PRIMARY KEY (tag, code)
) WITHOUT ROWID;

-- AUTOINCREMENT: a number that was read once never comes again. SQLite has one writer at a time, so
-- the order of the numbers is the order of the commits.
CREATE TABLE /*prefix*/link_changes (seq INTEGER PRIMARY KEY AUTOINCREMENT, code TEXT NOT NULL);

-- Ids that were let go with their codes: deleting one again is no error, and its late clicks must
-- not count for the link that has the code now.
CREATE TABLE /*prefix*/released_links (id BLOB PRIMARY KEY, code TEXT NOT NULL, released_at TEXT NOT NULL) WITHOUT ROWID;

CREATE TABLE /*prefix*/link_stats (
    code TEXT PRIMARY KEY,
    clicks INTEGER NOT NULL,
    bots INTEGER NOT NULL,
    last_clicked_at TEXT
) WITHOUT ROWID;
CREATE TABLE /*prefix*/click_hours (
    code TEXT NOT NULL,
    hour TEXT NOT NULL,
    clicks INTEGER NOT NULL,
    bots INTEGER NOT NULL,
    PRIMARY KEY (code, hour)
) WITHOUT ROWID;
