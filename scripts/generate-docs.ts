/** Program: writes the pages that are made from the code. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { GENERATED_PAGES } from './docs/generated-pages.ts';

const root = join(import.meta.dirname, '..');
for (const { path, render } of GENERATED_PAGES) {
  const file = join(root, path);
  const before = existsSync(file) ? readFileSync(file, 'utf8') : '';
  const page = render(before);
  if (page === before) continue;
  writeFileSync(file, page);
  console.log(`wrote ${path}`);
}
