/** Chooses how Nix's database is read. */
import { join } from 'node:path';
import type { NixInstallation } from './nix-installation.ts';
import { openSqliteStore } from './sqlite-store.ts';
import type { StoreDatabase } from './store-database.ts';
import { openStoreQueries } from './store-queries.ts';

/**
 * Opens `<state>/db/db.sqlite` (default state: `NIX_STATE_DIR` or `/nix/var/nix`). Where it cannot be read, the answers
 * come from `nix` commands: slower, otherwise the same.
 */
export function openStoreDatabase(
  nix: NixInstallation,
  options: { readonly stateDir?: string } = {},
): StoreDatabase {
  const stateDir =
    options.stateDir ?? nix.env['NIX_STATE_DIR'] ?? process.env['NIX_STATE_DIR'] ?? '/nix/var/nix';
  return openSqliteStore(join(stateDir, 'db', 'db.sqlite')) ?? openStoreQueries(nix);
}
