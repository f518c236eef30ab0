-- People. Every column that would be worth stealing is sealed; the id of the sealing key stands beside it.

CREATE TABLE users (
    id                   UUID         CONSTRAINT users_pk PRIMARY KEY,
    username             TEXT         NOT NULL,
    username_key_id      VARCHAR(255) NOT NULL,
    username_index       BYTEA        NOT NULL
                         CONSTRAINT users_username_index_unique UNIQUE
                         CONSTRAINT users_username_index_length CHECK (octet_length(username_index) = 16),
    opaque_record        TEXT         NOT NULL,
    opaque_record_key_id VARCHAR(255) NOT NULL,
    opaque_setup_id      VARCHAR(255) NOT NULL,
    opaque_credential_id BYTEA        NOT NULL
                         CONSTRAINT users_opaque_credential_id_length CHECK (octet_length(opaque_credential_id) = 16),
    totp_secret          TEXT,
    totp_secret_key_id   VARCHAR(255),
    totp_enabled         BOOLEAN      NOT NULL DEFAULT FALSE,
    totp_last_step       BIGINT,
    totp_failures_total  INTEGER      NOT NULL DEFAULT 0,
    is_active            BOOLEAN      NOT NULL DEFAULT TRUE,
    locked_until         TIMESTAMPTZ,
    sessions_revoked_at  TIMESTAMPTZ,
    created_at           TIMESTAMPTZ  NOT NULL DEFAULT now(),
    password_changed_at  TIMESTAMPTZ  NOT NULL DEFAULT now(),
    last_login_at        TIMESTAMPTZ,
    CONSTRAINT users_totp_secret_has_key CHECK ((totp_secret IS NULL) = (totp_secret_key_id IS NULL)),
    CONSTRAINT users_totp_enabled_has_secret CHECK (totp_secret IS NOT NULL OR NOT totp_enabled)
);
