/** Content-addressed bytes. One implementation keeps files; others may keep objects elsewhere. */
import type { OciDigest } from '../base/brand.ts';
import type { ByteSpan } from '../base/byte-span.ts';
import type { DigestAlgorithm } from '../oci/digest.ts';

export interface ReadOptions extends Partial<ByteSpan> {
  readonly signal?: AbortSignal;
}

export interface AppendOptions {
  /** Offset at which the bytes must start; another current size is `range-not-satisfiable`. Default: wherever the upload ends. */
  readonly at?: number;
  /** Bytes that the source must have. Fewer or more is `invalid-input`; what came is kept unless there is too much. */
  readonly length?: number;
  /** Bytes that the whole upload may have. More is `too-large`; what fitted is kept. */
  readonly maxSize?: number;
  readonly algorithm: DigestAlgorithm;
  readonly signal?: AbortSignal;
}

/** A finished upload that is on disk but not yet visible. */
export interface SealedUpload {
  readonly id: string;
  readonly digest: OciDigest;
  /** Bytes. */
  readonly size: number;
}

export interface BlobStore {
  /** Bytes of a stored blob, or undefined. */
  size(digest: OciDigest): Promise<number | undefined>;
  /** @throws KilnError not-found before the first chunk */
  read(digest: OciDigest, options?: ReadOptions): AsyncIterable<Buffer>;

  /** Begins an upload under an identifier of the caller's (a UUID). */
  startUpload(id: string): Promise<void>;
  /** Bytes received so far, or undefined for an unknown upload. Works after a restart. */
  uploadSize(id: string): Promise<number | undefined>;
  /** Appends and returns the new size. Calls for one upload run one after the other. @throws KilnError disk-full … */
  append(id: string, source: AsyncIterable<Buffer>, options: AppendOptions): Promise<number>;
  /** Makes the upload durable and says its digest. It can still be appended to or cancelled. */
  seal(id: string, algorithm: DigestAlgorithm): Promise<SealedUpload>;
  /** Makes a sealed upload visible under its digest. Atomic; replaces nothing but equal bytes. */
  place(upload: SealedUpload): Promise<void>;
  cancelUpload(id: string): Promise<void>;
  /** Identifiers of uploads that exist here, with the time of their last change in milliseconds. */
  listUploads(): AsyncIterable<{ readonly id: string; readonly changedAt: number }>;

  /** Takes a blob out of sight in a way that `restore` undoes; `purge` makes it final. */
  hide(digest: OciDigest): Promise<void>;
  restore(digest: OciDigest): Promise<void>;
  purge(digest: OciDigest): Promise<void>;
  /** Digests hidden but neither restored nor purged: what a crash left over. */
  listHidden(): Promise<readonly OciDigest[]>;
  /** Stored blobs last changed before `before` (milliseconds). */
  listStored(before: number): AsyncIterable<OciDigest>;
}
