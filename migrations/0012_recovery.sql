-- Recovery tokens: what lets somebody set a new password, or a first one, without knowing the old.
-- depends: 0011_devices

-- Only the hash is stored: a token has 256 random bits, which need no salt and no stretching.
CREATE TABLE recovery_tokens (
    token_hash BYTEA       CONSTRAINT recovery_tokens_pk PRIMARY KEY
               CONSTRAINT recovery_tokens_token_hash_length CHECK (octet_length(token_hash) = 32),
    user_id    UUID        NOT NULL CONSTRAINT recovery_tokens_user_fk REFERENCES users (id) ON DELETE CASCADE,
    created_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    expires_at TIMESTAMPTZ NOT NULL,
    used_at    TIMESTAMPTZ
);

CREATE INDEX recovery_tokens_user_idx ON recovery_tokens (user_id);
CREATE INDEX recovery_tokens_expires_idx ON recovery_tokens (expires_at);

-- Somebody whom an operator has made has a name and no password yet: until a recovery token gives them one, a login
-- with their name is answered like one with a name that nobody has.
ALTER TABLE users
    ALTER COLUMN opaque_record DROP NOT NULL,
    ALTER COLUMN opaque_record_key_id DROP NOT NULL,
    ALTER COLUMN opaque_setup_id DROP NOT NULL,
    ALTER COLUMN opaque_credential_id DROP NOT NULL,
    ADD CONSTRAINT users_opaque_record_whole CHECK (
        num_nulls(opaque_record, opaque_record_key_id, opaque_setup_id, opaque_credential_id) IN (0, 4)
    );

DO $$ BEGIN PERFORM grant_service_rights(); END $$;
