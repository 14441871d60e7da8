/** What is to become of a build's result: stored with the build as its `settings`. */
import { z } from 'zod';
import { appSettingsSchema } from '../config/app-settings.ts';

export const releaseSettingsSchema = z.object({
  name: z.string().optional(),
  tag: z.string().optional(),
  push: z.array(z.string()).default([]),
  image: z.boolean().default(true),
  /** How the image runs; wins over the application's settings and its expression. */
  imageSettings: appSettingsSchema.shape.image,
  freshPlan: z.boolean().default(false),
  /** Whose cache settings apply; default: those of the machine that builds. */
  workerId: z.string().optional(),
  /** Tag that names the build, where it is not the record's own identifier. */
  buildTag: z.string().optional(),
  /** The build that this one releases the result of; statistics count that one alone. */
  partOf: z.string().optional(),
  /** Image and health settings for results that bring no `kiln.toml`. */
  application: appSettingsSchema.optional(),
});

export type ReleaseSettings = z.infer<typeof releaseSettingsSchema>;
