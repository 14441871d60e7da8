// Makes an npm cache out of bare content: the index entries that `npm ci --offline` looks tarballs up by.
// Arguments: content folder (with content-v2, or a whole cache), package-lock.json, cache folder to make, npm's folder.
import { cpSync, existsSync, mkdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';

const [content, lockFile, cache, npm] = process.argv.slice(2);
const cacache = createRequire(join(npm, 'package.json'))('cacache');
const folder = join(cache, '_cacache');
mkdirSync(folder, { recursive: true });
for (const source of [join(content, '_cacache'), content]) {
  if (existsSync(join(source, 'content-v2'))) cpSync(source, folder, { recursive: true, mode: 0 });
}
const { packages = {} } = JSON.parse(readFileSync(lockFile, 'utf8'));
for (const { resolved, integrity } of Object.values(packages)) {
  if (resolved === undefined || integrity === undefined || !/^https?:/.test(resolved)) continue;
  if ((await cacache.get.hasContent(folder, integrity)) === false) continue;
  await cacache.index.insert(folder, `make-fetch-happen:request-cache:${resolved}`, integrity, {
    metadata: { time: 0, url: resolved, reqHeaders: {}, resHeaders: { 'cache-control': 'public, immutable, max-age=31557600' }, options: { compress: true } },
  });
}
