-- name: wait_for_others :exec
-- Held by whoever migrates, to the end of its transaction. Its number is only ours, and nothing more.
SELECT pg_advisory_xact_lock(4283716250917);

-- name: may_create :value
-- Whether this role can make tables where yoyo and the migrations make them.
SELECT coalesce(has_schema_privilege(current_schema(), 'CREATE'), FALSE);

-- name: list_applied :many
SELECT migration_id
  FROM _yoyo_migration
 ORDER BY migration_id;

-- name: has_history :value
SELECT to_regclass('_yoyo_migration') IS NOT NULL;

-- name: has_group :value
SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = 'cypher_service');

-- name: create_group :exec
-- The migration that makes it was applied on another server, where this schema was before.
CREATE ROLE cypher_service NOLOGIN;

-- name: lacks_group :value
-- params: service_role
-- Whether the service's role is there, and no member of the group yet.
SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = $1::text)
   AND NOT pg_has_role($1::text, 'cypher_service', 'MEMBER');

-- name: grant_statement :value
-- params: service_role
SELECT format('GRANT cypher_service TO %I', $1::text);

-- name: role_exists :value
-- params: role
SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = $1::text);

-- name: create_role_statement :value
-- params: role, verifier
-- The verifier is SCRAM's: the password itself is not sent and stands in no log of the server.
SELECT format('CREATE ROLE %I LOGIN PASSWORD %L', $1::text, $2::text);

-- name: database_exists :value
-- params: database
SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1::text);

-- name: create_database_statement :value
-- params: database
SELECT format('CREATE DATABASE %I ENCODING ''UTF8'' TEMPLATE template0', $1::text);

-- name: grant_service_rights :exec
-- Every time: the group, or this server, may be newer than the migration that gave it its rights.
SELECT grant_service_rights();

-- name: set_retention_days :value
-- params: days
UPDATE audit_retention
   SET days = $1::text::integer
 WHERE retention = 'long'
RETURNING days;
