-- Builds: the queue, the records and their logs. One table is both queue and history, so they cannot disagree.

create sequence build_number;

create table builds (
  id text primary key,
  number bigint not null unique default nextval('build_number'),
  service_id text not null,
  organization_id text,
  slug text not null,
  source jsonb not null,                       -- SourceSpec, without credentials
  options jsonb not null default '{}',         -- BuildOptions
  settings jsonb not null default '{}',        -- what is to become of the result: image name, tag, pushes …
  -- Where the source follows a branch: the newest build of it replaces those that still wait.
  supersede_key text,
  status text not null default 'pending'
    check (status in ('pending', 'building', 'success', 'failed', 'cancelled')),
  reason jsonb,                                -- Failure (base/error.ts); why it failed, was cancelled, or waits again
  attempt integer not null default 0,          -- the attempt that runs or ran last; 0 before the first
  machine_failures integer not null default 0, -- attempts aborted for the machine's reasons since the last request
  worker_losses integer not null default 0,    -- attempts whose worker died since the last request
  timeout_seconds integer not null check (timeout_seconds between 1 and 3600),
  silence_seconds integer not null check (silence_seconds between 1 and 3600),
  not_before timestamptz not null default now(),
  cancel_requested jsonb,                      -- Failure that a running build is to end with
  waiting_for text,                            -- what a running build waits for, in words
  worker_id text,
  host text,
  lease_until timestamptz,
  commit_sha text,
  branch text,
  content_key text,
  drv_path text,
  out_paths jsonb not null default '[]',
  image_reference text,
  image_digest text,
  image_size bigint,
  artifact_size bigint,
  details jsonb not null default '{}',         -- further facts of the result: layers, start checks …
  evaluation_reused boolean not null default false,
  build_reused boolean not null default false,
  image_reused boolean not null default false,
  deployed boolean not null default false,
  created_at timestamptz not null default now(),
  queued_at timestamptz not null default now(),
  started_at timestamptz,
  ended_at timestamptz
);
create index builds_pending on builds (queued_at) where status = 'pending';
create index builds_building on builds (lease_until) where status = 'building';
create index builds_of_service on builds (service_id, number desc);

-- Whose turn it is: the service that was served longest ago comes first.
create table service_turns (
  service_id text primary key,
  served_at timestamptz not null
);

create table build_workers (
  worker_id text primary key,
  host text not null,
  pid integer not null,
  start_ticks text not null,
  slots integer not null,
  seen_at timestamptz not null default now()
);

create table build_attempts (
  build_id text not null references builds on delete cascade,
  attempt integer not null,
  status text not null check (status in ('building', 'success', 'failed', 'cancelled', 'aborted')),
  reason jsonb,
  worker_id text not null,
  started_at timestamptz not null default now(),
  ended_at timestamptz,
  log_lines bigint not null default 0,
  log_bytes bigint not null default 0,
  log_omitted_bytes bigint not null default 0,
  log_closed boolean not null default false,
  primary key (build_id, attempt)
);

create table build_steps (
  build_id text not null,
  attempt integer not null,
  position integer not null,
  name text not null,
  status text not null check (status in ('pending', 'running', 'success', 'failed', 'cancelled', 'aborted', 'skipped')),
  started_at timestamptz,
  ended_at timestamptz,
  detail text,
  reason jsonb,
  reused boolean not null default false,
  primary key (build_id, attempt, position),
  foreign key (build_id, attempt) references build_attempts on delete cascade
);

-- Programs that a running attempt started. The start time tells them from later processes with the same number.
create table build_processes (
  build_id text not null,
  attempt integer not null,
  host text not null,
  pid integer not null,
  start_ticks text not null,
  primary key (build_id, attempt, host, pid, start_ticks),
  foreign key (build_id, attempt) references build_attempts on delete cascade
);

-- Each row is a zstd frame of JSON lines with the sequence numbers first to last. The open row is rewritten until it is full.
create table build_log_chunks (
  build_id text not null,
  attempt integer not null,
  first_seq bigint not null,
  last_seq bigint not null,
  bytes integer not null,
  frame bytea not null,
  primary key (build_id, attempt, first_seq),
  foreign key (build_id, attempt) references build_attempts on delete cascade
);

-- Same content key, same derivation (DESIGN §4): no evaluation.
create table evaluations (
  content_key text primary key,
  drv_path text not null,
  outputs jsonb not null,                      -- output name → store path
  created_at timestamptz not null default now(),
  used_at timestamptz not null default now()
);

-- Same derivation, same result: no build. Only real failures are remembered, and they never stop a new attempt.
create table derivations (
  drv_path text primary key,
  status text not null check (status in ('success', 'failed')),
  reason jsonb,
  out_paths jsonb not null default '[]',
  duration_ms bigint,
  build_id text,
  updated_at timestamptz not null default now()
);

-- Same closure and image settings, same digest. The key is made by the image builder.
create table closure_images (
  image_key text primary key,
  digest text not null,
  size bigint not null,
  details jsonb not null default '{}',
  created_at timestamptz not null default now(),
  used_at timestamptz not null default now()
);

-- One build of a derivation at a time, over all processes.
create table derivation_leases (
  drv_path text primary key,
  build_id text not null,
  worker_id text not null,
  lease_until timestamptz not null
);
