-- The audit trail: by how long an entry is kept, then by month, so that old months go as whole tables.
-- depends: 0003_service_tokens

-- No foreign keys: an entry outlives the person and the session it tells of. No default partition: entries in it
-- would stand in the way of the month they belong to.
CREATE TABLE audit_logs (
    retention         VARCHAR(8)   NOT NULL,
    occurred_at       TIMESTAMPTZ  NOT NULL,
    id                UUID         NOT NULL,
    xid               XID8         NOT NULL DEFAULT pg_current_xact_id(),
    action            VARCHAR(64)  NOT NULL,
    outcome           VARCHAR(16)  NOT NULL,
    reason            VARCHAR(64),
    severity          VARCHAR(16)  NOT NULL,
    actor_type        VARCHAR(16)  NOT NULL,
    actor_id          VARCHAR(255),
    user_id           UUID,
    session_id        UUID,
    request_id        VARCHAR(64),
    subject_index     BYTEA,
    details           TEXT         NOT NULL,
    details_key_id    VARCHAR(255) NOT NULL,
    entry_hash        BYTEA        NOT NULL
                      CONSTRAINT audit_logs_entry_hash_length CHECK (octet_length(entry_hash) = 32),
    entry_hash_key_id VARCHAR(255) NOT NULL,
    CONSTRAINT audit_logs_pk PRIMARY KEY (retention, occurred_at, id)
) PARTITION BY LIST (retention);

CREATE TABLE audit_logs_long PARTITION OF audit_logs FOR VALUES IN ('long') PARTITION BY RANGE (occurred_at);
CREATE TABLE audit_logs_short PARTITION OF audit_logs FOR VALUES IN ('short') PARTITION BY RANGE (occurred_at);

-- Makes the partitions of this and the next two months, and of the last month for a caller whose clock is behind as a
-- month begins. Runs with the owner's rights, which is why it takes no argument and its search path is fixed.
CREATE FUNCTION make_audit_partitions() RETURNS INTEGER
    LANGUAGE plpgsql
    SECURITY DEFINER
    SET search_path = public, pg_temp
    SET timezone = 'UTC'
AS $$
DECLARE
    class  TEXT;
    month  TIMESTAMPTZ;
    parent TEXT;
    child  TEXT;
    made   INTEGER := 0;
BEGIN
    -- Two callers at once: the second waits, and then finds all of it made.
    PERFORM pg_advisory_xact_lock(hashtext('cypher.make_audit_partitions'));
    FOREACH class IN ARRAY ARRAY['long', 'short'] LOOP
        FOR ahead IN -1..2 LOOP
            month := date_trunc('month', now()) + make_interval(months => ahead);
            parent := 'audit_logs_' || class;
            child := parent || '_' || to_char(month, 'YYYY_MM');
            CONTINUE WHEN to_regclass('public.' || child) IS NOT NULL;
            -- Made apart and then attached: `CREATE TABLE … PARTITION OF` would lock out every writer.
            EXECUTE format('CREATE TABLE %I (LIKE %I INCLUDING DEFAULTS INCLUDING CONSTRAINTS)', child, parent);
            EXECUTE format('ALTER TABLE %I ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)',
                           parent, child, month, month + make_interval(months => 1));
            made := made + 1;
        END LOOP;
    END LOOP;
    RETURN made;
END
$$;

REVOKE ALL ON FUNCTION make_audit_partitions() FROM PUBLIC;

DO $$ BEGIN PERFORM make_audit_partitions(); END $$;
