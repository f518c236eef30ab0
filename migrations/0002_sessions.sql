-- Sessions, the refresh tokens of their families, and access tokens that were ended before their time.
-- depends: 0001_users

-- A session's row is written anew every half minute of its use: room on the page keeps that away from the indexes.
CREATE TABLE user_sessions (
    session_id                UUID         CONSTRAINT user_sessions_pk PRIMARY KEY,
    user_id                   UUID         NOT NULL
                              CONSTRAINT user_sessions_user_fk REFERENCES users (id) ON DELETE CASCADE,
    session_data              TEXT         NOT NULL,
    session_data_key_id       VARCHAR(255) NOT NULL,
    ip_address                TEXT         NOT NULL,
    ip_address_key_id         VARCHAR(255) NOT NULL,
    device_fingerprint        TEXT,
    device_fingerprint_key_id VARCHAR(255),
    device_fingerprint_index  BYTEA,
    device_id                 UUID,
    aal                       SMALLINT     NOT NULL CONSTRAINT user_sessions_aal_known CHECK (aal IN (1, 2)),
    authenticated_at          TIMESTAMPTZ  NOT NULL DEFAULT now(),
    created_at                TIMESTAMPTZ  NOT NULL DEFAULT now(),
    last_seen_at              TIMESTAMPTZ  NOT NULL DEFAULT now(),
    idle_expires_at           TIMESTAMPTZ  NOT NULL,
    expires_at                TIMESTAMPTZ  NOT NULL,
    revoked_at                TIMESTAMPTZ,
    revoked_reason            VARCHAR(64),
    CONSTRAINT user_sessions_device_fingerprint_has_key
        CHECK ((device_fingerprint IS NULL) = (device_fingerprint_key_id IS NULL)),
    CONSTRAINT user_sessions_idle_within_absolute CHECK (idle_expires_at <= expires_at),
    CONSTRAINT user_sessions_revoked_has_reason CHECK ((revoked_at IS NULL) = (revoked_reason IS NULL))
) WITH (fillfactor = 80);

CREATE INDEX user_sessions_user_idx ON user_sessions (user_id);

-- The token itself is never stored. `successor` is kept sealed for the seconds in which a lost answer is given again.
CREATE TABLE refresh_tokens (
    token_hash       BYTEA        CONSTRAINT refresh_tokens_pk PRIMARY KEY
                     CONSTRAINT refresh_tokens_token_hash_length CHECK (octet_length(token_hash) = 32),
    session_id       UUID         NOT NULL
                     CONSTRAINT refresh_tokens_session_fk REFERENCES user_sessions (session_id) ON DELETE CASCADE,
    user_id          UUID         NOT NULL,
    parent_hash      BYTEA,
    metadata         TEXT,
    metadata_key_id  VARCHAR(255),
    issued_at        TIMESTAMPTZ  NOT NULL DEFAULT now(),
    consumed_at      TIMESTAMPTZ,
    successor        TEXT,
    successor_key_id VARCHAR(255),
    CONSTRAINT refresh_tokens_metadata_has_key CHECK ((metadata IS NULL) = (metadata_key_id IS NULL)),
    CONSTRAINT refresh_tokens_successor_has_key CHECK ((successor IS NULL) = (successor_key_id IS NULL)),
    CONSTRAINT refresh_tokens_successor_of_consumed CHECK (successor IS NULL OR consumed_at IS NOT NULL)
);

CREATE INDEX refresh_tokens_session_idx ON refresh_tokens (session_id);

CREATE TABLE token_blacklist (
    jti        VARCHAR(255) CONSTRAINT token_blacklist_pk PRIMARY KEY,
    session_id UUID         NOT NULL,
    expires_at TIMESTAMPTZ  NOT NULL,
    reason     VARCHAR(64)  NOT NULL
);

CREATE INDEX token_blacklist_session_idx ON token_blacklist (session_id);
CREATE INDEX token_blacklist_expires_idx ON token_blacklist (expires_at);
