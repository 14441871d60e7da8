/** What is to become of a build's result: stored with the build as its `settings`. */
import { z } from 'zod';

export const releaseSettingsSchema = z.object({
  name: z.string().optional(),
  tag: z.string().optional(),
  push: z.array(z.string()).default([]),
  image: z.boolean().default(true),
  freshPlan: z.boolean().default(false),
});

export type ReleaseSettings = z.infer<typeof releaseSettingsSchema>;
