-- Partitions of clicks by time, where the database was made with them. The key is `event_id`, which begins
-- with the time, so it stays unique. What no partition is there for goes into clicks_default, and is lost to
-- nobody.

-- Makes the partition that holds a moment and those of so many steps after it; how many were made. Rows of theirs that
-- are in clicks_default move; where they are more than 100,000, they and the step stay in it.
CREATE FUNCTION /*schema.*/linkly_make_partitions(step text, at timestamptz, ahead integer)
RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
    begins timestamp;
    ends timestamp;
    name text;
    first uuid;
    behind uuid;
    strays bigint;
    made integer := 0;
BEGIN
    -- No clicks are written meanwhile: a row whose place was chosen before its partition was there would fail.
    PERFORM pg_advisory_xact_lock(1818848875, tableoid::integer)
        FROM /*schema.*/linkly_meta WHERE key = 'schema_version';
    LOCK TABLE ONLY /*schema.*/clicks IN SHARE UPDATE EXCLUSIVE MODE;
    FOR number IN 0..ahead LOOP
        begins := date_trunc(step, at AT TIME ZONE 'UTC') + number * ('1 ' || step)::interval;
        ends := begins + ('1 ' || step)::interval;
        name := 'clicks_' || to_char(begins, 'YYYY_MM_DD');
        CONTINUE WHEN EXISTS (SELECT FROM pg_inherits AS i JOIN pg_class AS p ON p.oid = i.inhrelid
            JOIN pg_class AS c ON c.oid = i.inhparent AND c.relnamespace = p.relnamespace
            JOIN /*schema.*/linkly_meta AS m ON m.key = 'schema_version'
            JOIN pg_class AS t ON t.oid = m.tableoid AND t.relnamespace = c.relnamespace
            WHERE c.relname = 'clicks' AND p.relname = name);
        first := /*schema.*/linkly_first_id(begins AT TIME ZONE 'UTC');
        behind := /*schema.*/linkly_first_id(ends AT TIME ZONE 'UTC');
        LOCK TABLE /*schema.*/clicks_default IN ACCESS EXCLUSIVE MODE;
        SELECT count(*) INTO strays FROM (SELECT FROM /*schema.*/clicks_default
            WHERE event_id >= first AND event_id < behind LIMIT 100001) AS found;
        CONTINUE WHEN strays > 100000;
        EXECUTE format('CREATE TABLE /*schema.*/%I (LIKE /*schema.*/clicks INCLUDING ALL)', name);
        EXECUTE format('WITH moved AS (DELETE FROM /*schema.*/clicks_default WHERE event_id >= $1 AND event_id < $2
            RETURNING *) INSERT INTO /*schema.*/%I SELECT * FROM moved', name) USING first, behind;
        EXECUTE format('ALTER TABLE /*schema.*/clicks ATTACH PARTITION /*schema.*/%I FOR VALUES FROM (%L) TO (%L)',
            name, first, behind);
        made := made + 1;
    END LOOP;
    RETURN made;
END
$$;

-- Drops the partitions that end at or before an id; how many rows they held.
CREATE FUNCTION /*schema.*/linkly_drop_partitions(before uuid) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    name text;
    held bigint;
    dropped bigint := 0;
BEGIN
    FOR name IN
        SELECT p.relname FROM pg_inherits AS i JOIN pg_class AS p ON p.oid = i.inhrelid
        JOIN pg_class AS c ON c.oid = i.inhparent AND c.relnamespace = p.relnamespace
        JOIN /*schema.*/linkly_meta AS m ON m.key = 'schema_version'
        JOIN pg_class AS t ON t.oid = m.tableoid AND t.relnamespace = c.relnamespace
        WHERE c.relname = 'clicks'
            AND substring(pg_get_expr(p.relpartbound, p.oid) FROM 'TO \(''([0-9a-f-]+)''\)')::uuid <= before
        ORDER BY p.relname
    LOOP
        LOCK TABLE ONLY /*schema.*/clicks IN ACCESS EXCLUSIVE MODE;
        EXECUTE format('SELECT count(*) FROM /*schema.*/%I', name) INTO held;
        EXECUTE format('DROP TABLE /*schema.*/%I', name);
        dropped := dropped + held;
    END LOOP;
    RETURN dropped;
END
$$;
