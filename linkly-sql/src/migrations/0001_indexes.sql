-- Indexes, made when the rows are in place. Lists read live links alone.

CREATE UNIQUE INDEX /*prefix*/links_id ON /*prefix*/links (id);
CREATE INDEX /*prefix*/links_domain ON /*prefix*/links (domain, id) WHERE retired_at IS NULL;
CREATE INDEX /*prefix*/links_url ON /*prefix*/links (url_hash, id) WHERE retired_at IS NULL;
CREATE INDEX /*prefix*/links_expiry ON /*prefix*/links (expires_at)
    WHERE expires_at IS NOT NULL AND retired_at IS NULL;
CREATE INDEX /*prefix*/link_tags_id ON /*prefix*/link_tags (tag, id);
CREATE INDEX /*prefix*/link_tags_domain ON /*prefix*/link_tags (tag, domain, id);
CREATE UNIQUE INDEX /*prefix*/clicks_event ON /*prefix*/clicks (event_id);
-- Clicks without event id, those that are not adopted yet and those whose time cannot be read: few or none, so
-- these indexes cost nothing.
CREATE INDEX /*prefix*/clicks_new ON /*prefix*/clicks (id) WHERE event_id IS NULL;
CREATE INDEX /*prefix*/clicks_unread ON /*prefix*/clicks (code) WHERE event_id IS NULL;
CREATE INDEX /*prefix*/click_hours_hour ON /*prefix*/click_hours (hour, code);
