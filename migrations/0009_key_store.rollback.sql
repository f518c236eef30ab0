-- Without its keys the database opens no row: whoever goes back must take them elsewhere first.
DO $$
BEGIN
    IF EXISTS (SELECT FROM key_store) THEN
        RAISE EXCEPTION 'this database holds its keys: run cypher keys move-store --to directory first';
    END IF;
END
$$;
DROP TABLE encryption_keys;
DROP TABLE key_store;
