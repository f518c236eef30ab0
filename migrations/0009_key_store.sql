-- The key store of KEY_STORE=postgres: what keyring.json holds, every key in it wrapped. Empty with any other store.
-- depends: 0008_retired_keys

CREATE TABLE key_store (
    only_row    BOOLEAN     CONSTRAINT key_store_pk PRIMARY KEY DEFAULT TRUE
                CONSTRAINT key_store_one_row CHECK (only_row),
    version     INTEGER     NOT NULL,
    store_id    UUID        NOT NULL CONSTRAINT key_store_store_id_unique UNIQUE,
    generation  BIGINT      NOT NULL,
    epoch       VARCHAR(32) NOT NULL,
    kdf_name    VARCHAR(64) NOT NULL,
    kdf_salt    BYTEA       NOT NULL,
    kdf_rounds  INTEGER     NOT NULL,
    check_value TEXT        NOT NULL
);

-- What a key may be is checked as it is read, by the same lines as for keyring.json.
CREATE TABLE encryption_keys (
    id           VARCHAR(255) CONSTRAINT encryption_keys_pk PRIMARY KEY,
    store_id     UUID         NOT NULL CONSTRAINT encryption_keys_store_id_fk
                 REFERENCES key_store (store_id) ON DELETE CASCADE,
    -- The order of the list in keyring.json: of two keys made at one moment it says which was first.
    position     INTEGER      NOT NULL CONSTRAINT encryption_keys_position_unique UNIQUE,
    purpose      VARCHAR(64)  NOT NULL,
    algorithm    VARCHAR(64)  NOT NULL,
    state        VARCHAR(64)  NOT NULL,
    created_at   TIMESTAMPTZ  NOT NULL,
    activated_at TIMESTAMPTZ,
    wrapped      TEXT         NOT NULL
);

DO $$ BEGIN PERFORM grant_service_rights(); END $$;
