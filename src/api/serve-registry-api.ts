/** The JSON API's part for the registry, below `/api/v1/registry`. */
import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import type { RegistryApi } from './registry-api.ts';
import { parseInput } from './parse-input.ts';

const tokenSchema = z.strictObject({
  name: z.string(),
  scopes: z.array(z.string()).max(100),
  ttlMs: z.number().positive().optional(),
});
const pinSchema = z.strictObject({ reference: z.string().min(1), pinned: z.boolean() });
const pushesSchema = z.object({ buildId: z.string().optional() });

export function serveRegistryApi(app: FastifyInstance, registry: RegistryApi): void {
  const root = '/api/v1/registry';
  app.get(`${root}/tokens`, () => registry.listTokens());
  app.post(`${root}/tokens`, async (request, reply) => {
    const { name, scopes, ttlMs } = parseInput(tokenSchema, request.body);
    const made = await registry.createToken({ name, scopes, ...(ttlMs === undefined ? {} : { ttlMs }) });
    return reply.code(201).header('cache-control', 'no-store').send(made);
  });
  app.delete(`${root}/tokens/:name`, async (request, reply) => {
    await registry.revokeToken((request.params as { name: string }).name);
    return reply.code(204).send();
  });
  app.get(`${root}/kept`, () => registry.explainImages());
  app.post(`${root}/pins`, async (request, reply) => {
    const { reference, pinned } = parseInput(pinSchema, request.body);
    await registry.pinImage(reference, pinned);
    return reply.code(204).send();
  });
  app.get(`${root}/pushes`, (request) =>
    registry.listPushes(parseInput(pushesSchema, request.query).buildId),
  );
}
