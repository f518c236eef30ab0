-- Before this there was nobody without a password: whoever goes back must decide about those who wait for one.
DO $$
BEGIN
    IF EXISTS (SELECT FROM users WHERE opaque_record IS NULL) THEN
        RAISE EXCEPTION 'people without a password are waiting for their first: recover or delete them before';
    END IF;
END
$$;
ALTER TABLE users
    DROP CONSTRAINT users_opaque_record_whole,
    ALTER COLUMN opaque_record SET NOT NULL,
    ALTER COLUMN opaque_record_key_id SET NOT NULL,
    ALTER COLUMN opaque_setup_id SET NOT NULL,
    ALTER COLUMN opaque_credential_id SET NOT NULL;
DROP TABLE recovery_tokens;
