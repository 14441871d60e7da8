/** What is done with the embedded registry itself: tokens, reasons to keep images, pushes that wait. */
import type { Failure } from '../base/error.ts';

export interface TokenEntry {
  readonly name: string;
  readonly scopes: readonly string[];
  /** ISO 8601, as all times here. */
  readonly createdAt: string;
  readonly expiresAt?: string;
  readonly lastUsedAt?: string;
}

export interface TokenRequest {
  readonly name: string;
  readonly scopes: readonly string[];
  readonly ttlMs?: number;
}

export interface KeptImage {
  readonly repository: string;
  readonly digest: string;
  readonly pushedAt: string;
  /** In words; empty: the next collection removes it. */
  readonly reasons: readonly string[];
}

export interface PushEntry {
  readonly repository: string;
  readonly digest: string;
  readonly destination: string;
  readonly attempts: number;
  readonly lastError: Failure;
  readonly nextAt: string;
  /** Set once it was pushed. */
  readonly doneAt?: string;
}

export interface RegistryApi {
  listTokens(): Promise<readonly TokenEntry[]>;
  /** @returns the token, which is shown this once and stored nowhere */
  createToken(request: TokenRequest): Promise<{ readonly token: string }>;
  revokeToken(name: string): Promise<void>;
  /** Every manifest with the reasons to keep it. */
  explainImages(): Promise<readonly KeptImage[]>;
  /** Keeps an image whatever happens to its tags, or no longer. */
  pinImage(reference: string, pinned: boolean): Promise<void>;
  /** Pushes to other registries that are tried again; of one build also those that succeeded. */
  listPushes(buildId?: string): Promise<readonly PushEntry[]>;
}
