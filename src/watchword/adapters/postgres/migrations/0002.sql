-- oldest reader: 2
-- Several nodes use one database: what each of them is, who does which chore, and what gates are told.
CREATE TABLE nodes (
    name TEXT COLLATE "C" PRIMARY KEY,
    run BIGINT NOT NULL,
    started_at TIMESTAMPTZ NOT NULL,
    seen_at TIMESTAMPTZ NOT NULL,
    version TEXT NOT NULL,
    configuration TEXT NOT NULL,
    key_ring TEXT NOT NULL,
    ring_version BIGINT NOT NULL,
    published BIGINT NOT NULL,
    unready TEXT NOT NULL
);
-- A term is begun by whoever holds the chore's session lock.  What is done in a term is done in a transaction that shares
-- this row, so that it is over, or refused, once the next term has begun.
CREATE TABLE leaders (
    chore TEXT COLLATE "C" PRIMARY KEY,
    term BIGINT NOT NULL DEFAULT 0,
    node TEXT COLLATE "C" NOT NULL DEFAULT '',
    since TIMESTAMPTZ NOT NULL DEFAULT now()
);
INSERT INTO leaders (chore) VALUES ('gates'), ('judging'), ('receipts'), ('expiry');
-- `covers` is the revision of the change log up to which gates are told, `lifted` the highest generation that a gate showed.
CREATE TABLE publication (
    single BOOLEAN PRIMARY KEY DEFAULT true CHECK (single),
    revision BIGINT NOT NULL DEFAULT 0,
    generation BIGINT NOT NULL DEFAULT 0,
    covers BIGINT NOT NULL DEFAULT 0,
    lifted BIGINT NOT NULL DEFAULT 0,
    epoch BIGINT NOT NULL DEFAULT 0,
    forgotten BIGINT NOT NULL DEFAULT 0,
    service TEXT NOT NULL DEFAULT '',
    configuration TEXT NOT NULL DEFAULT '',
    key_ring TEXT NOT NULL DEFAULT ''
);
INSERT INTO publication DEFAULT VALUES;
-- Lines of the gates' chains as the leader signed them, from the last snapshot on.
CREATE TABLE gate_lines (
    api TEXT COLLATE "C" NOT NULL,
    revision BIGINT NOT NULL,
    position INTEGER NOT NULL,
    term BIGINT NOT NULL,
    line BYTEA NOT NULL,
    PRIMARY KEY (api, revision, position)
);
CREATE INDEX gate_lines_by_revision ON gate_lines (revision);
CREATE TABLE first_bundles (
    api TEXT COLLATE "C" PRIMARY KEY,
    revision BIGINT NOT NULL,
    bundle BYTEA NOT NULL
);
-- The change log: its revision is taken in the transaction that changes something, last of all, so that revisions have the
-- order of commits.  A notice wakes the nodes; they look by themselves, too, since one may be lost.
CREATE FUNCTION note_change() RETURNS TRIGGER LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    UPDATE watchword.store SET revocations = revocations + 1;
    PERFORM pg_notify('watchword', '');
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER cuts_noted AFTER INSERT OR UPDATE ON cuts
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION note_change();
CREATE OR REPLACE FUNCTION note_revocation() RETURNS TRIGGER LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    taken BIGINT;
BEGIN
    UPDATE watchword.store SET revocations = revocations + 1 RETURNING revocations INTO taken;
    INSERT INTO watchword.revocations VALUES (taken, NEW.id);
    PERFORM pg_notify('watchword', '');
    RETURN NULL;
END $$;
CREATE FUNCTION note_publication() RETURNS TRIGGER LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM pg_notify('watchword', '');
    RETURN NULL;
END $$;
CREATE TRIGGER publication_noted AFTER UPDATE OF revision, lifted, epoch ON publication
    FOR EACH ROW EXECUTE FUNCTION note_publication();
CREATE CONSTRAINT TRIGGER sealed_documents_noted AFTER INSERT OR UPDATE ON sealed_documents
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION note_change();
