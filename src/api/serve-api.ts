/** The JSON API below `/api/v1`, answered by a `KilnApi`. Live events are server-sent events. */
import { Readable } from 'node:stream';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import { parseBuildRequest } from '../pipeline/build-request.ts';
import type { BuildEvent, LogPosition } from '../pipeline/build-view.ts';
import type { KilnApi } from './kiln-api.ts';
import { serveImageApi } from './serve-image-api.ts';
import { serveRegistryApi } from './serve-registry-api.ts';
import { parseInput } from './parse-input.ts';

const credentialsSchema = z
  .strictObject({ accessToken: z.string().optional(), sshKey: z.string().optional() })
  .optional();
const filterSchema = z.object({
  serviceId: z.string().optional(),
  status: z.string().optional(),
  limit: z.coerce.number().int().min(1).max(200).optional(),
});
const logSchema = z.object({
  attempt: z.coerce.number().int().min(1).optional(),
  derivation: z.string().optional(),
});
const referenceSchema = z.object({ reference: z.string().min(1) });
const pushSchema = z.strictObject({ reference: z.string().min(1), destination: z.string().min(1) });
const garbageSchema = z.strictObject({ dryRun: z.boolean(), olderThanDays: z.number().min(0).optional() });

const HEARTBEAT_MS = 15_000;

/** @param stopping ends the live streams: their clients connect again elsewhere or later */
export function serveApi(app: FastifyInstance, kiln: KilnApi, stopping: AbortSignal): void {
  const root = '/api/v1';
  const id = (request: FastifyRequest): string => (request.params as { id: string }).id;
  app.get(`${root}/builds`, (request) => kiln.listBuilds(parseInput(filterSchema, request.query)));
  app.post(`${root}/builds`, async (request, reply) => {
    const { credentials, ...build } = parseInput(
      z.looseObject({ credentials: credentialsSchema }),
      request.body,
    );
    return reply.code(201).send(await kiln.createBuild(parseBuildRequest(build), credentials));
  });
  app.post(`${root}/builds/explain`, (request) => {
    const { credentials, ...build } = parseInput(
      z.looseObject({ credentials: credentialsSchema }),
      request.body,
    );
    return kiln.explainBuild(parseBuildRequest(build), credentials);
  });
  app.get(`${root}/builds/:id`, (request) => kiln.getBuild(id(request)));
  app.post(`${root}/builds/:id/cancel`, (request) => kiln.cancelBuild(id(request)));
  app.post(`${root}/builds/:id/retry`, (request) => kiln.retryBuild(id(request)));
  app.get(`${root}/builds/:id/events`, (request, reply) =>
    sendEvents(kiln, id(request), request, reply, stopping),
  );
  app.get(`${root}/builds/:id/log`, (request, reply) => {
    const lines = kiln.readLog(id(request), parseInput(logSchema, request.query));
    return reply.type('application/x-ndjson').send(Readable.from(jsonLines(lines)));
  });
  app.get(`${root}/images`, () => kiln.listImages());
  app.get(`${root}/image`, (request) => kiln.getImage(parseInput(referenceSchema, request.query).reference));
  app.get(`${root}/image/run`, (request) =>
    kiln.getRunnable(parseInput(referenceSchema, request.query).reference),
  );
  app.delete(`${root}/image`, async (request, reply) => {
    await kiln.deleteImage(parseInput(referenceSchema, request.query).reference);
    return reply.code(204).send();
  });
  app.post(`${root}/images/push`, (request) => {
    const { reference, destination } = parseInput(pushSchema, request.body);
    return kiln.pushImage(reference, destination);
  });
  serveRegistryApi(app, kiln.registry);
  serveImageApi(app, kiln.images);
  app.get(`${root}/cache/statistics`, () => kiln.cacheStatistics());
  app.post(`${root}/cache/gc`, (request) => kiln.collectGarbage(parseInput(garbageSchema, request.body)));
}

/** Each log event carries `ATTEMPT.SEQUENCE` as `id`, so `Last-Event-ID` goes on behind the last line that was seen. */
async function sendEvents(
  kiln: KilnApi,
  id: string,
  request: FastifyRequest,
  reply: FastifyReply,
  stopping: AbortSignal,
): Promise<FastifyReply> {
  await kiln.getBuild(id); // an unknown build is a plain 404, not a broken stream
  const after = parsePosition(request.headers['last-event-id']);
  const gone = new AbortController();
  request.raw.on('close', () => gone.abort());
  const signal = AbortSignal.any([gone.signal, stopping]);
  const events = kiln.followBuild(id, { signal, ...(after === undefined ? {} : { after }) });
  reply.header('cache-control', 'no-store').header('x-accel-buffering', 'no').type('text/event-stream');
  const stream = Readable.from(serverSentEvents(events));
  const heartbeat = setInterval(() => {
    if (!stream.readableEnded && !stream.destroyed) stream.push(': still here\n\n');
  }, HEARTBEAT_MS);
  stream.on('end', () => clearInterval(heartbeat));
  stream.on('close', () => {
    clearInterval(heartbeat);
    gone.abort();
  });
  return await reply.send(stream);
}

/** Anything else than what was sent as `id` means: from the beginning. */
function parsePosition(header: string | string[] | undefined): LogPosition | undefined {
  const match = /^(\d{1,9})\.(\d{1,15})$/.exec(String(header ?? ''));
  return match === null ? undefined : { attempt: Number(match[1]), sequence: Number(match[2]) };
}

async function* serverSentEvents(events: AsyncIterable<BuildEvent>): AsyncGenerator<string> {
  for await (const event of events) {
    const position = event.type === 'log' ? `id: ${event.attempt}.${event.line.sequence}\n` : '';
    yield `${position}event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`;
  }
}

async function* jsonLines(values: AsyncIterable<unknown>): AsyncGenerator<string> {
  for await (const value of values) yield `${JSON.stringify(value)}\n`;
}
