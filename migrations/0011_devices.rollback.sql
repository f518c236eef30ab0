DROP INDEX user_sessions_device_idx;
ALTER TABLE user_sessions
    DROP CONSTRAINT user_sessions_device_fingerprint_index_length,
    DROP CONSTRAINT user_sessions_device_fingerprint_has_index,
    DROP CONSTRAINT user_sessions_device_fk;
UPDATE user_sessions SET device_id = NULL WHERE device_id IS NOT NULL;
DROP TABLE devices;
