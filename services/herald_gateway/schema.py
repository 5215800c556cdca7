"""The gateway's database, step by step: a released step is never changed, a new one is added."""

MIGRATIONS = (
    """
    CREATE TABLE messages (
        seq INTEGER PRIMARY KEY AUTOINCREMENT,
        key TEXT NOT NULL UNIQUE,
        project TEXT NOT NULL,
        author TEXT NOT NULL,
        name TEXT NOT NULL,
        text TEXT NOT NULL,
        at TEXT NOT NULL,
        kind TEXT NOT NULL,
        lane TEXT NOT NULL,
        refusal TEXT NOT NULL,
        seen_post INTEGER NOT NULL,
        state TEXT NOT NULL DEFAULT 'recorded'
    );
    CREATE INDEX messages_waiting ON messages (lane, seq) WHERE state <> 'done';
    CREATE INDEX messages_channel ON messages (project, seq);
    CREATE TABLE posts (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        key TEXT NOT NULL,
        revision INTEGER NOT NULL,
        project TEXT NOT NULL,
        kind TEXT NOT NULL,
        identity TEXT NOT NULL,
        text TEXT NOT NULL,
        plain TEXT NOT NULL,
        file TEXT NOT NULL,
        answers TEXT NOT NULL,
        last INTEGER NOT NULL,
        at TEXT NOT NULL,
        UNIQUE (key, revision)
    );
    CREATE INDEX posts_channel ON posts (project, id);
    """,
    # Discord. Ids are kept as text.
    """
    ALTER TABLE messages ADD COLUMN origin TEXT NOT NULL DEFAULT '';       -- where it was said, as JSON; empty: here
    ALTER TABLE messages ADD COLUMN proposal TEXT NOT NULL DEFAULT '';     -- of a vote: on this one, else the newest
    ALTER TABLE messages ADD COLUMN withdrawn INTEGER NOT NULL DEFAULT 0;  -- of a vote: it is taken back
    ALTER TABLE messages ADD COLUMN replies_to TEXT NOT NULL DEFAULT '';   -- the task that it answers
    ALTER TABLE messages ADD COLUMN attachments TEXT NOT NULL DEFAULT '';  -- path of a tar, below attachments/
    ALTER TABLE messages ADD COLUMN noted INTEGER NOT NULL DEFAULT 0;      -- whether the eyes were put under it
    CREATE INDEX messages_unnoted ON messages (seq) WHERE noted = 0 AND state = 'done' AND origin <> '';

    ALTER TABLE posts ADD COLUMN task TEXT NOT NULL DEFAULT '';
    ALTER TABLE posts ADD COLUMN ends TEXT NOT NULL DEFAULT '';
    ALTER TABLE posts ADD COLUMN proposal TEXT NOT NULL DEFAULT '';
    ALTER TABLE posts ADD COLUMN votable INTEGER NOT NULL DEFAULT 0;

    CREATE INDEX posts_answers ON posts (answers) WHERE task <> '';

    CREATE TABLE deliveries (                 -- posts that Discord does not have yet
        post INTEGER PRIMARY KEY REFERENCES posts (id),
        channel TEXT NOT NULL,                -- the lane: `project:NAME`, an id, or empty for the system channel
        begun TEXT NOT NULL DEFAULT ''        -- newest message of the channel when it was sent; empty: it was not
    );
    CREATE INDEX deliveries_lane ON deliveries (channel, post);
    CREATE TABLE sent (                       -- where a post is, to edit it and to know what is voted on or answered
        key TEXT PRIMARY KEY,
        revision INTEGER NOT NULL,
        channel TEXT NOT NULL,
        message TEXT NOT NULL,
        webhook TEXT NOT NULL,                -- id of the webhook it went through; empty: the bot's own
        task TEXT NOT NULL,
        proposal TEXT NOT NULL,
        votable INTEGER NOT NULL,
        marked INTEGER NOT NULL DEFAULT 0     -- whether the reactions to vote with were put under it
    );
    CREATE INDEX sent_message ON sent (message);
    CREATE INDEX sent_votable ON sent (votable) WHERE votable;
    CREATE TABLE progress (                   -- the message that shows what a task is doing
        task TEXT PRIMARY KEY,
        project TEXT NOT NULL,
        channel TEXT NOT NULL,
        message TEXT NOT NULL,
        webhook TEXT NOT NULL,
        answers TEXT NOT NULL,
        begun TEXT NOT NULL,                  -- newest message of the channel when it was sent
        ended INTEGER NOT NULL DEFAULT 0,     -- 1: the task is over, its last edit is due; 2: that was made, or let go
        ends TEXT NOT NULL DEFAULT ''         -- the text of the last edit
    );
    CREATE INDEX progress_message ON progress (message);
    CREATE INDEX progress_answers ON progress (answers);
    CREATE TABLE cursors (                    -- how far each channel and thread was read
        channel TEXT PRIMARY KEY,
        first TEXT NOT NULL,                  -- newest message when the channel was first seen: nothing older is taken
        seen TEXT NOT NULL                    -- everything up to here is recorded
    );
    CREATE TABLE reactions (                  -- votes by reaction as they were seen last
        message TEXT NOT NULL,
        author TEXT NOT NULL,
        choice TEXT NOT NULL,
        present INTEGER NOT NULL,
        changes INTEGER NOT NULL,             -- makes the key of each vote one of its own
        PRIMARY KEY (message, author, choice)
    ) WITHOUT ROWID;
    CREATE TABLE identifies (at REAL NOT NULL);   -- seconds since the epoch of each IDENTIFY of the last day
    CREATE TABLE additions (                  -- projects that are being added: what is there already
        name TEXT PRIMARY KEY,
        state TEXT NOT NULL,                  -- JSON
        at TEXT NOT NULL
    );
    """,
    # Buttons under a post: the commands that they say, one in each line.
    """
    ALTER TABLE posts ADD COLUMN actions TEXT NOT NULL DEFAULT '';
    """,
)
