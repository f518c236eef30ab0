-- Every blind index, as it is moved to another index key: the sealed value it is made from, and the exchange.

-- name: list_users_username :many
-- params: after, most
SELECT id AS row_id, username AS ciphertext, username_key_id AS key_id, username_index AS blind_index
  FROM users
 WHERE id > $1
 ORDER BY id
 LIMIT $2;

-- name: exchange_users_username :execrows
-- params: row_ids, old, new
UPDATE users AS t
   SET username_index = n.new
  FROM unnest($1::uuid[], $2::bytea[], $3::bytea[]) AS n (row_id, old, new)
 WHERE t.id = n.row_id
   AND t.username_index = n.old;
