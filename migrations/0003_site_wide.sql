-- What the site says of itself rather than of one of its entries: one row, named `site`.

CREATE TABLE site_wide (
    name TEXT NOT NULL PRIMARY KEY,
    spec TEXT NOT NULL                        -- model::SiteWide
);
