/** What a URL of a binary cache asks for. Everything that is not exactly one of these shapes is nothing. */
import type { StorePath } from '../base/brand.ts';
import { isStorePath, STORE_DIR } from '../store/store-path.ts';

export type NarExtension = '' | 'xz' | 'zst' | 'bz2' | 'gz' | 'br';

export type CachePath =
  | { readonly endpoint: 'info' }
  | { readonly endpoint: 'narinfo' | 'listing'; readonly hashPart: string }
  /** A NAR made from the store. `narHash` and `hashPart` are bare nix32. */
  | { readonly endpoint: 'store-nar'; readonly hashPart: string; readonly narHash: string }
  /** An uploaded file, named by its own hash in nix32. */
  | { readonly endpoint: 'file'; readonly fileHash: string; readonly extension: NarExtension }
  | { readonly endpoint: 'log'; readonly drvPath: StorePath }
  /** Nix before 2.35: `sha256:<hex>` of the derivation and the output's name. */
  | { readonly endpoint: 'realisation'; readonly id: string; readonly output: string }
  /** Nix from 2.35 on. */
  | { readonly endpoint: 'build-trace'; readonly drvPath: StorePath; readonly output: string }
  | { readonly endpoint: 'debuginfo'; readonly buildId: string };

const NIX32 = '[0-9a-df-np-sv-z]';
const BY_HASH = new RegExp(`^(${NIX32}{32})\\.(narinfo|ls)$`);
const FILE = new RegExp(`^nar/(${NIX32}{52})\\.nar(?:\\.(xz|zst|bz2|gz|br))?$`);
/** URLs of nix-serve, which clients may remember for a month. */
const OLD_NAR = new RegExp(`^nar/(${NIX32}{32})-(${NIX32}{52})\\.nar$`);
const HASH_PART = new RegExp(`^${NIX32}{32}$`);
const REALISATION = /^realisations\/(sha256:[0-9a-f]{64})!([A-Za-z0-9_-]{1,64})\.doi$/;
const TRACE = /^build-trace-v2\/([^/]{1,260})\/([A-Za-z0-9_-]{1,64})\.doi$/;
const DEBUGINFO = /^debuginfo\/([0-9a-f]{40})(?:\.debug)?$/;

/** @param target of the request, query included, without the cache's prefix and without a leading slash */
export function parseCachePath(target: string): CachePath | undefined {
  const [encoded = '', query = ''] = target.split('?', 2);
  let path: string;
  try {
    path = decodeURIComponent(encoded);
  } catch {
    return undefined;
  }
  if (path === 'nix-cache-info') return { endpoint: 'info' };
  const byHash = BY_HASH.exec(path);
  if (byHash !== null)
    return { endpoint: byHash[2] === 'ls' ? 'listing' : 'narinfo', hashPart: byHash[1] ?? '' };
  return parseNar(path, query) ?? parseOther(path);
}

/** Relative URL of a NAR that is made from the store: names its content, so it never means other bytes. */
export function storeNarUrl(hashPart: string, narHash: string): string {
  return `nar/${narHash.slice('sha256:'.length)}.nar?hash=${hashPart}`;
}

function parseNar(path: string, query: string): CachePath | undefined {
  const old = OLD_NAR.exec(path);
  if (old !== null) return { endpoint: 'store-nar', hashPart: old[1] ?? '', narHash: old[2] ?? '' };
  const file = FILE.exec(path);
  if (file === null) return undefined;
  const [, hash = '', extension = ''] = file;
  const hashPart = new URLSearchParams(query).get('hash');
  if (hashPart === null) return { endpoint: 'file', fileHash: hash, extension: extension as NarExtension };
  return extension === '' && HASH_PART.test(hashPart)
    ? { endpoint: 'store-nar', hashPart, narHash: hash }
    : undefined;
}

function parseOther(path: string): CachePath | undefined {
  if (path.startsWith('log/')) {
    const drvPath = parseDerivation(path.slice('log/'.length));
    return drvPath === undefined ? undefined : { endpoint: 'log', drvPath };
  }
  const realisation = REALISATION.exec(path);
  if (realisation !== null)
    return { endpoint: 'realisation', id: realisation[1] ?? '', output: realisation[2] ?? '' };
  const trace = TRACE.exec(path);
  if (trace !== null) {
    const drvPath = parseDerivation(trace[1] ?? '');
    return drvPath === undefined ? undefined : { endpoint: 'build-trace', drvPath, output: trace[2] ?? '' };
  }
  const debuginfo = DEBUGINFO.exec(path);
  return debuginfo === null ? undefined : { endpoint: 'debuginfo', buildId: debuginfo[1] ?? '' };
}

function parseDerivation(baseName: string): StorePath | undefined {
  const path = `${STORE_DIR}/${baseName}`;
  return baseName.endsWith('.drv') && isStorePath(path) ? path : undefined;
}
