-- Bearer tokens of backends and operators. Only the hash is stored; names and scopes are no secret.
-- depends: 0002_sessions

CREATE TABLE service_tokens (
    id           UUID         CONSTRAINT service_tokens_pk PRIMARY KEY,
    name         VARCHAR(255) NOT NULL,
    token_hash   BYTEA        NOT NULL
                 CONSTRAINT service_tokens_token_hash_unique UNIQUE
                 CONSTRAINT service_tokens_token_hash_length CHECK (octet_length(token_hash) = 32),
    scopes       TEXT[]       NOT NULL CONSTRAINT service_tokens_scopes_some CHECK (cardinality(scopes) > 0),
    created_at   TIMESTAMPTZ  NOT NULL DEFAULT now(),
    expires_at   TIMESTAMPTZ,
    last_used_at TIMESTAMPTZ,
    revoked_at   TIMESTAMPTZ
);
