/** Program: writes the settings reference to `docs/kiln-toml.md`. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { renderReference } from './describe-settings.ts';

const docs = new URL('../../docs/', import.meta.url);
mkdirSync(docs, { recursive: true });
writeFileSync(new URL('kiln-toml.md', docs), renderReference());
