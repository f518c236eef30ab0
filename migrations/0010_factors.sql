-- The second factor: recovery codes, and failures as the limits on guessing count them. Its secret is in users.totp_*.
-- depends: 0009_key_store

-- Only the hash is stored: a code has 128 random bits, which need no salt and no stretching.
CREATE TABLE recovery_codes (
    user_id    UUID        NOT NULL CONSTRAINT recovery_codes_user_fk REFERENCES users (id) ON DELETE CASCADE,
    code_hash  BYTEA       NOT NULL
               CONSTRAINT recovery_codes_code_hash_length CHECK (octet_length(code_hash) = 32),
    created_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    used_at    TIMESTAMPTZ,
    CONSTRAINT recovery_codes_pk PRIMARY KEY (user_id, code_hash)
);

-- An attempt is counted before the code is looked at; a right code takes its own row back, which is why it has an id.
CREATE TABLE factor_failures (
    id        UUID        CONSTRAINT factor_failures_pk PRIMARY KEY,
    user_id   UUID        NOT NULL CONSTRAINT factor_failures_user_fk REFERENCES users (id) ON DELETE CASCADE,
    failed_at TIMESTAMPTZ NOT NULL
);

CREATE INDEX factor_failures_user_failed_idx ON factor_failures (user_id, failed_at);

DO $$ BEGIN PERFORM grant_service_rights(); END $$;
