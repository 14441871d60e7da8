/** Signatures by the cache's own keys, made once for each path. */
import { type Fingerprinted, fingerprintOf } from '../store/fingerprint.ts';
import type { SigningKey } from '../store/signature.ts';

/** A signature takes about 100 bytes, a fingerprint with its references up to some thousand. */
const MAX_ENTRIES = 50_000;

export class SignatureCache {
  readonly #signatures = new Map<string, readonly string[]>();
  #keys: readonly SigningKey[] = [];

  /** One signature by each key, after those that the path has, each once. */
  withOwn(
    info: Fingerprinted & { readonly signatures: readonly string[] },
    keys: readonly SigningKey[],
  ): readonly string[] {
    // The ring gives the same array for as long as no key came or went.
    if (keys !== this.#keys) {
      this.#signatures.clear();
      this.#keys = keys;
    }
    const fingerprint = fingerprintOf(info);
    let own = this.#signatures.get(fingerprint);
    if (own === undefined) {
      own = keys.map((key) => key.sign(fingerprint));
      if (this.#signatures.size >= MAX_ENTRIES) {
        const [oldest] = this.#signatures.keys();
        if (oldest !== undefined) this.#signatures.delete(oldest);
      }
      this.#signatures.set(fingerprint, own);
    }
    return [...new Set([...info.signatures, ...own])];
  }
}
