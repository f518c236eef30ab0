DROP FUNCTION make_audit_partitions();
DROP TABLE audit_logs;
