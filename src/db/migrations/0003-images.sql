-- Digests of layers by what they are made of (tar profile, times, store paths with their NAR hashes): see image/layer-key.ts.
-- A row stays true forever, so it is never updated; rows that nothing asked for in a long time may be deleted.

create table layer_digests (
  key text collate "C" primary key,
  digest text collate "C" not null,
  size bigint not null check (size >= 0),
  used_at timestamptz not null default now()
);
create index layer_digests_used_at on layer_digests (used_at);
