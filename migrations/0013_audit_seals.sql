-- The trail proven: entries are sealed in ranges, each under a signed root; leaves and seals outlive what they prove.
-- depends: 0012_recovery

-- What details that name a person are sealed with besides the month's key. Without this row nobody opens them any more.
CREATE TABLE audit_subjects (
    user_id       UUID         CONSTRAINT audit_subjects_pk PRIMARY KEY
                  CONSTRAINT audit_subjects_user_fk REFERENCES users (id) ON DELETE CASCADE,
    secret        TEXT         NOT NULL,
    secret_key_id VARCHAR(255) NOT NULL
);

-- A seal closes what was written by transactions up to `through_xid`. It signs all of this, and by `previous` the seal
-- before it.
CREATE TABLE audit_seals (
    seal_no        BIGINT       CONSTRAINT audit_seals_pk PRIMARY KEY
                   CONSTRAINT audit_seals_seal_no_counts CHECK (seal_no > 0),
    through_xid    XID8         NOT NULL,
    count          INTEGER      NOT NULL,
    root           BYTEA        NOT NULL CONSTRAINT audit_seals_root_length CHECK (octet_length(root) = 32),
    previous       BYTEA        NOT NULL CONSTRAINT audit_seals_previous_length CHECK (octet_length(previous) = 32),
    sealed_at      TIMESTAMPTZ  NOT NULL,
    signature      BYTEA        NOT NULL CONSTRAINT audit_seals_signature_length CHECK (octet_length(signature) = 64),
    signing_key_id VARCHAR(255) NOT NULL
);

-- `retention` is the class of the entry: when it is gone, this says whether it might be.
CREATE TABLE audit_leaves (
    seal_no    BIGINT     NOT NULL CONSTRAINT audit_leaves_seal_fk REFERENCES audit_seals (seal_no),
    position   INTEGER    NOT NULL,
    retention  VARCHAR(8) NOT NULL,
    entry_id   UUID       NOT NULL CONSTRAINT audit_leaves_entry_unique UNIQUE,
    entry_hash BYTEA      NOT NULL CONSTRAINT audit_leaves_entry_hash_length CHECK (octet_length(entry_hash) = 32),
    CONSTRAINT audit_leaves_pk PRIMARY KEY (seal_no, position)
);

-- How long entries are kept. The service may only read it: what it could shorten here, it could drop.
CREATE TABLE audit_retention (
    retention VARCHAR(8) CONSTRAINT audit_retention_pk PRIMARY KEY,
    days      INTEGER    NOT NULL CONSTRAINT audit_retention_days_enough CHECK (days >= 30)
);

INSERT INTO audit_retention (retention, days) VALUES ('long', 400), ('short', 30);

-- The trail is read newest first, by one of these; the sealer reads it by transaction.
CREATE INDEX audit_logs_occurred_idx ON audit_logs (occurred_at, id);
CREATE INDEX audit_logs_user_idx ON audit_logs (user_id, occurred_at, id) WHERE user_id IS NOT NULL;
CREATE INDEX audit_logs_subject_idx ON audit_logs (subject_index, occurred_at, id) WHERE subject_index IS NOT NULL;
CREATE INDEX audit_logs_action_idx ON audit_logs (action, occurred_at, id);
CREATE INDEX audit_logs_xid_idx ON audit_logs (xid);

-- Drops one month of one class: the oldest that is over for as long as its class is kept, if all of it is sealed.
-- Returns which, and how many entries went; nothing when nothing is due. Runs with the owner's rights, which is why it
-- takes no argument, decides by itself, and its search path is fixed.
CREATE FUNCTION drop_expired_audit_partition() RETURNS TABLE (retention TEXT, month TEXT, entries BIGINT)
    LANGUAGE plpgsql
    SECURITY DEFINER
    SET search_path = public, pg_temp
    SET timezone = 'UTC'
    -- Every writer waits while this waits for its lock.
    SET lock_timeout = '100ms'
AS $$
DECLARE
    child    RECORD;
    unsealed BIGINT;
BEGIN
    -- One at a time, and not beside the one that makes partitions.
    IF NOT pg_try_advisory_xact_lock(hashtext('cypher.make_audit_partitions')) THEN
        RETURN;
    END IF;
    FOR child IN
        SELECT c.relname AS name, k.retention AS class, right(c.relname, 7) AS month
          FROM audit_retention k
          JOIN pg_class p ON p.relname = 'audit_logs_' || k.retention AND p.relnamespace = 'public'::regnamespace
          JOIN pg_inherits i ON i.inhparent = p.oid
          JOIN pg_class c ON c.oid = i.inhrelid
         WHERE c.relname ~ '_[0-9]{4}_[0-9]{2}$'
           AND to_date(right(c.relname, 7), 'YYYY_MM') + interval '1 month' + make_interval(days => k.days) <= now()
         ORDER BY right(c.relname, 7), k.retention
    LOOP
        EXECUTE format('SELECT count(*), count(*) FILTER (WHERE l.entry_id IS NULL)'
                       '  FROM %I e LEFT JOIN audit_leaves l ON l.entry_id = e.id AND l.entry_hash = e.entry_hash',
                       child.name)
           INTO entries, unsealed;
        IF unsealed > 0 THEN
            RAISE WARNING '% holds % entries that are not sealed, and stays', child.name, unsealed;
            CONTINUE;
        END IF;
        EXECUTE format('DROP TABLE %I', child.name);
        retention := child.class;
        month := child.month;
        RETURN NEXT;
        RETURN;
    END LOOP;
END
$$;

REVOKE ALL ON FUNCTION drop_expired_audit_partition() FROM PUBLIC;

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
            -- Not of the trail itself: a person is erased by deleting a row of it.
            WHEN relation.relname = 'audit_subjects' THEN 'SELECT, INSERT, UPDATE, DELETE'
            WHEN relation.relname = 'audit_retention' THEN 'SELECT'
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
    GRANT EXECUTE ON FUNCTION make_audit_partitions(), drop_expired_audit_partition() TO cypher_service;
    -- By this the service knows whether the schema is the one it needs.
    GRANT SELECT ON _yoyo_migration TO cypher_service;
END
$$;

DO $$ BEGIN PERFORM grant_service_rights(); END $$;
