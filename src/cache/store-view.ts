/** The paths of this machine's store as the cache shows them: metadata in memory, valid for as long as Nix wrote nothing. */
import type { StoreDatabase } from '../nix/store-database.ts';
import type { PathInfo } from '../store/closure.ts';
import { formatNarInfo } from '../store/narinfo.ts';
import { parsePublicKey, type PublicKey, type SigningKey } from '../store/signature.ts';
import { storeNarUrl } from './cache-path.ts';
import type { KeyRing } from './key-ring.ts';
import type { ServedPaths } from './served-paths.ts';
import { SignatureCache } from './signature-cache.ts';

export interface StoreEntry {
  readonly info: PathInfo;
  /** The signed document. */
  readonly narInfo: string;
}

/** About a kilobyte each. */
const MAX_ENTRIES = 100_000;

export class StoreView {
  readonly #store: StoreDatabase;
  readonly #served: ServedPaths;
  readonly #keyRing: KeyRing;
  readonly #signatures = new SignatureCache();
  #entries = new Map<string, StoreEntry>();
  #version = -1;
  #keys: readonly SigningKey[] = [];

  constructor(store: StoreDatabase, served: ServedPaths, keyRing: KeyRing) {
    this.#store = store;
    this.#served = served;
    this.#keyRing = keyRing;
  }

  /** The valid path with this hash part, if it may be shown. What is not found is looked up each time. */
  async find(hashPart: string): Promise<StoreEntry | undefined> {
    const keys = await this.#keyRing.keys();
    const version = await this.#store.version();
    if (version !== this.#version || keys !== this.#keys) {
      this.#entries = new Map();
      this.#version = version;
      this.#keys = keys;
    }
    const known = this.#entries.get(hashPart);
    if (known !== undefined) return known;
    const entries = this.#entries;
    const entry = await this.#read(hashPart, keys);
    if (entry === undefined) return undefined;
    if (entries.size >= MAX_ENTRIES) {
      const [oldest] = entries.keys();
      if (oldest !== undefined) entries.delete(oldest);
    }
    // Into the map of the version that it was read with: another may have taken its place meanwhile.
    entries.set(hashPart, entry);
    return entry;
  }

  /** Signs what is shown under other terms, with the same keys. */
  async sign(info: Parameters<SignatureCache['withOwn']>[0]): Promise<readonly string[]> {
    return this.#signatures.withOwn(info, await this.#keyRing.keys());
  }

  /** The same for another text than a path's fingerprint. */
  async signText(text: string, signatures: readonly string[]): Promise<string[]> {
    const keys = await this.#keyRing.keys();
    return [...new Set([...signatures, ...keys.map((key) => key.sign(text))])];
  }

  async publicKeys(): Promise<PublicKey[]> {
    return (await this.#keyRing.keys()).map((key) => parsePublicKey(key.publicKey));
  }

  async #read(hashPart: string, keys: readonly SigningKey[]): Promise<StoreEntry | undefined> {
    const path = await this.#store.pathFromHashPart(hashPart);
    const info = path === undefined ? undefined : await this.#store.pathInfo(path);
    // A size of 0 is what Nix's oldest databases have for paths that were never measured; clients refuse it.
    if (info === undefined || info.narSize === 0 || !(await this.#served.allows(info, keys)))
      return undefined;
    const narInfo = formatNarInfo({
      path: info.path,
      url: storeNarUrl(hashPart, info.narHash),
      compression: 'none',
      fileSize: info.narSize,
      narHash: info.narHash,
      narSize: info.narSize,
      references: info.references,
      ...(info.deriver === undefined ? {} : { deriver: info.deriver }),
      signatures: this.#signatures.withOwn(info, keys),
      ...(info.ca === undefined ? {} : { ca: info.ca }),
    });
    return { info, narInfo };
  }
}
