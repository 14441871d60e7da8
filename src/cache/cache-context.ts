/** What every endpoint of the binary cache gets. */
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { SpeedLimit } from '../http/receive-bytes.ts';
import type { LayerReader } from '../image/layer-reader.ts';
import type { BuildTraces } from '../nix/build-traces.ts';
import type { NixInstallation } from '../nix/nix-installation.ts';
import type { TemporaryRoots } from '../nix/temporary-roots.ts';
import type { PublicKey } from '../store/signature.ts';
import type { AccessGuard } from './cache-access.ts';
import type { NarVerifier } from './nar-verifier.ts';
import type { ServedPaths } from './served-paths.ts';
import type { StoreView } from './store-view.ts';
import type { UploadedPaths } from './uploaded-paths.ts';

export interface CacheContext {
  readonly nix: NixInstallation;
  readonly guard: AccessGuard;
  readonly store: StoreView;
  readonly served: ServedPaths;
  readonly uploaded: UploadedPaths;
  readonly reader: LayerReader;
  readonly temporaryRoots: TemporaryRoots;
  readonly traces: BuildTraces;
  readonly verifier: NarVerifier;
  readonly settings: CacheTerms;
}

/** How the cache presents itself and what it takes. */
export interface CacheTerms {
  /** Lower wins; cache.nixos.org has 40. */
  readonly priority: number;
  /** Encode NARs with zstd on the way: for clients elsewhere (`auto`), for all that accept it, or never. */
  readonly transferEncoding: 'auto' | 'always' | 'never';
  /** Keys besides the cache's own whose signatures an upload may carry. */
  readonly trustedKeys: readonly PublicKey[];
  /** Take paths without a trusted signature from whoever may upload. */
  readonly unsignedUploads: boolean;
  /** Bytes of one upload. */
  readonly maxUploadSize: number;
  /** Bytes of one log. */
  readonly maxLogSize: number;
  readonly speedLimit: SpeedLimit;
}

export interface CacheCall {
  readonly context: CacheContext;
  readonly request: FastifyRequest;
  readonly reply: FastifyReply;
}
