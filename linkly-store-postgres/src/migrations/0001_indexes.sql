-- Indexes. Lists read live links alone.

CREATE UNIQUE INDEX links_id ON /*schema.*/links (id);
CREATE INDEX links_domain ON /*schema.*/links (domain, id) WHERE retired_at IS NULL;
CREATE INDEX links_newest ON /*schema.*/links (id) WHERE retired_at IS NULL;
CREATE INDEX links_url ON /*schema.*/links (url_hash, id) WHERE retired_at IS NULL;
CREATE INDEX links_expiry ON /*schema.*/links (expires_at) WHERE expires_at IS NOT NULL AND retired_at IS NULL;
CREATE INDEX link_tags_id ON /*schema.*/link_tags (tag, id);
CREATE INDEX link_tags_domain ON /*schema.*/link_tags (tag, domain, id);
CREATE INDEX link_changes_xid ON /*schema.*/link_changes (xid, seq);
CREATE INDEX click_hours_hour ON /*schema.*/click_hours (hour, code);
