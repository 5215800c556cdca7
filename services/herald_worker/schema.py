"""The worker's database, step by step: a released step is never changed, a new one is added."""

from herald import events

MIGRATIONS = (
    """
CREATE TABLE tasks (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  key TEXT NOT NULL UNIQUE,
  project TEXT NOT NULL,
  kind TEXT NOT NULL,
  rank INTEGER NOT NULL,
  text TEXT NOT NULL,
  author_id TEXT NOT NULL,
  author_name TEXT NOT NULL,
  history TEXT NOT NULL,
  state TEXT NOT NULL,
  attempt INTEGER NOT NULL DEFAULT 0,
  crashes INTEGER NOT NULL DEFAULT 0,
  not_before TEXT,
  session TEXT NOT NULL DEFAULT '',
  branch TEXT NOT NULL DEFAULT '',
  base TEXT NOT NULL DEFAULT '',
  cancelled_by TEXT NOT NULL DEFAULT '',
  created_at TEXT NOT NULL,
  started_at TEXT,
  ended_at TEXT,
  kind_of_failure TEXT NOT NULL DEFAULT '',
  summary TEXT NOT NULL DEFAULT ''
);
CREATE INDEX tasks_queued ON tasks (rank, id) WHERE state = 'queued';
CREATE INDEX tasks_queued_of_project ON tasks (project, rank, id) WHERE state = 'queued';
CREATE INDEX tasks_delayed ON tasks (not_before) WHERE state = 'queued' AND not_before IS NOT NULL;
CREATE INDEX tasks_going ON tasks (project) WHERE state IN ('starting', 'running');
CREATE INDEX tasks_ended ON tasks (ended_at) WHERE ended_at IS NOT NULL;

CREATE TABLE runs (
  id TEXT PRIMARY KEY,
  task INTEGER NOT NULL REFERENCES tasks (id),
  state TEXT NOT NULL,
  outcome TEXT NOT NULL DEFAULT '',
  head TEXT NOT NULL DEFAULT '',
  cost_usd REAL NOT NULL DEFAULT 0,
  usage TEXT NOT NULL DEFAULT '{}',
  created_at TEXT NOT NULL,
  ended_at TEXT
);
CREATE INDEX runs_going ON runs (task) WHERE state <> 'ended';

CREATE TABLE proposals (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  project TEXT NOT NULL,
  task TEXT NOT NULL,
  run TEXT NOT NULL UNIQUE,
  branch TEXT NOT NULL,
  base TEXT NOT NULL,
  head TEXT NOT NULL,
  commits INTEGER NOT NULL,
  summary TEXT NOT NULL,
  card TEXT NOT NULL,
  revision INTEGER NOT NULL DEFAULT 0,
  state TEXT NOT NULL,
  reason TEXT NOT NULL DEFAULT '',
  answers TEXT NOT NULL DEFAULT '',
  tries INTEGER NOT NULL DEFAULT 0,
  not_before TEXT,
  created_at TEXT NOT NULL,
  expires_at TEXT NOT NULL,
  ended_at TEXT
);
CREATE INDEX proposals_live ON proposals (project, id) WHERE ended_at IS NULL;
CREATE INDEX proposals_of_branch ON proposals (project, branch, head);

CREATE TABLE votes (
  key TEXT PRIMARY KEY,
  proposal INTEGER NOT NULL REFERENCES proposals (id),
  vote TEXT NOT NULL,
  author_id TEXT NOT NULL,
  author_name TEXT NOT NULL,
  at TEXT NOT NULL
);

CREATE TABLE pushed (
  project TEXT NOT NULL,
  branch TEXT NOT NULL,
  head TEXT NOT NULL,
  at TEXT NOT NULL,
  PRIMARY KEY (project, branch)
);

CREATE TABLE clones (
  project TEXT PRIMARY KEY,
  base TEXT NOT NULL
);

CREATE TABLE outbox (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  key TEXT NOT NULL,
  revision INTEGER NOT NULL,
  project TEXT NOT NULL,
  kind TEXT NOT NULL,
  identity TEXT NOT NULL,
  text TEXT NOT NULL,
  file TEXT NOT NULL DEFAULT '',
  answers TEXT NOT NULL,
  last INTEGER NOT NULL
);
"""
    + events.SCHEMA,
    # How many tasks are queued, kept by the database itself: counting them would take the longer the more there are.
    """
CREATE TABLE queue_lengths (
  project TEXT PRIMARY KEY,
  queued INTEGER NOT NULL
);
INSERT INTO queue_lengths SELECT project, COUNT(*) FROM tasks WHERE state = 'queued' GROUP BY project;
CREATE TRIGGER tasks_come AFTER INSERT ON tasks WHEN NEW.state = 'queued' BEGIN
  INSERT OR IGNORE INTO queue_lengths VALUES (NEW.project, 0);
  UPDATE queue_lengths SET queued = queued + 1 WHERE project = NEW.project;
END;
CREATE TRIGGER tasks_move AFTER UPDATE OF state ON tasks WHEN (OLD.state = 'queued') <> (NEW.state = 'queued') BEGIN
  INSERT OR IGNORE INTO queue_lengths VALUES (NEW.project, 0);
  UPDATE queue_lengths SET queued = queued + (NEW.state = 'queued') - (OLD.state = 'queued')
    WHERE project = NEW.project;
END;
CREATE TRIGGER tasks_go AFTER DELETE ON tasks WHEN OLD.state = 'queued' BEGIN
  UPDATE queue_lengths SET queued = queued - 1 WHERE project = OLD.project;
END;
""",
    # What a task brings along and what posts say of it; messages that were given to a running agent.
    """
ALTER TABLE tasks ADD COLUMN attachments TEXT NOT NULL DEFAULT '';
ALTER TABLE tasks ADD COLUMN bootstrap INTEGER NOT NULL DEFAULT 0;
CREATE INDEX tasks_with_attachments ON tasks (attachments) WHERE attachments <> '' AND ended_at IS NULL;
ALTER TABLE outbox ADD COLUMN task TEXT NOT NULL DEFAULT '';
ALTER TABLE outbox ADD COLUMN ends TEXT NOT NULL DEFAULT '';
ALTER TABLE outbox ADD COLUMN proposal TEXT NOT NULL DEFAULT '';
ALTER TABLE outbox ADD COLUMN votable INTEGER NOT NULL DEFAULT 0;
CREATE TABLE steers (
  key TEXT PRIMARY KEY,
  task INTEGER NOT NULL REFERENCES tasks (id),
  run TEXT NOT NULL,
  kind TEXT NOT NULL,
  text TEXT NOT NULL,
  author_id TEXT NOT NULL,
  author_name TEXT NOT NULL,
  history TEXT NOT NULL,
  state TEXT NOT NULL,
  at TEXT NOT NULL
);
CREATE INDEX steers_open ON steers (run) WHERE state = 'accepted';
""",
    # Deployments. `folder` names their files and posts, `answers` the message that asked for it.
    """
CREATE TABLE deployments (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  key TEXT NOT NULL UNIQUE,
  folder TEXT NOT NULL UNIQUE,
  project TEXT NOT NULL,
  head TEXT NOT NULL,
  state TEXT NOT NULL,
  reason TEXT NOT NULL DEFAULT '',
  answers TEXT NOT NULL,
  author_id TEXT NOT NULL,
  author_name TEXT NOT NULL,
  tries INTEGER NOT NULL DEFAULT 0,
  not_before TEXT,
  created_at TEXT NOT NULL,
  ended_at TEXT
);
CREATE INDEX deployments_live ON deployments (project, id) WHERE ended_at IS NULL;
CREATE INDEX pushed_last ON pushed (project, at);
""",
    # A project may have several workspaces; its first is named as it is. What clones had counts no more: the objects of
    # own workspaces are in a store now, which is filled anew.
    """
ALTER TABLE tasks ADD COLUMN workspace TEXT NOT NULL DEFAULT '';
UPDATE tasks SET workspace = project;
CREATE INDEX tasks_queued_of_workspace ON tasks (workspace, rank, id) WHERE state = 'queued';
DROP INDEX tasks_going;
CREATE INDEX tasks_going ON tasks (workspace) WHERE state IN ('starting', 'running');
ALTER TABLE proposals ADD COLUMN workspace TEXT NOT NULL DEFAULT '';
UPDATE proposals SET workspace = project;
CREATE INDEX proposals_of_workspace ON proposals (workspace, id) WHERE ended_at IS NULL;
DROP TRIGGER tasks_come;
DROP TRIGGER tasks_move;
DROP TRIGGER tasks_go;
DROP TABLE queue_lengths;
CREATE TABLE queue_lengths (
  workspace TEXT PRIMARY KEY,
  project TEXT NOT NULL,
  queued INTEGER NOT NULL
);
INSERT INTO queue_lengths SELECT workspace, project, COUNT(*) FROM tasks WHERE state = 'queued' GROUP BY workspace;
CREATE TRIGGER tasks_come AFTER INSERT ON tasks WHEN NEW.state = 'queued' BEGIN
  INSERT OR IGNORE INTO queue_lengths VALUES (NEW.workspace, NEW.project, 0);
  UPDATE queue_lengths SET queued = queued + 1 WHERE workspace = NEW.workspace;
END;
CREATE TRIGGER tasks_move AFTER UPDATE OF state ON tasks WHEN (OLD.state = 'queued') <> (NEW.state = 'queued') BEGIN
  INSERT OR IGNORE INTO queue_lengths VALUES (NEW.workspace, NEW.project, 0);
  UPDATE queue_lengths SET queued = queued + (NEW.state = 'queued') - (OLD.state = 'queued')
    WHERE workspace = NEW.workspace;
END;
CREATE TRIGGER tasks_go AFTER DELETE ON tasks WHEN OLD.state = 'queued' BEGIN
  UPDATE queue_lengths SET queued = queued - 1 WHERE workspace = OLD.workspace;
END;
DROP TABLE clones;
CREATE TABLE workspaces (
  name TEXT PRIMARY KEY,
  project TEXT NOT NULL,
  base TEXT NOT NULL
);
""",
    # What is known of a workspace holds for the folder or for the own clone. Resets by their keys, with the answer.
    # Buttons under a post: the commands that they say.
    """
ALTER TABLE workspaces ADD COLUMN mode TEXT NOT NULL DEFAULT '';
CREATE TABLE resets (
  key TEXT PRIMARY KEY,
  project TEXT NOT NULL,
  answer TEXT NOT NULL,
  at TEXT NOT NULL
);
ALTER TABLE outbox ADD COLUMN actions TEXT NOT NULL DEFAULT '';
""",
    # What was pushed is known by where it was pushed to; empty for what was pushed before. A void vote says where the
    # remote's branch was `found`; the next card of the branch says that it takes the place of that, and `expected` it.
    """
ALTER TABLE pushed RENAME TO pushed_before;
CREATE TABLE pushed (
  project TEXT NOT NULL,
  branch TEXT NOT NULL,
  url TEXT NOT NULL,
  head TEXT NOT NULL,
  at TEXT NOT NULL,
  PRIMARY KEY (project, branch, url)
);
INSERT INTO pushed SELECT project, branch, '', head, at FROM pushed_before;
DROP TABLE pushed_before;
CREATE INDEX pushed_last ON pushed (project, at);
ALTER TABLE proposals ADD COLUMN found TEXT NOT NULL DEFAULT '';
ALTER TABLE proposals ADD COLUMN expected TEXT NOT NULL DEFAULT '';
""",
)
