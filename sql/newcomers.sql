-- name: insert_newcomers :many
-- params: ids, usernames, username_key_ids, username_indexes, records, record_key_ids, setup_ids, credential_ids, totp_secrets, totp_secret_key_ids, actives
-- Returns the ids of those who are there now. Who has a name that somebody has already, also of those before in the same
-- statement, is left out.
INSERT INTO users (id, username, username_key_id, username_index, opaque_record, opaque_record_key_id,
                   opaque_setup_id, opaque_credential_id, totp_secret, totp_secret_key_id, totp_enabled, is_active)
SELECT id, username, username_key_id, username_index, record, record_key_id,
       setup_id, credential_id, totp_secret, totp_secret_key_id, totp_secret IS NOT NULL, is_active
  FROM unnest($1::uuid[], $2::text[], $3::text[], $4::bytea[], $5::text[], $6::text[],
              $7::text[], $8::bytea[], $9::text[], $10::text[], $11::boolean[])
    AS n (id, username, username_key_id, username_index, record, record_key_id,
          setup_id, credential_id, totp_secret, totp_secret_key_id, is_active)
    ON CONFLICT DO NOTHING
RETURNING id;

-- name: list_credential_ids :many
-- params: username_indexes
-- Whose names are there, and with which password.
SELECT username_index, opaque_credential_id
  FROM users
 WHERE username_index = ANY($1::bytea[]);
