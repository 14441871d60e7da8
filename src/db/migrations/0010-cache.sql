-- What was uploaded to the binary cache: see cache/uploaded-paths.ts. The bytes are files named by their hash; a path is
-- visible when and only when it stands here, which it does after its NAR was verified and is durable.

create table cache_paths (
  hash_part text primary key check (hash_part ~ '^[0-9a-z]{32}$'),
  store_path text not null,
  file_hash text not null check (file_hash ~ '^[0-9a-f]{64}$'),   -- sha256 of the stored file
  file_size bigint not null check (file_size > 0),
  compression text not null,
  nar_hash text not null,                                          -- sha256:<nix32>
  nar_size bigint not null check (nar_size > 0),
  refs text[] not null,                                            -- full store paths
  deriver text,
  signatures text[] not null,                                      -- as they were uploaded
  ca text,
  uploaded_by text not null,
  created_at timestamptz not null default now()
);
create index cache_paths_file on cache_paths (file_hash);

-- Outputs of content-addressed derivations, under the name that clients ask for.
create table cache_traces (
  name text primary key,
  body jsonb not null,
  uploaded_by text not null,
  created_at timestamptz not null default now()
);
