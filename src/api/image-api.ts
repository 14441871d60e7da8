/** What is done with images beyond looking at one: comparing, exporting, putting several platforms under one name. */
import type { ImageComparison } from '../image/compare-images.ts';

export interface ImageDifference extends ImageComparison {
  readonly from: string;
  readonly to: string;
}

/** `docker` is the same archive, refused where Docker could not load it. */
export type ExportFormat = 'oci' | 'docker';

export interface ImageApi {
  /** What changed from image `from` to image `to`. */
  compare(from: string, to: string): Promise<ImageDifference>;
  /** The bytes of an archive that is an OCI archive and a Docker archive at once. Fails before the first byte or not at all, unless the store changes meanwhile. */
  exportImage(reference: string, format: ExportFormat): AsyncIterable<Uint8Array>;
  /** One name for images of several platforms. @returns the digest of the index */
  createIndex(reference: string, members: readonly string[]): Promise<{ readonly digest: string }>;
}
