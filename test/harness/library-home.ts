/** A folder in which the library keeps everything for one test file; closed and removed at its end. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after } from 'node:test';
import { closeKiln } from 'kiln';

/** @param settings text of `kiln.toml` @returns the folder */
export function libraryHome(
  settings = '',
  variables: Readonly<Record<string, string | undefined>> = {},
): string {
  const home = mkdtempSync(join(tmpdir(), 'kiln-test-library-'));
  writeFileSync(join(home, 'kiln.toml'), settings);
  const all = {
    KILN_CONFIG: undefined,
    DATABASE_URL: undefined,
    KILN_WORKER_ID: undefined,
    DOCKER_REGISTRY_URL: undefined,
    NIX_BUILD_WORKSPACE: undefined,
    NIX_CACHE_URL: undefined,
    NIX_LOCAL_CACHE_DIR: undefined,
    ...variables,
    KILN_HOME: home,
  };
  for (const [name, value] of Object.entries(all)) {
    if (value === undefined) delete process.env[name];
    else process.env[name] = value;
  }
  after(async () => {
    await closeKiln();
    rmSync(home, { recursive: true, force: true });
  });
  return home;
}
