CREATE OR REPLACE FUNCTION grant_service_rights() RETURNS VOID
    LANGUAGE plpgsql
    SET search_path = public, pg_temp
AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'cypher_service') THEN
        RETURN;
    END IF;
    REVOKE DELETE ON users, user_sessions, refresh_tokens, service_tokens FROM cypher_service;
    REVOKE UPDATE ON token_blacklist FROM cypher_service;
    GRANT USAGE ON SCHEMA public TO cypher_service;
    GRANT SELECT, INSERT, UPDATE ON users, user_sessions, refresh_tokens, service_tokens TO cypher_service;
    GRANT SELECT, INSERT, DELETE ON token_blacklist TO cypher_service;
    -- The trail is append-only: no UPDATE, no DELETE, no TRUNCATE, and nothing at all on its partitions.
    GRANT SELECT, INSERT ON audit_logs TO cypher_service;
    GRANT SELECT, INSERT, UPDATE ON data_keys, key_store_identity TO cypher_service;
    GRANT SELECT, INSERT ON deployment TO cypher_service;
    GRANT EXECUTE ON FUNCTION make_audit_partitions() TO cypher_service;
    -- By this the service knows whether the schema is the one it needs.
    GRANT SELECT ON _yoyo_migration TO cypher_service;
END
$$;

DO $$ BEGIN PERFORM grant_service_rights(); END $$;
