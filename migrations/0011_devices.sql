-- The devices people log in from. A fingerprint is only found again by it; what is believed hangs on the device's token.
-- depends: 0010_factors

CREATE TABLE devices (
    id                 UUID         CONSTRAINT devices_pk PRIMARY KEY,
    user_id            UUID         NOT NULL CONSTRAINT devices_user_fk REFERENCES users (id) ON DELETE CASCADE,
    fingerprint        TEXT         NOT NULL,
    fingerprint_key_id VARCHAR(255) NOT NULL,
    -- Of person and fingerprint: the same device of two people has two, so that a dump does not link accounts.
    fingerprint_index  BYTEA        NOT NULL
                       CONSTRAINT devices_fingerprint_index_length CHECK (octet_length(fingerprint_index) = 16),
    info               TEXT,
    info_key_id        VARCHAR(255),
    name               TEXT,
    name_key_id        VARCHAR(255),
    token_hash         BYTEA
                       CONSTRAINT devices_token_hash_unique UNIQUE
                       CONSTRAINT devices_token_hash_length CHECK (octet_length(token_hash) = 32),
    -- The token before, for a device that did not get the answer with its last one.
    previous_hash      BYTEA
                       CONSTRAINT devices_previous_hash_length CHECK (octet_length(previous_hash) = 32),
    token_expires_at   TIMESTAMPTZ,
    trusted_until      TIMESTAMPTZ,
    first_seen_at      TIMESTAMPTZ  NOT NULL DEFAULT now(),
    last_seen_at       TIMESTAMPTZ  NOT NULL DEFAULT now(),
    revoked_at         TIMESTAMPTZ,
    CONSTRAINT devices_info_has_key CHECK ((info IS NULL) = (info_key_id IS NULL)),
    CONSTRAINT devices_name_has_key CHECK ((name IS NULL) = (name_key_id IS NULL)),
    CONSTRAINT devices_token_expires CHECK ((token_hash IS NULL) = (token_expires_at IS NULL)),
    CONSTRAINT devices_previous_has_next CHECK (previous_hash IS NULL OR token_hash IS NOT NULL),
    -- Trust is shown by the token and by nothing else.
    CONSTRAINT devices_trust_has_token CHECK (trusted_until IS NULL OR token_hash IS NOT NULL),
    CONSTRAINT devices_revoked_has_no_token CHECK (revoked_at IS NULL OR token_hash IS NULL)
);

-- A person's device is one row, however many logins find it new at once. One that was revoked begins anew.
CREATE UNIQUE INDEX devices_user_fingerprint_unique ON devices (user_id, fingerprint_index) WHERE revoked_at IS NULL;

CREATE INDEX devices_previous_hash_idx ON devices (previous_hash) WHERE previous_hash IS NOT NULL;

-- Whichever of the two goes first when a person is deleted: a session may be left without its device for that moment.
ALTER TABLE user_sessions
    ADD CONSTRAINT user_sessions_device_fk FOREIGN KEY (device_id) REFERENCES devices (id) ON DELETE SET NULL,
    ADD CONSTRAINT user_sessions_device_fingerprint_has_index
        CHECK ((device_fingerprint IS NULL) = (device_fingerprint_index IS NULL)),
    ADD CONSTRAINT user_sessions_device_fingerprint_index_length CHECK (octet_length(device_fingerprint_index) = 16);

CREATE INDEX user_sessions_device_idx ON user_sessions (device_id) WHERE device_id IS NOT NULL;

DO $$ BEGIN PERFORM grant_service_rights(); END $$;
