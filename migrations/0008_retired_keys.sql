-- When a data key was taken from sealing for good, before it is destroyed.
-- depends: 0007_service_rights

ALTER TABLE data_keys ADD COLUMN retired_at TIMESTAMPTZ;
