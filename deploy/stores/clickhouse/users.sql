-- A user for the agents' webhook, which can add lines but read none, and one for people and dashboards, which can read.
-- Set both passwords before you run this.
CREATE USER IF NOT EXISTS blackbox_agent IDENTIFIED WITH sha256_password BY 'PASSWORD';
GRANT INSERT ON blackbox.incidents TO blackbox_agent;

CREATE USER IF NOT EXISTS blackbox_reader IDENTIFIED WITH sha256_password BY 'ANOTHER PASSWORD' SETTINGS readonly = 2;
GRANT SELECT ON blackbox.* TO blackbox_reader;
