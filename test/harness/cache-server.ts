/** A server in this process with a home of its own, and Nix as its client. */
import { execFile } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { openKiln, type Kiln } from '../../src/app/open-kiln.ts';
import { serve } from '../../src/app/serve.ts';
import { openKeyRing } from '../../src/cache/key-ring.ts';
import { kilnHome } from './kiln-cli.ts';

export interface CacheServer extends AsyncDisposable {
  readonly url: string;
  readonly home: string;
  readonly kiln: Kiln;
  /** `name:base64` of every key it signs with. */
  publicKeys(): Promise<string>;
}

/** @param settings text of kiln.toml */
export async function startCacheServer(settings = ''): Promise<CacheServer> {
  const home = kilnHome(settings);
  const stop = new AbortController();
  const kiln = await openKiln({ env: home.env, signal: stop.signal, onNotice: () => undefined });
  const server = await serve(kiln, { listen: '127.0.0.1:0' });
  return {
    url: server.url,
    home: home.path,
    kiln,
    publicKeys: async () => {
      const keys = await openKeyRing(join(home.path, 'keys')).keys();
      return keys.map((key) => key.publicKey).join(' ');
    },
    async [Symbol.asyncDispose]() {
      await server[Symbol.asyncDispose]();
      stop.abort();
      await kiln[Symbol.asyncDispose]();
      home[Symbol.dispose]();
    },
  };
}

export interface NixClient extends Disposable {
  /** Store of its own, with nothing in it, as `--store`/`--to` takes it. */
  readonly store: string;
  readonly path: string;
  /** Runs `nix ARGS` with a memory of caches of its own. @throws Error with what it printed */
  nix(...args: readonly string[]): Promise<string>;
  /** Forgets what it knows of caches. */
  forget(): void;
}

export function nixClient(): NixClient {
  const path = mkdtempSync(join(tmpdir(), 'kiln-client-'));
  const cache = join(path, 'cache');
  mkdirSync(cache);
  writeFileSync(join(path, 'netrc'), '');
  return {
    path,
    store: `local?root=${path}/root`,
    forget: () => rmSync(cache, { recursive: true, force: true }),
    nix: async (...args) => {
      const { stdout } = await promisify(execFile)(
        'nix',
        ['--extra-experimental-features', 'nix-command', ...args],
        { env: { ...process.env, XDG_CACHE_HOME: cache, NO_COLOR: '1' }, maxBuffer: 2 ** 26 },
      );
      return stdout;
    },
    [Symbol.dispose]: () => {
      // Files of a store are read-only, and so are its folders.
      rmSync(path, { recursive: true, force: true });
    },
  };
}
