-- oldest reader: 1
-- Documents that all nodes share, each encrypted by a key that isn't here; each write takes the next version.
CREATE TABLE sealed_documents (
    purpose TEXT COLLATE "C" NOT NULL,
    name TEXT COLLATE "C" NOT NULL,
    version BIGINT NOT NULL,
    deployment TEXT NOT NULL,
    key_id TEXT NOT NULL,
    wrapped BYTEA NOT NULL,
    sealed BYTEA NOT NULL,
    PRIMARY KEY (purpose, name)
);
