-- Tokens for the registry and the API. The token itself is random, so its plain SHA-256 tells nothing about it; it is kept nowhere.

create table registry_tokens (
  name text collate "C" primary key,
  hash bytea not null unique check (length(hash) = 32),
  scopes text[] not null,
  created_at timestamptz not null default now(),
  expires_at timestamptz,
  last_used_at timestamptz
);
