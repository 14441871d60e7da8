/** What a request brings, checked. */
import type { z } from 'zod';
import { KilnError } from '../base/error.ts';

/** @throws KilnError invalid-input with every mistake and where it is */
export function parseInput<T>(schema: z.ZodType<T>, input: unknown): T {
  const result = schema.safeParse(input ?? {});
  if (result.success) return result.data;
  throw new KilnError('invalid-input', 'this request cannot be used', {
    where: result.error.issues
      .map((issue) => `${issue.path.join('.') || 'request'}: ${issue.message}`)
      .join('\n'),
  });
}
