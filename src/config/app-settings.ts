/** The `kiln.toml` in an application's repository: what to build and how its image is to run. */
import { z } from 'zod';
import { durationText } from './setting-values.ts';

const environment = z.record(z.string(), z.string());

/** `*` and `?` stay within a name, `**` crosses folders. */
const filePattern = z
  .string()
  .min(1)
  .max(1024)
  .refine((pattern) => !pattern.split('/').some((part) => part === '..' || part === '.'), {
    error: 'must not hold "." or ".." as a name',
  });

/** Unknown keys are errors everywhere below (`strictObject`). Every description goes into the reference page. */
export const appSettingsSchema = z.strictObject({
  build: z
    .strictObject({
      file: z.string().optional().describe('Nix file to evaluate, relative to this file.'),
      attr: z.string().optional().describe('Attribute path to build.'),
      template: z.string().optional().describe('Template to use although the repository has a Nix file.'),
      packages: z.enum(['nixpkgs', 'basis', 'auto']).optional().describe('What `<nixpkgs>` stands for.'),
      start: z.string().optional().describe('Start command for templates, as a shell line.'),
      command: z.string().optional().describe('Build command for templates, as a shell line.'),
      test: z.string().optional().describe('Test command for templates, run in the build.'),
      writable: z
        .boolean()
        .optional()
        .describe(
          'Templates: start in a copy of the application below the temporary folder, where it may write.',
        ),
      output: z.string().optional().describe('Folder with the built site, for static templates.'),
    })
    .optional(),
  image: z
    .strictObject({
      name: z.string().optional().describe('Repository name of the image; default: the name of the source.'),
      entrypoint: z.array(z.string()).optional().describe('Program and its fixed arguments.'),
      cmd: z.array(z.string()).optional().describe('Default arguments, replaced by those given to `run`.'),
      env: environment.optional().describe('Environment variables.'),
      ports: z
        .array(z.number().int().min(1).max(65535))
        .optional()
        .describe('TCP ports the program listens on.'),
      user: z
        .string()
        .regex(/^\d+(:\d+)?$/)
        .optional()
        .describe('Numeric user, `uid` or `uid:gid`.'),
      workdir: z.string().startsWith('/').optional().describe('Working directory.'),
      labels: environment.optional().describe('Image labels.'),
      writable: z
        .array(z.string().startsWith('/'))
        .optional()
        .describe('Directories that the user may write to.'),
      files: environment.optional().describe('Extra files: absolute path → content.'),
      base: z
        .string()
        .min(1)
        .max(512)
        .optional()
        .describe('Image that lies below, `HOST/NAME:TAG` or `…@sha256:…`; its layers stay as they are.'),
      mtime: z
        .record(filePattern, z.number().int().min(0).max(8_589_934_591))
        .optional()
        .describe(
          'Modification times: file pattern → seconds since 1970. `share/www/**` is meant in the outputs of the build.',
        ),
      modes: z
        .record(filePattern, z.string().regex(/^[0-7]{3,4}$/, 'must be an octal mode such as "0750"'))
        .optional()
        .describe('File modes: file pattern → octal mode such as `0750`.'),
      shell: z.boolean().optional().describe('Link `/bin/sh` where the closure has a shell; default: true.'),
    })
    .optional(),
  health: z
    .strictObject({
      http: z.string().startsWith('/').optional().describe('Path that must answer 2xx or 3xx.'),
      tcp: z.boolean().optional().describe('The port must accept a connection.'),
      port: z
        .number()
        .int()
        .min(1)
        .max(65535)
        .optional()
        .describe('Port to probe; default: the first of `image.ports`.'),
      timeout: durationText().optional().describe('How long the program may take to answer, e.g. `30s`.'),
      exit: z.boolean().optional().describe('The program is expected to end with exit code 0.'),
    })
    .optional(),
});

export type AppSettings = z.infer<typeof appSettingsSchema>;
