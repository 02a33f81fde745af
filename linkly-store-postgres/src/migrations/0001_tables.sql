-- Tables of a new schema. The comment that stands in front of every name is where the schema's goes.
--
-- Codes and hosts are compared by their bytes (COLLATE "C"): under another collation a range of keys
-- holds those of other domains. Times have whole milliseconds, whoever writes them.

CREATE TABLE /*schema.*/linkly_meta (key text PRIMARY KEY, value text NOT NULL);

-- The row of a retired code stays, so that its code stays taken.
CREATE TABLE /*schema.*/links (
    code text COLLATE "C" PRIMARY KEY,
    url text NOT NULL,
    created_at timestamptz(3) NOT NULL,
    id uuid NOT NULL,
    updated_at timestamptz(3) NOT NULL,
    version bigint NOT NULL DEFAULT 1,
    active_from timestamptz(3),
    expires_at timestamptz(3),
    max_clicks bigint,
    consumed bigint NOT NULL DEFAULT 0,
    redirect smallint NOT NULL DEFAULT 302,
    forward_query boolean NOT NULL DEFAULT false,
    title text,
    -- Sorted, each once. link_tags is their index and is kept by triggers.
    tags text[] NOT NULL DEFAULT '{}',
    -- Not jsonb, which writes numbers anew: what was inserted reads back equal.
    metadata json,
    -- SipHash-2-4 of the URL; NULL until this library has seen the row.
    url_hash bigint,
    retired_at timestamptz(3),
    -- The host of `//host/code`, '' for a link in no domain.
    domain text COLLATE "C" NOT NULL GENERATED ALWAYS AS (
        CASE WHEN code LIKE '//%/%' THEN split_part(code, '/', 3) ELSE '' END
    ) STORED
);

CREATE TABLE /*schema.*/link_tags (
    tag text COLLATE "C" NOT NULL,
    code text COLLATE "C" NOT NULL,
    id uuid NOT NULL,
    domain text COLLATE "C" NOT NULL,
    PRIMARY KEY (tag, code)
);

-- The order of the numbers is not the order of the commits, so each change carries its transaction: a
-- reader asks for those that were not visible when it looked last.
CREATE TABLE /*schema.*/link_changes (
    seq bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    code text COLLATE "C" NOT NULL,
    xid xid8 NOT NULL DEFAULT pg_current_xact_id()
);

-- Up to which number the log was trimmed. A sequence, because its value is nobody's to lock: whoever
-- trims may be in a transaction of the app that stays open.
CREATE SEQUENCE /*schema.*/linkly_trimmed MINVALUE 0 START 0;

-- Ids that were let go with their codes: deleting one again is no error, and its late clicks must not
-- count for the link that has the code now.
CREATE TABLE /*schema.*/released_links (
    id uuid PRIMARY KEY,
    code text COLLATE "C" NOT NULL,
    released_at timestamptz(3) NOT NULL
);

-- Rows that are written over and over: with room in each page a new version stays in it, and no index
-- is touched.
CREATE TABLE /*schema.*/link_stats (
    code text COLLATE "C" PRIMARY KEY,
    clicks bigint NOT NULL,
    bots bigint NOT NULL,
    last_clicked_at timestamptz(3)
) WITH (fillfactor = 70);
CREATE TABLE /*schema.*/click_hours (
    code text COLLATE "C" NOT NULL,
    hour timestamptz(3) NOT NULL,
    clicks bigint NOT NULL,
    bots bigint NOT NULL,
    PRIMARY KEY (code, hour)
) WITH (fillfactor = 70);

-- `id` is a number for people and has no index: the key is `event_id`, which orders by time.
CREATE TABLE /*schema.*/clicks (
    id bigserial,
    code text COLLATE "C" NOT NULL,
    clicked_at timestamptz(3) NOT NULL,
    event_id uuid PRIMARY KEY,
    link_id uuid,
    referrer text,
    browser text,
    os text,
    device text,
    country text,
    visitor bigint,
    bot boolean NOT NULL DEFAULT false
) /*partition by*/;
