BEGIN TRANSACTION;
CREATE TABLE ledger (
	sequence BIGINT NOT NULL, 
	time TEXT NOT NULL, 
	actor TEXT NOT NULL, 
	action TEXT NOT NULL, 
	environment TEXT, 
	version TEXT, 
	from_version TEXT, 
	reason TEXT, 
	git_commit TEXT, 
	model_sha256 TEXT, 
	details TEXT NOT NULL, 
	previous_hash TEXT NOT NULL, 
	hash TEXT NOT NULL, 
	PRIMARY KEY (sequence)
);
INSERT INTO "ledger" VALUES(1,'2026-11-25T15:38:17.820777+00:00','ada','register',NULL,'v1',NULL,NULL,'44572a95fc3e619ea52077de55b2f378b634cc47','abababababababababababababababababababababababababababababababab','{"features":[],"files":{"model.skops":"abababababababababababababababababababababababababababababababab"},"metrics":{"none":null,"roc_auc":0.7254},"params":{"text":"naïve — ✓"},"training":{},"window":{"rows":[1,2]}}','0000000000000000000000000000000000000000000000000000000000000000','4e7b37087861c1651a47a36ff2315974acc9c79d3e4424931ca8f5e4446e5333');
INSERT INTO "ledger" VALUES(2,'2026-11-25T15:38:17.824247+00:00','ada','challenge',NULL,'v1',NULL,NULL,'44572a95fc3e619ea52077de55b2f378b634cc47','abababababababababababababababababababababababababababababababab','{"comparison":null,"promoted":true}','4e7b37087861c1651a47a36ff2315974acc9c79d3e4424931ca8f5e4446e5333','4923fc6fd3d295836525e5789e9b1b62c6e45fd229e2f2e05485a13630cb4e7b');
INSERT INTO "ledger" VALUES(3,'2026-11-25T15:38:17.845436+00:00','ada','deploy','staging','v1',NULL,NULL,'44572a95fc3e619ea52077de55b2f378b634cc47','abababababababababababababababababababababababababababababababab','{}','4923fc6fd3d295836525e5789e9b1b62c6e45fd229e2f2e05485a13630cb4e7b','083c3fd522a3ae3638f503dd79dc4735e8420558f1b6edf5eba58a8ca74e43f5');
INSERT INTO "ledger" VALUES(4,'2026-11-25T15:38:17.847940+00:00','ada','smoke','staging','v1',NULL,'slow; and
more','44572a95fc3e619ea52077de55b2f378b634cc47',NULL,'{"passed":false,"row_latency_ms":140.25}','083c3fd522a3ae3638f503dd79dc4735e8420558f1b6edf5eba58a8ca74e43f5','8b89e1a9e6e9a5f355a7395c44dd0b5031418f9d3dc499e958ea23238560cba3');
INSERT INTO "ledger" VALUES(5,'2026-11-25T15:38:17.852233+00:00','ada','rollback','staging','v1','v2','too many false alarms','44572a95fc3e619ea52077de55b2f378b634cc47',NULL,'{}','8b89e1a9e6e9a5f355a7395c44dd0b5031418f9d3dc499e958ea23238560cba3','d13527f5fbc5fb8f9f4776fbeb32337153bc331f06373d503e7870a88057af2c');
CREATE TRIGGER ledger_refuses_UPDATE BEFORE UPDATE ON ledger BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
CREATE TRIGGER ledger_refuses_DELETE BEFORE DELETE ON ledger BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
COMMIT;
