/** What the command line, the API and the library ask for; checked once, then stored with the build. */
import { z } from 'zod';
import { KilnError } from '../base/error.ts';
import { appSettingsSchema } from '../config/app-settings.ts';
import type { BuildOptions, SourceSpec } from '../source/source.ts';

const relativePath = z
  .string()
  .min(1)
  .max(4096)
  .refine((path) => !path.startsWith('/') && !path.split('/').includes('..') && !path.includes('\0'), {
    error: 'must be a relative path without ".."',
  });

const expressionSource = z.strictObject({
  kind: z.literal('expression'),
  expression: z
    .string()
    .min(1)
    .max(2 ** 20),
  files: z.record(relativePath, z.string()).optional(),
});
const gitSource = z.strictObject({
  kind: z.literal('git'),
  url: z.string().min(1).max(2048),
  ref: z.string().min(1).max(255).optional(),
  subdirectory: relativePath.optional(),
  submodules: z.boolean().optional(),
  shallow: z.boolean().optional(),
  depth: z.number().int().min(1).optional(),
});
const flakeSource = z.strictObject({ kind: z.literal('flake'), reference: z.string().min(1).max(2048) });
const directorySource = z.strictObject({ kind: z.literal('directory'), path: z.string().min(1) });
const fileSource = z.strictObject({ kind: z.literal('file'), path: z.string().min(1) });
const templateSource = z.strictObject({
  kind: z.literal('template'),
  template: z.string().min(1).max(64),
  customizations: z
    .looseObject({
      environmentVars: z.record(z.string(), z.string()).optional(),
      files: z.record(relativePath, z.string()).optional(),
    })
    .optional(),
});

const sourceSpecSchema = z.discriminatedUnion('kind', [
  expressionSource,
  gitSource,
  flakeSource,
  directorySource,
  fileSource,
  templateSource,
]);

const buildOptionsSchema = z.strictObject({
  attr: z
    .string()
    .regex(/^[^\s\0]{1,512}$/)
    .optional(),
  environmentVars: z.record(z.string().regex(/^[A-Za-z_][A-Za-z0-9_]*$/), z.string()).optional(),
  packages: z.enum(['nixpkgs', 'basis', 'auto']).optional(),
  buildTimeout: z.number().int().min(1).max(3600).optional(),
  silenceTimeout: z.number().int().min(1).max(3600).optional(),
});

const NAME = /^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:\/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*$/;
const TAG = /^[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}$/;

const buildRequestSchema = z.strictObject({
  source: sourceSpecSchema,
  options: buildOptionsSchema.default({}),
  serviceId: z.string().min(1).max(128).default('default'),
  organizationId: z.string().min(1).max(128).optional(),
  /** Repository name of the image; default: from the application's settings or the source. */
  name: z.string().max(200).regex(NAME).optional(),
  tag: z.string().regex(TAG).optional(),
  /** Other registries' references to push to as well. */
  push: z.array(z.string().min(1).max(512)).max(16).default([]),
  /** False: build only, no image. */
  image: z.boolean().default(true),
  /** How the image runs; wins over the application's settings and its expression. */
  imageSettings: appSettingsSchema.shape.image,
  /** Plan the layers anew instead of keeping the previous release's. */
  freshPlan: z.boolean().default(false),
  /** Whose cache settings apply; default: those of the machine that builds. */
  workerId: z
    .string()
    .regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/)
    .optional(),
});

export type BuildRequest = z.infer<typeof buildRequestSchema>;

/** @throws KilnError invalid-input | invalid-name, one line for each problem */
export function parseBuildRequest(
  input: unknown,
): BuildRequest & { source: SourceSpec; options: BuildOptions } {
  const parsed = buildRequestSchema.safeParse(input);
  if (parsed.success) return parsed.data;
  const issues = parsed.error.issues.map((issue) => ({ path: issue.path.join('.'), message: issue.message }));
  const named = issues.find((issue) => issue.path === 'name' || issue.path === 'tag');
  if (named !== undefined) {
    throw new KilnError('invalid-name', `this ${named.path} is not allowed for an image`, {
      where: `${named.path}: ${JSON.stringify(givenText(input, named.path).slice(0, 200))}`,
      hint:
        named.path === 'name'
          ? 'A name has lower-case letters and digits, parted by single "." "_" "/" or any number of "-": my-team/my-app.'
          : 'A tag has letters, digits, "_", "." and "-", does not begin with "." or "-", and has at most 128 characters.',
    });
  }
  throw new KilnError('invalid-input', 'this build request cannot be used', {
    where: issues
      .map((issue) => `${issue.path === '' ? 'request' : issue.path}: ${issue.message}`)
      .join('\n'),
    hint: 'buildTimeout and silenceTimeout are seconds from 1 to 3600; `kiln build --help` lists the options.',
  });
}

function givenText(input: unknown, key: string): string {
  const value = typeof input === 'object' && input !== null ? Object.entries(input) : [];
  return String(value.find(([name]) => name === key)?.[1] ?? '');
}
