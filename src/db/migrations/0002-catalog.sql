-- What the registry holds. Writers lock the repository's row first, then digests (catalog/catalog-locks.ts).

create table repositories (
  id bigint generated always as identity primary key,
  name text collate "C" not null unique,
  created_at timestamptz not null default now()
);

-- Bytes by digest, once for all repositories. kind says where they come from: a file of the blob store, or a layer recipe.
create table blobs (
  digest text collate "C" primary key,
  size bigint not null check (size >= 0),
  kind text not null check (kind in ('file', 'recipe')),
  recipe jsonb,
  created_at timestamptz not null default now(),
  last_used_at timestamptz not null default now(),
  check (kind = 'file' or recipe is not null)
);

-- Which repository may serve which blob. linked_at is the lease of a push under way: see collect-garbage.ts.
create table repository_blobs (
  repository_id bigint not null references repositories (id) on delete cascade,
  digest text collate "C" not null references blobs (digest),
  linked_at timestamptz not null default now(),
  primary key (repository_id, digest)
);
create index repository_blobs_digest on repository_blobs (digest);

create table manifests (
  repository_id bigint not null references repositories (id) on delete cascade,
  digest text collate "C" not null,
  media_type text not null,
  content bytea not null,
  artifact_type text,
  subject text collate "C",
  annotations jsonb,
  pushed_at timestamptz not null default now(),
  touched_at timestamptz not null default now(),
  primary key (repository_id, digest)
);
create index manifests_subject on manifests (repository_id, subject) where subject is not null;
create index manifests_digest on manifests (digest);

-- What a manifest names. A reference need not be present: an index may be sparse, a layer non-distributable.
create table manifest_references (
  repository_id bigint not null,
  manifest text collate "C" not null,
  position integer not null,
  role text not null check (role in ('config', 'layer', 'child')),
  digest text collate "C" not null,
  media_type text not null,
  size bigint not null,
  primary key (repository_id, manifest, position),
  foreign key (repository_id, manifest) references manifests (repository_id, digest) on delete cascade
);
create index manifest_references_digest on manifest_references (repository_id, digest);

create table tags (
  repository_id bigint not null,
  name text collate "C" not null,
  digest text collate "C" not null,
  moved_at timestamptz not null default now(),
  primary key (repository_id, name),
  foreign key (repository_id, digest) references manifests (repository_id, digest)
);
create index tags_digest on tags (repository_id, digest);

-- Every move of a tag, also its removal (digest is null). Holds digests of manifests that may be gone.
create table tag_moves (
  id bigint generated always as identity primary key,
  repository_id bigint not null references repositories (id) on delete cascade,
  name text collate "C" not null,
  digest text collate "C",
  previous_digest text collate "C",
  moved_at timestamptz not null default now()
);
create index tag_moves_tag on tag_moves (repository_id, name, id);

-- Reasons to keep a manifest that no tag names, such as a running deployment.
create table manifest_pins (
  repository_id bigint not null,
  digest text collate "C" not null,
  reason text not null,
  pinned_at timestamptz not null default now(),
  primary key (repository_id, digest, reason),
  foreign key (repository_id, digest) references manifests (repository_id, digest)
);

-- What is known of a manifest beyond its bytes: `start-check`, `layer-plan` and the like, one document per kind.
create table manifest_results (
  repository_id bigint not null,
  digest text collate "C" not null,
  kind text not null,
  result jsonb not null,
  recorded_at timestamptz not null default now(),
  primary key (repository_id, digest, kind),
  foreign key (repository_id, digest) references manifests (repository_id, digest) on delete cascade
);

create table blob_uploads (
  id uuid primary key,
  repository_id bigint not null references repositories (id) on delete cascade,
  algorithm text not null check (algorithm in ('sha256', 'sha512')),
  started_at timestamptz not null default now(),
  touched_at timestamptz not null default now()
);
create index blob_uploads_repository on blob_uploads (repository_id);
create index blob_uploads_touched on blob_uploads (touched_at);

-- The push client's memory: what another registry was seen to hold, and what an encoded layer came out as.
create table registry_presence (
  registry text not null,
  repository text not null,
  digest text collate "C" not null,
  seen_at timestamptz not null default now(),
  primary key (registry, repository, digest)
);

create table encoded_blobs (
  diff_id text collate "C" not null,
  encoder text not null,
  digest text collate "C" not null,
  size bigint not null,
  created_at timestamptz not null default now(),
  primary key (diff_id, encoder)
);
