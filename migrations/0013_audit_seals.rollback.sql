-- The seals go, and with them the proof of what retention has dropped.
DROP FUNCTION drop_expired_audit_partition();
DROP INDEX audit_logs_xid_idx;
DROP INDEX audit_logs_action_idx;
DROP INDEX audit_logs_subject_idx;
DROP INDEX audit_logs_user_idx;
DROP INDEX audit_logs_occurred_idx;
DROP TABLE audit_retention;
DROP TABLE audit_leaves;
DROP TABLE audit_seals;
DROP TABLE audit_subjects;

CREATE OR REPLACE FUNCTION grant_service_rights() RETURNS VOID
    LANGUAGE plpgsql
    SET search_path = public, pg_temp
AS $$
DECLARE
    relation pg_class;
    rights   TEXT;
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'cypher_service') THEN
        RETURN;
    END IF;
    GRANT USAGE ON SCHEMA public TO cypher_service;
    FOR relation IN
        SELECT *
          FROM pg_class
         WHERE relnamespace = 'public'::regnamespace
           AND relkind IN ('r', 'p')
           AND NOT relispartition
           AND relname NOT LIKE '%yoyo%'
    LOOP
        rights := CASE
            -- The trail is append-only: no UPDATE, no DELETE, no TRUNCATE, and nothing at all on its partitions.
            WHEN relation.relname LIKE 'audit\_%'   THEN 'SELECT, INSERT'
            -- By these a foreign or an older key store is known: whoever could delete them could hide one.
            WHEN relation.relname = 'deployment'    THEN 'SELECT, INSERT'
            WHEN relation.relname IN ('data_keys', 'key_store_identity') THEN 'SELECT, INSERT, UPDATE'
            ELSE 'SELECT, INSERT, UPDATE, DELETE'
        END;
        EXECUTE format('REVOKE ALL ON %I FROM cypher_service', relation.relname);
        EXECUTE format('GRANT %s ON %I TO cypher_service', rights, relation.relname);
    END LOOP;
    GRANT EXECUTE ON FUNCTION make_audit_partitions() TO cypher_service;
    -- By this the service knows whether the schema is the one it needs.
    GRANT SELECT ON _yoyo_migration TO cypher_service;
END
$$;

DO $$ BEGIN PERFORM grant_service_rights(); END $$;
