-- The embedded forge. Ids come from forge_sequences, because the two databases have no common way
-- to count. Times are milliseconds since the Unix epoch.
CREATE TABLE forge_sequences (
    name  TEXT   NOT NULL PRIMARY KEY,
    value BIGINT NOT NULL
);

CREATE TABLE forge_users (
    id         BIGINT NOT NULL PRIMARY KEY,
    name       TEXT   NOT NULL,
    lower_name TEXT   NOT NULL UNIQUE,
    created_at BIGINT NOT NULL
);

CREATE TABLE forge_tokens (
    id         BIGINT NOT NULL PRIMARY KEY,
    user_id    BIGINT NOT NULL REFERENCES forge_users (id),
    label      TEXT   NOT NULL,
    sha256     TEXT   NOT NULL UNIQUE,
    scopes     TEXT   NOT NULL,
    created_at BIGINT NOT NULL
);

CREATE TABLE forge_repositories (
    id             BIGINT NOT NULL PRIMARY KEY,
    owner_id       BIGINT NOT NULL REFERENCES forge_users (id),
    name           TEXT   NOT NULL,
    lower_name     TEXT   NOT NULL,
    description    TEXT   NOT NULL,
    default_branch TEXT   NOT NULL,
    private        BIGINT NOT NULL,
    archived       BIGINT NOT NULL,
    created_at     BIGINT NOT NULL,
    updated_at     BIGINT NOT NULL,
    UNIQUE (owner_id, lower_name)
);

CREATE TABLE forge_collaborators (
    repository_id BIGINT NOT NULL REFERENCES forge_repositories (id),
    user_id       BIGINT NOT NULL REFERENCES forge_users (id),
    permission    TEXT   NOT NULL CHECK (permission IN ('read', 'write', 'admin')),
    PRIMARY KEY (repository_id, user_id)
);

-- Two labels of one repository may share a name, as on Gitea and Forgejo.
CREATE TABLE forge_labels (
    id            BIGINT NOT NULL PRIMARY KEY,
    repository_id BIGINT NOT NULL REFERENCES forge_repositories (id),
    name          TEXT   NOT NULL,
    color         TEXT   NOT NULL,
    description   TEXT   NOT NULL
);
CREATE INDEX forge_labels_by_repository ON forge_labels (repository_id, name);

-- Issues and pull requests: one number sequence for both.
CREATE TABLE forge_issues (
    id            BIGINT NOT NULL PRIMARY KEY,
    repository_id BIGINT NOT NULL REFERENCES forge_repositories (id),
    number        BIGINT NOT NULL,
    is_pull       BIGINT NOT NULL,
    title         TEXT   NOT NULL,
    body          TEXT   NOT NULL,
    state         TEXT   NOT NULL CHECK (state IN ('open', 'closed')),
    author_id     BIGINT NOT NULL REFERENCES forge_users (id),
    created_at    BIGINT NOT NULL,
    updated_at    BIGINT NOT NULL,
    closed_at     BIGINT,
    UNIQUE (repository_id, number)
);

CREATE TABLE forge_issue_labels (
    issue_id BIGINT NOT NULL REFERENCES forge_issues (id),
    label_id BIGINT NOT NULL REFERENCES forge_labels (id),
    PRIMARY KEY (issue_id, label_id)
);

CREATE TABLE forge_assignees (
    issue_id BIGINT NOT NULL REFERENCES forge_issues (id),
    user_id  BIGINT NOT NULL REFERENCES forge_users (id),
    PRIMARY KEY (issue_id, user_id)
);

CREATE TABLE forge_comments (
    id         BIGINT NOT NULL PRIMARY KEY,
    issue_id   BIGINT NOT NULL REFERENCES forge_issues (id),
    author_id  BIGINT NOT NULL REFERENCES forge_users (id),
    body       TEXT   NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);
CREATE INDEX forge_comments_by_issue ON forge_comments (issue_id, id);

CREATE TABLE forge_dependencies (
    issue_id   BIGINT NOT NULL REFERENCES forge_issues (id),
    blocker_id BIGINT NOT NULL REFERENCES forge_issues (id),
    PRIMARY KEY (issue_id, blocker_id)
);
CREATE INDEX forge_dependencies_by_blocker ON forge_dependencies (blocker_id);

-- merge_commit without merged_at: a merge that was begun. The base branch tells whether it happened.
CREATE TABLE forge_pulls (
    issue_id     BIGINT NOT NULL PRIMARY KEY REFERENCES forge_issues (id),
    head_branch  TEXT   NOT NULL,
    base_branch  TEXT   NOT NULL,
    head         TEXT   NOT NULL,
    merge_base   TEXT   NOT NULL,
    mergeable    TEXT   NOT NULL CHECK (mergeable IN ('checking', 'yes', 'no')),
    merge_commit TEXT,
    merged_at    BIGINT,
    merged_by    BIGINT REFERENCES forge_users (id)
);
CREATE INDEX forge_pulls_by_branch ON forge_pulls (head_branch, base_branch);

CREATE TABLE forge_statuses (
    id            BIGINT NOT NULL PRIMARY KEY,
    repository_id BIGINT NOT NULL REFERENCES forge_repositories (id),
    sha           TEXT   NOT NULL,
    context       TEXT   NOT NULL,
    state         TEXT   NOT NULL,
    target_url    TEXT   NOT NULL,
    description   TEXT   NOT NULL,
    creator_id    BIGINT NOT NULL REFERENCES forge_users (id),
    created_at    BIGINT NOT NULL
);
CREATE INDEX forge_statuses_by_commit ON forge_statuses (repository_id, sha, id);

CREATE TABLE forge_reviews (
    id         BIGINT NOT NULL PRIMARY KEY,
    issue_id   BIGINT NOT NULL REFERENCES forge_issues (id),
    author_id  BIGINT NOT NULL REFERENCES forge_users (id),
    state      TEXT   NOT NULL,
    body       TEXT   NOT NULL,
    commit_sha TEXT   NOT NULL,
    comments   BIGINT NOT NULL,
    created_at BIGINT NOT NULL
);
CREATE INDEX forge_reviews_by_issue ON forge_reviews (issue_id, id);

CREATE TABLE forge_review_comments (
    id         BIGINT NOT NULL PRIMARY KEY,
    review_id  BIGINT NOT NULL REFERENCES forge_reviews (id),
    path       TEXT   NOT NULL,
    line       BIGINT NOT NULL,
    body       TEXT   NOT NULL
);
