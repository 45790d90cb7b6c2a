-- compatible from: 0001
-- The settings that the detector judges under, by their revision.

CREATE TABLE detector_settings (
    stream_epoch integer NOT NULL,
    revision integer NOT NULL,
    at timestamptz NOT NULL,
    recorded_at timestamptz NOT NULL DEFAULT now(),
    event bytea NOT NULL,
    PRIMARY KEY (stream_epoch, revision)
);
COMMENT ON TABLE detector_settings IS 'From the topic detector-settings: which settings are in force from which offsets on';
