/** Build logs and build traces: GET, HEAD and PUT. */
import { createReadStream } from 'node:fs';
import type { FastifyReply } from 'fastify';
import type { StorePath } from '../base/brand.ts';
import { canonicalJson } from '../base/canonical-json.ts';
import { KilnError } from '../base/error.ts';
import { sendBytes } from '../http/send-bytes.ts';
import { findBuildLog } from '../nix/build-log.ts';
import { isSignature } from '../store/signature.ts';
import { baseNameOf, hashPartOf, isStorePath, STORE_DIR } from '../store/store-path.ts';
import type { CacheCall } from './cache-context.ts';
import { decompress } from './nar-compression.ts';
import { missing } from './read-endpoints.ts';
import { receiveDecoded } from './receive-decoded.ts';

const MAX_TRACE = 256 * 1024;
const LOG_TYPE = 'text/plain; charset=utf-8';

export async function sendLog(call: CacheCall, drvPath: StorePath): Promise<FastifyReply> {
  const { context, request, reply } = call;
  reply.header('content-type', LOG_TYPE).header('x-content-type-options', 'nosniff');
  const file = (await context.served.allowsLogOf(drvPath))
    ? await findBuildLog(context.nix, drvPath)
    : undefined;
  if (file === undefined) {
    const log = await context.uploaded.log(drvPath);
    if (log === undefined) throw missing();
    return reply.send(log);
  }
  if (request.method === 'HEAD') {
    if (file.compression === 'none') reply.header('content-length', file.size);
    return reply.send();
  }
  await sendBytes(reply, {
    status: 200,
    headers: {},
    ...(file.compression === 'none' ? { length: file.size } : {}),
    open: () => decompress(createReadStream(file.path), file.compression),
  });
  return reply;
}

/** `nix store copy-log --to`. */
export async function storeLog(call: CacheCall, drvPath: StorePath): Promise<FastifyReply> {
  const { uploaded, settings } = call.context;
  await uploaded.saveLog(drvPath, await receiveDecoded(call, settings.maxLogSize));
  return call.reply.status(201).send();
}

/** Nix before 2.35. */
export async function sendRealisation(call: CacheCall, id: string, output: string): Promise<FastifyReply> {
  const { context, reply } = call;
  const trace = context.traces.byHash(id, output);
  if (trace === undefined || (await context.store.find(hashPartOf(trace.outPath))) === undefined)
    return await sendStored(call, realisationName(id, output));
  const signed = { dependentRealisations: {}, id: `${id}!${output}`, outPath: baseNameOf(trace.outPath) };
  const signatures = await context.store.signText(canonicalJson(signed), trace.signatures);
  return reply.header('content-type', 'application/json').send({ ...signed, signatures });
}

/** Nix from 2.35 on. */
export async function sendBuildTrace(
  call: CacheCall,
  drvPath: StorePath,
  output: string,
): Promise<FastifyReply> {
  const { context, reply } = call;
  const trace = context.traces.byDerivation(drvPath, output);
  if (trace === undefined || (await context.store.find(hashPartOf(trace.outPath))) === undefined)
    return await sendStored(call, traceName(drvPath, output));
  const signatures = trace.signatures.map((text) => {
    const colon = text.indexOf(':');
    return { keyName: text.slice(0, colon), sig: text.slice(colon + 1) };
  });
  return reply
    .header('content-type', 'application/json')
    .send({ outPath: baseNameOf(trace.outPath), signatures });
}

/** Stored as it came, once it was seen to be what it should. Its output must be in the cache. */
export async function storeRealisation(
  call: CacheCall,
  id: string,
  output: string,
  uploadedBy: string,
): Promise<FastifyReply> {
  const body = parseTrace(await receiveDecoded(call, MAX_TRACE));
  if (body['id'] !== `${id}!${output}`) throw invalidTrace('its id is another one than its address states');
  const signatures = body['signatures'] ?? [];
  if (
    !Array.isArray(signatures) ||
    !signatures.every((text) => typeof text === 'string' && isSignature(text))
  )
    throw invalidTrace('its signatures are none');
  return await store(call, realisationName(id, output), body, uploadedBy);
}

export async function storeBuildTrace(
  call: CacheCall,
  drvPath: StorePath,
  output: string,
  uploadedBy: string,
): Promise<FastifyReply> {
  const body = parseTrace(await receiveDecoded(call, MAX_TRACE));
  return await store(call, traceName(drvPath, output), body, uploadedBy);
}

async function store(
  call: CacheCall,
  name: string,
  body: Readonly<Record<string, unknown>>,
  uploadedBy: string,
): Promise<FastifyReply> {
  const { context, reply } = call;
  const outPath = `${STORE_DIR}/${String(body['outPath'])}`;
  if (!isStorePath(outPath)) throw invalidTrace('its outPath is no store path');
  const hashPart = hashPartOf(outPath);
  const found = (await context.store.find(hashPart))?.info ?? (await context.uploaded.find(hashPart));
  if (found?.path !== outPath) throw invalidTrace('its outPath is not in this cache; upload it first');
  await context.uploaded.saveTrace(name, body, uploadedBy);
  return reply.status(201).send();
}

async function sendStored({ context, reply }: CacheCall, name: string): Promise<FastifyReply> {
  const body = await context.uploaded.trace(name);
  if (body === undefined) throw missing();
  return reply.header('content-type', 'application/json').send(body);
}

function parseTrace(bytes: Buffer): Readonly<Record<string, unknown>> {
  let json: unknown;
  try {
    json = JSON.parse(bytes.toString('utf8'));
  } catch (cause) {
    throw invalidTrace('it is not JSON', cause);
  }
  if (typeof json !== 'object' || json === null || Array.isArray(json)) throw invalidTrace('it is no object');
  return json as Readonly<Record<string, unknown>>;
}

function invalidTrace(reason: string, cause?: unknown): KilnError {
  return new KilnError('invalid-input', `This is not a build trace: ${reason}`, { cause });
}

const realisationName = (id: string, output: string): string => `${id}!${output}`;
const traceName = (drvPath: StorePath, output: string): string => `${baseNameOf(drvPath)}/${output}`;
