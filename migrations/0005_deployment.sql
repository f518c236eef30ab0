-- Which key store this database belongs to, which keys it has seen, and the epoch that both are of.
-- depends: 0004_audit_logs

CREATE TABLE data_keys (
    key_id        VARCHAR(255) CONSTRAINT data_keys_pk PRIMARY KEY,
    operations    BIGINT       NOT NULL DEFAULT 0
                  CONSTRAINT data_keys_operations_count CHECK (operations >= 0),
    first_seen_at TIMESTAMPTZ  NOT NULL DEFAULT now()
);

CREATE TABLE key_store_identity (
    only_row   BOOLEAN CONSTRAINT key_store_identity_pk PRIMARY KEY DEFAULT TRUE
               CONSTRAINT key_store_identity_one_row CHECK (only_row),
    store_id   UUID    NOT NULL,
    generation BIGINT  NOT NULL
);

CREATE TABLE deployment (
    only_row BOOLEAN     CONSTRAINT deployment_pk PRIMARY KEY DEFAULT TRUE
             CONSTRAINT deployment_one_row CHECK (only_row),
    epoch    VARCHAR(32) NOT NULL
);
