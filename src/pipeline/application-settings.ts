/** How an application's image is made and run: what its expression, its `kiln.toml` and the request say, later ones winning. */
import { appSettingsSchema, type AppSettings } from '../config/app-settings.ts';
import { checkSettings } from '../config/check-settings.ts';
import { type ImageSettings, mergeImageSettings } from '../image/image-settings.ts';
import type { ExpressionFacts } from '../nix/expression-facts.ts';

const imageSchema = appSettingsSchema.shape.image.unwrap();

/** @throws KilnError invalid-config for a `passthru.image` that cannot be used, with every mistake */
export function applicationSettings(
  facts: ExpressionFacts,
  settings: AppSettings,
  asked: ImageSettings | undefined,
): AppSettings {
  const expression = facts.image === undefined ? undefined : imageOf(facts.image);
  const image = mergeImageSettings(expression, settings.image, asked);
  return { ...settings, ...(Object.keys(image).length === 0 ? {} : { image }) };
}

function imageOf(written: unknown): ImageSettings {
  return checkSettings(imageSchema, written, { name: 'passthru.image', positionOf: () => ({}) });
}
