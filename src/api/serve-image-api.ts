/** The JSON API's part for images, below `/api/v1/images`. */
import { Readable } from 'node:stream';
import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import type { ImageApi } from './image-api.ts';
import { parseInput } from './parse-input.ts';

const compareSchema = z.object({ from: z.string().min(1), to: z.string().min(1) });
const exportSchema = z.object({
  reference: z.string().min(1),
  format: z.enum(['oci', 'docker']).default('oci'),
});
const indexSchema = z.strictObject({
  reference: z.string().min(1),
  members: z.array(z.string().min(1)).min(1).max(64),
});

export function serveImageApi(app: FastifyInstance, images: ImageApi): void {
  const root = '/api/v1/images';
  app.get(`${root}/compare`, (request) => {
    const { from, to } = parseInput(compareSchema, request.query);
    return images.compare(from, to);
  });
  app.get(`${root}/export`, async (request, reply) => {
    const { reference, format } = parseInput(exportSchema, request.query);
    const archive = images.exportImage(reference, format)[Symbol.asyncIterator]();
    // The first bytes tell whether there is such an image, while the answer can still be an error.
    const first = await archive.next();
    return reply.type('application/x-tar').send(Readable.from(chunks(first, archive)));
  });
  app.post(`${root}/index`, async (request, reply) => {
    const { reference, members } = parseInput(indexSchema, request.body);
    return reply.code(201).send(await images.createIndex(reference, members));
  });
}

async function* chunks(
  first: IteratorResult<Uint8Array, unknown>,
  rest: AsyncIterator<Uint8Array>,
): AsyncGenerator<Uint8Array> {
  try {
    for (let next = first; next.done !== true; next = await rest.next()) yield next.value;
  } finally {
    await rest.return?.();
  }
}
