/** `nix copy --to`: files first, then narinfos, each of which makes one path visible after everything it states was seen to be true. */
import { randomUUID } from 'node:crypto';
import type { FastifyReply } from 'fastify';
import { KilnError } from '../base/error.ts';
import { receiveBytes } from '../http/receive-bytes.ts';
import { isContentAddressed } from '../store/content-address.ts';
import { fingerprintOf } from '../store/fingerprint.ts';
import { type NarInfo, parseNarInfo } from '../store/narinfo.ts';
import { decodeNix32 } from '../store/nix32.ts';
import { verifySignature } from '../store/signature.ts';
import { hashPartOf } from '../store/store-path.ts';
import type { CacheCall } from './cache-context.ts';
import { parseCachePath } from './cache-path.ts';
import { extensionOf, unknownCompression } from './nar-compression.ts';
import { receiveDecoded } from './receive-decoded.ts';
import type { UploadedPath } from './uploaded-path-queries.ts';
import { digestOfFile } from './uploaded-paths.ts';
import type { VerifiedNar } from './verify-nar.ts';

/** A path with thousands of references stays far below. */
const MAX_NARINFO = 2 * 2 ** 20;
/** How much larger than the largest file a NAR may be that is in it. */
const MAX_EXPANSION = 8;

/** PUT `nar/<file hash>.nar.xz`: stored when its bytes have that hash. @throws KilnError hash-mismatch, too-large, disk-full */
export async function storeFile(call: CacheCall, fileHash: string): Promise<FastifyReply> {
  const { request, reply, context } = call;
  const { files } = context.uploaded;
  const digest = digestOfFile(toHex(fileHash));
  const body = receiveBytes(request.raw, context.settings.speedLimit);
  if ((await files.size(digest)) !== undefined) {
    for await (const chunk of body) void chunk;
    return reply.status(200).send();
  }
  const length = Number(request.headers['content-length'] ?? Number.NaN);
  const id = randomUUID();
  await files.startUpload(id);
  try {
    await files.append(id, body, {
      algorithm: 'sha256',
      maxSize: context.settings.maxUploadSize,
      ...(Number.isSafeInteger(length) ? { length } : {}),
    });
    const sealed = await files.seal(id, 'sha256');
    if (sealed.digest !== digest)
      throw new KilnError('hash-mismatch', 'The file has another hash than its name says', {
        hint: 'It was damaged on the way; upload it again.',
      });
    await files.place(sealed);
  } catch (error) {
    await files.cancelUpload(id);
    throw error;
  }
  return reply.status(201).send();
}

/** PUT `<hash>.narinfo`. Answers when the path can be read by everybody. @throws KilnError invalid-input, forbidden, hash-mismatch */
export async function storeNarInfo(
  call: CacheCall,
  hashPart: string,
  uploadedBy: string,
): Promise<FastifyReply> {
  const { context, reply } = call;
  const info = parseNarInfo((await receiveDecoded(call, MAX_NARINFO)).toString('utf8'));
  const path = await describeUpload(call, hashPart, info);
  const known = await context.uploaded.find(hashPart);
  if (known?.narHash === path.narHash && (await isStored(call, known))) {
    // Signatures that came later are kept beside the first ones.
    const signatures = [...new Set([...known.signatures, ...path.signatures])];
    if (known.path !== path.path || fingerprintOf(known) !== fingerprintOf(path)) throw contradiction();
    if (signatures.length > known.signatures.length) {
      await requireTrust(call, path, undefined);
      await context.uploaded.save({ ...known, signatures }, undefined, uploadedBy);
    }
    return reply.status(200).send();
  }
  // Another build of the same path: the first stays, its bytes are as good.
  if (known !== undefined && (await isStored(call, known))) return reply.status(200).send();
  const trusted = await isTrusted(call, path);
  if (!trusted && path.ca === undefined) throw untrusted();
  await requireReferences(call, path);
  await context.uploaded.touch(path.fileHash);
  const verified = await context.verifier.verify({
    file: context.uploaded.fileOf(path.fileHash),
    compression: path.compression,
    narHash: path.narHash,
    narSize: path.narSize,
  });
  await requireTrust(call, path, verified);
  await context.uploaded.save(path, verified.listing, uploadedBy);
  return reply.status(201).send();
}

/** What the narinfo says, as far as it can be checked without reading the NAR. */
async function describeUpload(call: CacheCall, hashPart: string, info: NarInfo): Promise<UploadedPath> {
  const { uploaded, settings } = call.context;
  if (hashPartOf(info.path) !== hashPart)
    throw invalid('its StorePath is another one than its address states');
  const extension = extensionOf(info.compression);
  if (extension === undefined) throw unknownCompression(info.compression);
  const file = parseCachePath(info.url.slice(info.url.lastIndexOf('/nar/') + 1));
  if (file?.endpoint !== 'file' || file.extension !== extension)
    throw invalid('its URL is not nar/<hash>.nar with the ending of its compression');
  const fileHash = toHex(file.fileHash);
  if (info.fileHash !== undefined && Buffer.from(info.fileHash.bytes).toString('hex') !== fileHash)
    throw invalid('its FileHash is not that of its URL');
  const size = await uploaded.files.size(digestOfFile(fileHash));
  if (size === undefined) throw invalid('its file was not uploaded before it');
  if (info.fileSize !== undefined && info.fileSize !== size)
    throw invalid(`its FileSize is ${info.fileSize}, the file has ${size} bytes`);
  if (info.narSize > settings.maxUploadSize * MAX_EXPANSION)
    throw new KilnError(
      'too-large',
      `A NAR may have ${settings.maxUploadSize * MAX_EXPANSION} bytes at most`,
      {
        hint: 'Raise limits.uploadSize in the settings of the server.',
      },
    );
  return {
    hashPart,
    path: info.path,
    fileHash,
    fileSize: size,
    compression: info.compression,
    narHash: info.narHash,
    narSize: info.narSize,
    references: [...new Set(info.references)].sort(),
    ...(info.deriver === undefined ? {} : { deriver: info.deriver }),
    signatures: info.signatures,
    ...(info.ca === undefined ? {} : { ca: info.ca }),
  };
}

/** A visible path never refers to one that is not. */
async function requireReferences({ context }: CacheCall, path: UploadedPath): Promise<void> {
  for (const reference of path.references) {
    if (reference === path.path) continue;
    const hashPart = hashPartOf(reference);
    const found = (await context.store.find(hashPart))?.info ?? (await context.uploaded.find(hashPart));
    if (found?.path !== reference)
      throw invalid('it refers to a path that is not in this cache; upload what it refers to first');
  }
}

async function isTrusted({ context }: CacheCall, path: UploadedPath): Promise<boolean> {
  if (context.settings.unsignedUploads) return true;
  const keys = [...(await context.store.publicKeys()), ...context.settings.trustedKeys];
  const text = fingerprintOf(path);
  return path.signatures.some((signature) => verifySignature(text, signature, keys) !== undefined);
}

async function requireTrust(
  call: CacheCall,
  path: UploadedPath,
  verified: VerifiedNar | undefined,
): Promise<void> {
  if (await isTrusted(call, path)) return;
  const { ca } = path;
  const contentsHash = verified?.contentsHash;
  if (
    verified !== undefined &&
    ca !== undefined &&
    isContentAddressed({ ...path, ca, ...(contentsHash === undefined ? {} : { contentsHash }) })
  )
    return;
  throw untrusted();
}

async function isStored({ context }: CacheCall, path: UploadedPath): Promise<boolean> {
  return (await context.uploaded.files.size(digestOfFile(path.fileHash))) === path.fileSize;
}

function untrusted(): KilnError {
  return new KilnError('forbidden', 'The path carries no signature by a key that is trusted here', {
    hint: 'Sign it (nix store sign --key-file FILE PATH) with a key of cache.trustedKeys, or set cache.unsignedUploads = true on the server to trust everybody who may upload.',
  });
}

function contradiction(): KilnError {
  return new KilnError('conflict', 'The path is in this cache with other references');
}

function invalid(reason: string): KilnError {
  return new KilnError('invalid-input', `This narinfo cannot be taken: ${reason}`);
}

function toHex(nix32: string): string {
  return Buffer.from(decodeNix32(nix32, 32)).toString('hex');
}
