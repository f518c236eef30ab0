-- What a server, and the role that asks, are like: for whoever looks after them. Nothing here reads a table of ours.

-- name: get_facts :one
-- `places` are connections for roles like this one, on the whole server; NULL for a limit that is off.
SELECT current_setting('server_version_num')::integer AS version,
       clock_timestamp() AS time,
       coalesce((SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()), FALSE) AS has_tls,
       pg_is_in_recovery() AS is_standby,
       current_setting('max_connections')::integer
           - current_setting('superuser_reserved_connections')::integer
           - coalesce(current_setting('reserved_connections', TRUE)::integer, 0) AS places,
       (SELECT coalesce(sum(numbackends), 0)::integer FROM pg_stat_database) AS taken,
       (SELECT nullif(rolconnlimit, -1) FROM pg_roles WHERE rolname = current_user) AS role_limit,
       (SELECT nullif(datconnlimit, -1) FROM pg_database WHERE datname = current_database()) AS database_limit,
       current_setting('fsync')::boolean AS fsync,
       current_setting('full_page_writes')::boolean AS full_page_writes,
       current_setting('synchronous_commit') <> 'off' AS synchronous_commit;

-- name: get_rights :one
-- What this role could do to a trail that it should only add to. NULL where there is no trail yet.
SELECT r.rolsuper AS is_superuser,
       pg_has_role(c.relowner, 'USAGE') AS owns_trail,
       has_table_privilege(c.oid, 'UPDATE, DELETE, TRUNCATE') AS rewrites_trail
  FROM pg_roles AS r
  LEFT JOIN pg_class AS c ON c.oid = to_regclass('audit_logs')
 WHERE r.rolname = current_user;
