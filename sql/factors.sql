-- The second factor of a person. Whoever changes or tries one holds the person's row, locked by a statement before.
-- A right code takes back the attempt that was counted for it, and the next failure is the first in a row again: all three
-- kinds of codes end with that, in the statement that accepts them.

-- name: find_factors :one
-- params: user_id
SELECT u.totp_enabled,
       u.totp_secret IS NOT NULL AND NOT u.totp_enabled AS totp_pending,
       (SELECT count(*) FROM recovery_codes c WHERE c.user_id = u.id AND c.used_at IS NULL) AS recovery_codes
  FROM users u
 WHERE u.id = $1;

-- name: set_pending_secret :execrows
-- params: user_id, totp_secret, totp_secret_key_id
-- Begins an enrolment, in the place of one that was never confirmed. No row where a factor is enrolled.
UPDATE users
   SET totp_secret = $2, totp_secret_key_id = $3, totp_last_step = NULL, totp_failures_total = 0
 WHERE id = $1
   AND NOT totp_enabled;

-- name: enable_totp :execrows
-- params: attempt_id, user_id, step
-- The step that confirms is used up with it.
WITH accepted AS (
    UPDATE users
       SET totp_enabled = TRUE, totp_last_step = $3, totp_failures_total = 0
     WHERE id = $2
       AND NOT totp_enabled
       AND totp_secret IS NOT NULL
    RETURNING id
)
DELETE FROM factor_failures f
 USING accepted
 WHERE f.id = $1
   AND f.user_id = accepted.id;

-- name: use_step :execrows
-- params: attempt_id, user_id, step
-- Alone decides whether a step is accepted: each once, in strictly rising order.
WITH accepted AS (
    UPDATE users
       SET totp_last_step = $3, totp_failures_total = 0
     WHERE id = $2
       AND totp_enabled
       AND (totp_last_step IS NULL OR totp_last_step < $3)
    RETURNING id
)
DELETE FROM factor_failures f
 USING accepted
 WHERE f.id = $1
   AND f.user_id = accepted.id;

-- name: remove_factors :execrows
-- params: user_id
-- Takes away the factor, or an enrolment that was never confirmed, with all that hangs on it but the failures of the
-- last hours: whoever enrols anew goes on with them.
WITH codes AS (
    DELETE FROM recovery_codes
     WHERE user_id = $1
)
UPDATE users
   SET totp_secret = NULL, totp_secret_key_id = NULL, totp_enabled = FALSE, totp_last_step = NULL,
       totp_failures_total = 0
 WHERE id = $1
   AND totp_secret IS NOT NULL;

-- name: replace_recovery_codes :exec
-- params: user_id, code_hashes
WITH old AS (
    DELETE FROM recovery_codes
     WHERE user_id = $1
)
INSERT INTO recovery_codes (user_id, code_hash)
SELECT $1, code_hash
  FROM unnest($2::bytea[]) AS code_hash;

-- name: use_recovery_code :execrows
-- params: attempt_id, user_id, code_hash
-- Alone decides whether a recovery code works: once.
WITH used AS (
    UPDATE recovery_codes
       SET used_at = now()
     WHERE user_id = $2
       AND code_hash = $3
       AND used_at IS NULL
    RETURNING user_id
), accepted AS (
    UPDATE users u
       SET totp_failures_total = 0
      FROM used
     WHERE u.id = used.user_id
    RETURNING u.id
)
DELETE FROM factor_failures f
 USING accepted
 WHERE f.id = $1
   AND f.user_id = accepted.id;

-- name: list_recovery_codes :many
-- params: user_id
SELECT created_at, used_at
  FROM recovery_codes
 WHERE user_id = $1
 ORDER BY created_at, used_at, code_hash;

-- name: list_failures :many
-- params: user_id, most
SELECT failed_at
  FROM factor_failures
 WHERE user_id = $1
 ORDER BY failed_at DESC
 LIMIT $2;

-- name: insert_attempt :one
-- params: attempt_id, user_id, short_hits, short_window, day_hits, day_window, total
-- Counts an attempt as a failure before its code is looked at, where the limits have room for one more; hits and window
-- are NULL for a limit that is off. The lock on the person's row must come from a statement before this one: this one's
-- snapshot is then younger than the lock, and holds every attempt that was counted under it. In one statement with the
-- lock, waiting callers would count what stood there before they waited. Not now(), for the same reason. The secret comes
-- with it, for whoever may look at the code.
WITH moment AS MATERIALIZED (
    SELECT clock_timestamp() AS at
), forgotten AS (  -- outside of every window
    DELETE FROM factor_failures f
     USING moment m
     WHERE f.user_id = $2
       AND f.failed_at <= m.at - coalesce(greatest($4::interval, $6::interval), INTERVAL '0')
), state AS MATERIALIZED (  -- the failure that fills a limit stands in the way until it leaves the window
    SELECT m.at,
           u.totp_secret,
           u.totp_secret_key_id,
           u.totp_failures_total >= $7::integer AS disabled,
           (SELECT f.failed_at + $4::interval - m.at
              FROM factor_failures f
             WHERE f.user_id = u.id
               AND $3::integer IS NOT NULL
             ORDER BY f.failed_at DESC
            OFFSET $3::integer - 1
             LIMIT 1) AS short_wait,
           (SELECT f.failed_at + $6::interval - m.at
              FROM factor_failures f
             WHERE f.user_id = u.id
               AND $5::integer IS NOT NULL
             ORDER BY f.failed_at DESC
            OFFSET $5::integer - 1
             LIMIT 1) AS day_wait
      FROM users u
     CROSS JOIN moment m
     WHERE u.id = $2
), admitted AS (
    INSERT INTO factor_failures (id, user_id, failed_at)
    SELECT $1, $2, s.at
      FROM state s
     WHERE NOT s.disabled
       AND coalesce(greatest(s.short_wait, s.day_wait), INTERVAL '0') <= INTERVAL '0'
    RETURNING id
), counted AS (
    UPDATE users u
       SET totp_failures_total = u.totp_failures_total + 1
      FROM admitted
     WHERE u.id = $2
    RETURNING u.totp_failures_total
)
SELECT EXISTS (SELECT FROM admitted) AS admitted,
       s.disabled,
       s.short_wait,
       s.day_wait,
       s.totp_secret,
       s.totp_secret_key_id,
       (SELECT totp_failures_total FROM counted) AS in_a_row
  FROM state s;

-- name: delete_failures :execrows
-- params: user_id
DELETE FROM factor_failures
 WHERE user_id = $1;
