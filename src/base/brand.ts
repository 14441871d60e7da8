/** Names for strings and numbers that have passed a check; only the parsers that did the check make them. */

declare const brand: unique symbol;

export type Brand<T, Name extends string> = T & { readonly [brand]: Name };

/** `/nix/store/<32 nix32 characters>-<name>`; parsed by `store/store-path.ts`. */
export type StorePath = Brand<string, 'StorePath'>;
/** `sha256:<52 nix32 characters>` of a NAR; parsed by `store/nar-hash.ts`. */
export type NarHash = Brand<string, 'NarHash'>;
/** `sha256:<64 hex>` or `sha512:<128 hex>`; parsed by `oci/digest.ts`. */
export type OciDigest = Brand<string, 'OciDigest'>;
/** A repository name of the distribution specification; parsed by `oci/reference.ts`. */
export type RepositoryName = Brand<string, 'RepositoryName'>;
/** A duration in milliseconds. */
export type Ms = Brand<number, 'Ms'>;
/** A size in bytes. */
export type Bytes = Brand<number, 'Bytes'>;
