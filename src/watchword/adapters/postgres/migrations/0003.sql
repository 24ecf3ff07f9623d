-- oldest reader: 2
-- What is left of instances that were deleted on request, until no token of theirs can count any more.
CREATE INDEX instances_deleted ON instances (revoked_at) WHERE format = '-';
-- With an instance that is dropped goes what was noted of its revocation.
CREATE INDEX revocations_by_instance ON revocations (instance_id);
CREATE FUNCTION forget_revocation() RETURNS TRIGGER LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    DELETE FROM watchword.revocations WHERE instance_id = OLD.id;
    RETURN NULL;
END $$;
CREATE TRIGGER revocation_forgotten AFTER DELETE ON instances
    FOR EACH ROW WHEN (OLD.revoked_at IS NOT NULL) EXECUTE FUNCTION forget_revocation();
