-- compatible from: 0001
-- Health asks for the last answer of each channel, among all outcomes of all channels.

CREATE INDEX notifications_answers ON notifications (channel, at, id)
    WHERE channel <> 'inbox' AND outcome IN ('delivered', 'retrying', 'failed');
