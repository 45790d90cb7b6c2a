-- compatible from: 0001
-- Why an incident ended. An older recorder leaves it empty; what a person ended is known already.

ALTER TABLE anomalies ADD COLUMN end_reason text COLLATE "C";
ALTER TABLE incidents ADD COLUMN end_reason text COLLATE "C";
UPDATE incidents SET end_reason = 'operator' WHERE resolved_by IS NOT NULL;
COMMENT ON COLUMN incidents.end_reason IS 'recovered, new_normal, operator, retired or superseded';
