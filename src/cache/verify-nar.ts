/** Reads an uploaded file as what it claims to be: decompressed, a strict NAR, of the size and hash that were stated. */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import type { NarHash } from '../base/brand.ts';
import { KilnError } from '../base/error.ts';
import { createListing, formatListing } from '../store/nar-listing.ts';
import { narHashFromBytes } from '../store/nar-hash.ts';
import { createNarReader } from '../store/nar-reader.ts';
import { decompress } from './nar-compression.ts';

export interface NarClaim {
  /** Absolute path of the stored file. */
  readonly file: string;
  readonly compression: string;
  readonly narHash: NarHash;
  readonly narSize: number;
}

export interface VerifiedNar {
  /** The `.ls` document; missing for trees so large that nobody would read it. */
  readonly listing?: string;
  /** Of a NAR that is one plain file, the SHA-256 of its contents in hexadecimal: some content addresses state it. */
  readonly contentsHash?: string;
}

const READ_BYTES = 256 * 1024;
/** Files, folders and links of a listing. */
const MAX_LISTED = 500_000;

/**
 * Never reads further than the stated size, whatever the file would decompress to.
 * @throws KilnError invalid-input, too-large, hash-mismatch
 */
export async function verifyNar(claim: NarClaim): Promise<VerifiedNar> {
  const hash = createHash('sha256');
  const contents = createHash('sha256');
  const listing = createListing();
  let nodes = 0;
  const reader = createNarReader(
    (event) => {
      if (event.type === 'contents') return nodes === 1 ? void contents.update(event.bytes) : undefined;
      if (++nodes <= MAX_LISTED) listing.add(event);
    },
    { maxSize: claim.narSize },
  );
  const source = createReadStream(claim.file, { highWaterMark: READ_BYTES });
  for await (const chunk of decompress(source, claim.compression)) {
    reader.write(chunk);
    hash.update(chunk);
  }
  const size = reader.end();
  const narHash = narHashFromBytes(hash.digest());
  if (size !== claim.narSize) throw mismatch(`has ${size} bytes, not ${claim.narSize}`);
  if (narHash !== claim.narHash) throw mismatch(`has the hash ${narHash}, not ${claim.narHash}`);
  const root = nodes <= MAX_LISTED ? listing.root() : undefined;
  return {
    ...(root === undefined ? {} : { listing: formatListing(root) }),
    ...(root?.type === 'regular' ? { contentsHash: contents.digest('hex') } : {}),
  };
}

function mismatch(what: string): KilnError {
  return new KilnError('hash-mismatch', `The NAR ${what}, as its narinfo states`, {
    hint: 'It was damaged on the way, or changed after it was registered: nix store verify tells.',
  });
}
