-- What the service may do, given to a group: a login role becomes a member of it (`cypher migrate` sees to that).
-- depends: 0005_deployment

DO $$
BEGIN
    -- Roles belong to the whole server: another database may have made it, and the owner here may not be allowed to.
    CREATE ROLE cypher_service NOLOGIN;
EXCEPTION
    WHEN duplicate_object OR unique_violation THEN NULL;
    WHEN insufficient_privilege THEN NULL;
END
$$;

-- Gives the group its rights, if there is such a group. `cypher migrate` calls it each time, so that a role which was
-- made later, or a database that was restored on another server, comes to its rights as well.
CREATE FUNCTION grant_service_rights() RETURNS VOID
    LANGUAGE plpgsql
    SET search_path = public, pg_temp
AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'cypher_service') THEN
        RETURN;
    END IF;
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

REVOKE ALL ON FUNCTION grant_service_rights() FROM PUBLIC;

DO $$ BEGIN PERFORM grant_service_rights(); END $$;
