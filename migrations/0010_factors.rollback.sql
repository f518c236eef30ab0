DROP TABLE factor_failures;
DROP TABLE recovery_codes;
