DROP TABLE deployment;
DROP TABLE key_store_identity;
DROP TABLE data_keys;
