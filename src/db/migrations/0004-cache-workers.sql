-- Which binary caches the builds of a worker ask: see build/cache-worker-queries.ts.

create table cache_workers (
  worker_id text primary key,
  cache_url text,                              -- null: no cache besides those of Nix's own settings
  public_keys jsonb not null default '[]',     -- name:base64, keys whose signatures the cache may carry
  local_cache boolean not null,
  configured_at timestamptz not null default now()
);
