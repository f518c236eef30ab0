ALTER TABLE data_keys DROP COLUMN retired_at;
