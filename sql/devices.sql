-- Devices. A fingerprint finds a device again and proves nothing; the token, of which only the hash is here, is what a
-- device shows. Statements without a condition on `user_id` are called with an id that was found under one.

-- name: find_by_token_and_name :value
-- params: token_hash, username_indexes
-- The device that shows this token, if it is one of the person with this name. The token comes first: for one that
-- nobody was given, no name is looked at, so that the time tells nothing of who has one.
WITH shown AS MATERIALIZED (
    SELECT id, user_id
      FROM devices
     WHERE (token_hash = $1 OR previous_hash = $1)
       AND token_expires_at > now()
       AND revoked_at IS NULL
)
SELECT d.id
  FROM shown d
  JOIN users u ON u.id = d.user_id
 WHERE u.username_index = ANY($2::bytea[]);

-- name: find_shown :one
-- params: user_id, token_hash, fingerprint_indexes
-- The person's device that shows this token, at the end of a login; with fingerprints, only if it has one of them.
-- Trust skips the second factor and nothing else.
SELECT id, coalesce(trusted_until > now(), FALSE) AS trusted
  FROM devices
 WHERE user_id = $1
   AND (token_hash = $2 OR previous_hash = $2)
   AND token_expires_at > now()
   AND revoked_at IS NULL
   AND ($3::bytea[] IS NULL OR fingerprint_index = ANY($3));

-- name: see_fingerprint :value
-- params: user_id, fingerprint_indexes
-- Finds a device again and notes that it was seen now; NULL for one that is new, or was revoked.
   UPDATE devices
      SET last_seen_at = now()
    WHERE user_id = $1
      AND fingerprint_index = ANY($2::bytea[])
      AND revoked_at IS NULL
RETURNING id;

-- name: insert_device :value
-- params: device_id, user_id, fingerprint, fingerprint_key_id, fingerprint_index, info, info_key_id, name, name_key_id
-- The id of another row when somebody else was quicker: what was sealed for this one would not open there, and is left.
INSERT INTO devices (id, user_id, fingerprint, fingerprint_key_id, fingerprint_index, info, info_key_id, name,
                     name_key_id)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
    ON CONFLICT (user_id, fingerprint_index) WHERE revoked_at IS NULL DO UPDATE
       SET last_seen_at = now()
RETURNING id;

-- name: describe_device :execrows
-- params: device_id, info, info_key_id, name, name_key_id
-- NULL changes nothing. A name that is there stays: its owner may have given it.
UPDATE devices
   SET info = coalesce($2, info),
       info_key_id = coalesce($3, info_key_id),
       name = coalesce(name, $4),
       name_key_id = coalesce(name_key_id, $5)
 WHERE id = $1;

-- name: see_device :execrows
-- params: device_id, shown_hash
-- The token before the one that is shown is worthless from here on.
UPDATE devices
   SET last_seen_at = now(), previous_hash = CASE WHEN token_hash <> $2 THEN previous_hash END
 WHERE id = $1;

-- name: give_token :execrows
-- params: device_id, token_hash, lifetime, trust, shown_hash
-- The token that was shown stays good until the new one is shown: its answer may be lost. All others are worthless from
-- here on. Trust passes on only where one was shown: whoever merely has the fingerprint of a trusted device ends it.
UPDATE devices
   SET token_hash = $2,
       previous_hash = $5::bytea,
       token_expires_at = now() + $3::interval,
       trusted_until = CASE WHEN $4::boolean THEN now() + $3::interval
                            WHEN $5::bytea IS NOT NULL THEN trusted_until
                        END
 WHERE id = $1
   AND revoked_at IS NULL;

-- name: list_kept_devices :many
-- params: user_id, before, most
-- The next before an id, revoked or not, newest first, with all that is kept of them.
SELECT id, user_id, fingerprint, fingerprint_key_id, info, info_key_id, name, name_key_id,
       CASE WHEN trusted_until > now() THEN trusted_until END AS trusted_until,
       first_seen_at, last_seen_at, revoked_at
  FROM devices
 WHERE user_id = $1
   AND id < $2
 ORDER BY id DESC
 LIMIT $3;

-- name: list_devices :many
-- params: user_id
-- The hundred that were used last; the sessions of a device are seen far more often than its logins.
SELECT d.id, d.user_id, d.info, d.info_key_id, d.name, d.name_key_id,
       CASE WHEN d.trusted_until > now() THEN d.trusted_until END AS trusted_until,
       d.first_seen_at,
       greatest(d.last_seen_at, (SELECT max(s.last_seen_at)
                                   FROM user_sessions s
                                  WHERE s.device_id = d.id)) AS last_seen_at,
       d.revoked_at
  FROM devices d
 WHERE d.user_id = $1
   AND d.revoked_at IS NULL
 ORDER BY last_seen_at DESC, d.id DESC
 LIMIT 100;

-- name: get_device :one
-- params: device_id, user_id
-- Revoked or not.
SELECT d.id, d.user_id, d.info, d.info_key_id, d.name, d.name_key_id,
       CASE WHEN d.trusted_until > now() THEN d.trusted_until END AS trusted_until,
       d.first_seen_at,
       greatest(d.last_seen_at, (SELECT max(s.last_seen_at)
                                   FROM user_sessions s
                                  WHERE s.device_id = d.id)) AS last_seen_at,
       d.revoked_at
  FROM devices d
 WHERE d.id = $1
   AND d.user_id = $2;

-- name: set_name :execrows
-- params: device_id, user_id, name, name_key_id
UPDATE devices
   SET name = $3, name_key_id = $4
 WHERE id = $1
   AND user_id = $2
   AND revoked_at IS NULL;

-- name: end_trust :execrows
-- params: user_id, device_id
-- Of one device, or with NULL of all; their tokens go on as those of devices that are not trusted. Hold the person's row before.
UPDATE devices
   SET trusted_until = NULL
 WHERE user_id = $1
   AND ($2::uuid IS NULL OR id = $2)
   AND trusted_until IS NOT NULL;

-- name: revoke_device :execrows
-- params: device_id, user_id
-- Counts a row only when this revoked it. Hold the person's row before.
UPDATE devices
   SET revoked_at = now(), token_hash = NULL, previous_hash = NULL, token_expires_at = NULL, trusted_until = NULL
 WHERE id = $1
   AND user_id = $2
   AND revoked_at IS NULL;
