/** Checks settings against a schema and reports everything that is wrong at once. */
import type { z } from 'zod';
import { closestMatches } from '../base/closest-match.ts';
import { KilnError } from '../base/error.ts';
import { keysAt } from './setting-table.ts';

export interface SettingProblem {
  /** `limits.buildTimeout` */
  readonly key: string;
  /** From 1. */
  readonly line?: number;
  readonly message: string;
}

export interface CheckOptions {
  /** Shown before the line, mostly the file's path. */
  readonly name: string;
  /** Where a value was written. */
  readonly positionOf: (path: readonly (string | number)[]) => {
    readonly name?: string;
    readonly line?: number;
  };
}

/** @throws KilnError invalid-config; `fields.problems` holds each {@link SettingProblem} */
export function checkSettings<Schema extends z.ZodType>(
  schema: Schema,
  data: unknown,
  options: CheckOptions,
): z.output<Schema> {
  const result = schema.safeParse(data);
  if (result.success) return result.data;
  const problems = result.error.issues.flatMap((issue) => problemsOf(schema, issue, data, options));
  const lines = problems.map(({ where, problem }) => `${where}: ${problem.message}`);
  const count = problems.length === 1 ? 'a mistake' : `${problems.length} mistakes`;
  throw new KilnError('invalid-config', `The settings hold ${count}`, {
    where: lines.join('\n'),
    hint: 'All settings are listed in docs/kiln-toml.md.',
    fields: { problems: problems.map(({ problem }) => problem) },
  });
}

function problemsOf(
  schema: z.ZodType,
  issue: z.core.$ZodIssue,
  data: unknown,
  options: CheckOptions,
): { readonly where: string; readonly problem: SettingProblem }[] {
  const path = issue.path.map((part) => (typeof part === 'number' ? part : String(part)));
  if (issue.code === 'unrecognized_keys') {
    return issue.keys.map((key) => {
      const known = keysAt(schema, path);
      const [match] = closestMatches(key, known, 1);
      const suggestion =
        match === undefined ? `; known here: ${known.join(', ')}` : `; did you mean "${match}"?`;
      return place([...path, key], `unknown setting "${[...path, key].join('.')}"${suggestion}`, options);
    });
  }
  const found = valueAt(data, path);
  const got = issue.code === 'invalid_type' && found !== undefined ? ` (found ${JSON.stringify(found)})` : '';
  return [place(path, `${path.join('.')}: ${sentence(issue.message)}${got}`, options)];
}

function place(
  path: readonly (string | number)[],
  message: string,
  options: CheckOptions,
): { readonly where: string; readonly problem: SettingProblem } {
  const { name = options.name, line } = options.positionOf(path);
  return {
    where: line === undefined ? name : `${name}:${line}`,
    problem: { key: path.join('.'), message, ...(line === undefined ? {} : { line }) },
  };
}

function valueAt(data: unknown, path: readonly (string | number)[]): unknown {
  let value = data;
  for (const part of path) {
    if (typeof value !== 'object' || value === null) return undefined;
    value = (value as Readonly<Record<string | number, unknown>>)[part];
  }
  return typeof value === 'object' ? undefined : value;
}

function sentence(message: string): string {
  return message.replace(/^Invalid input: /, '').replace(/, received \w+$/, '');
}
