DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'cypher_service') THEN
        REVOKE ALL ON ALL TABLES IN SCHEMA public FROM cypher_service;
        REVOKE ALL ON ALL FUNCTIONS IN SCHEMA public FROM cypher_service;
        REVOKE ALL ON SCHEMA public FROM cypher_service;
    END IF;
END
$$;
-- The role stays: it belongs to the whole server, and other databases may use it.
DROP FUNCTION grant_service_rights();
