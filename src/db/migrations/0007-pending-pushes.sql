-- Pushes to other registries that failed and are tried again. The image is pinned meanwhile.
-- build_id is a plain text: a push outlives the record of its build.

create table pending_pushes (
  id bigint generated always as identity primary key,
  build_id text,
  repository text collate "C" not null,
  digest text collate "C" not null,
  destination text not null,
  attempts integer not null default 1,
  last_error jsonb not null,
  next_at timestamptz not null,
  claimed_until timestamptz,
  created_at timestamptz not null default now(),
  done_at timestamptz
);
-- One image waits for one destination: a newer one takes the place of an older one.
create unique index pending_pushes_destination on pending_pushes (destination) where done_at is null;
create index pending_pushes_due on pending_pushes (next_at) where done_at is null;
create index pending_pushes_build on pending_pushes (build_id);
