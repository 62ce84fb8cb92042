-- Hosts of an open wave apply when they ask, or first after their next boot.
ALTER TABLE roll_outs ADD COLUMN apply_at TEXT NOT NULL DEFAULT 'now' CHECK (apply_at IN ('now', 'next-boot'));
